"""What the doctor has seen, and what others report about mail in our names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeptLook:
    """The last look at one of our domains; `body` is the report as JSON."""

    domain: str
    at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class ReportRow:
    """Mail that one source sent in a domain's name within one aggregate report (RFC 9990)."""

    source: str
    """Its address."""
    count: int
    header_from: str
    disposition: str
    """What the receiver did: `none`, `quarantine`, `reject`, or what else it says."""
    dkim: bool
    """A signature proves the header From, aligned."""
    spf: bool
    """The envelope sender does."""
    dkim_domains: tuple[str, ...] = ()
    """Those whose signatures were valid."""
    spf_domain: str = ""
    """That for which SPF passed; empty: none."""


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """One report of one receiver about one domain."""

    reporter: str
    number: str
    """Unique for the reporter."""
    domain: str
    """The domain of the policy."""
    begins: datetime
    ends: datetime
    policy: str
    """What `p` was."""
    rows: tuple[ReportRow, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A row of a report that is kept."""

    reporter: str
    begins: datetime
    policy: str
    row: ReportRow


class Diagnoses(Protocol):
    """Blocking; kept in the store."""

    def keep(self, look: KeptLook, *, told: str = "", data: Mapping[str, str] | None = None) -> None:
        """The last look at a domain. With `told`, webhooks hear of `doctor.changed`, with this text and data."""

    def looks(self) -> dict[str, KeptLook]:
        """By domain."""

    def only(self, domains: Collection[str]) -> None:
        """Forget the looks at all others."""

    def add(self, report: AggregateReport) -> bool:
        """False, and nothing is written, if the reporter has sent this one before."""

    def seen(self, domain: str, since: datetime, *, limit: int = 100_000) -> Sequence[Seen]:
        """What reports that began since then say of a domain, newest first."""

    def reported(self) -> dict[str, tuple[int, datetime]]:
        """Domain -> how many reports are kept, and when the newest ended."""

    def forget_reports(self, before: datetime, *, limit: int) -> bool:
        """Drop up to `limit` reports that ended before then; whether there were any."""
