"""What the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from mailroom.doctor.answers import Answer, Status, within

LONGEST = 600
"""Characters of a record that are shown as evidence."""
CHUNK = 255
"""Bytes of one string of a TXT record (RFC 1035 3.3)."""


class Harm(Enum):
    """How bad, worst first."""

    HARMFUL = "harmful"
    """Mail is refused, lost or thrown away now, or stands still."""
    RISKY = "risky"
    """Some receivers mind, others can misuse the domain, or it will be harmful soon."""
    ADVICE = "advice"
    """Works, and could be better."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read, where, and from whom."""

    asked: str
    """For example `TXT _dmarc.example.com`."""
    said: str
    source: str = ""
    """The name server, or the server that was called."""
    validated: bool = False
    """Proven by DNSSEC, says the name server."""


@dataclass(frozen=True, slots=True)
class Record:
    """A DNS record to copy. `name` is full, without the dot at its end; `zone` is where it lies."""

    name: str
    type: str
    value: str
    zone: str

    @property
    def short(self) -> str:
        """The name for a provider that appends the domain by itself."""
        if self.name == self.zone or not within(self.name, self.zone):
            return "@" if self.name == self.zone else self.full
        return self.name.removesuffix(f".{self.zone}")

    @property
    def full(self) -> str:
        """The name for a provider that appends nothing."""
        return f"{self.name}."

    @property
    def line(self) -> str:
        """The line of a zone file."""
        return f"{self.full} 3600 IN {self.type} {_data(self)}"


def _data(record: Record) -> str:
    if record.type != "TXT":
        return record.value
    raw = record.value.replace("\\", "\\\\").replace('"', '\\"')
    return " ".join(f'"{raw[start : start + CHUNK]}"' for start in range(0, max(len(raw), 1), CHUNK))


@dataclass(frozen=True, slots=True)
class Repair:
    """What mends it, ready to use."""

    label: str
    """What it does, in a few words."""
    command: str = ""
    """To copy."""
    page: str = ""
    """The path of the console's page with the button."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    code: str
    """Stays the same from version to version, such as `spf-too-many-lookups`."""
    harm: Harm
    title: str
    """What is wrong, in one sentence."""
    why: str
    """Why it matters."""
    todo: str
    """What to do."""
    evidence: tuple[Evidence, ...] = ()
    records: tuple[Record, ...] = ()
    """To copy into the DNS."""
    remove: tuple[Record, ...] = ()
    """To take out of the DNS."""
    repairs: tuple[Repair, ...] = ()
    """The first is the best."""


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something that could not be looked at, and why."""

    what: str
    why: str


class Verdict(Enum):
    GOOD = "good"
    FOUND = "see findings"
    UNUSED = "not used"
    """Nobody needs it; what it would bring is said."""
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Check:
    """One area that was looked at."""

    area: str
    verdict: Verdict
    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What one area brings to a report."""

    check: Check
    findings: tuple[Finding, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A look at a domain."""

    domain: str
    at: datetime
    took: timedelta
    resolver: str
    """The name server that was asked."""
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    """Worst first."""
    unchecked: tuple[Unchecked, ...]

    @property
    def harmful(self) -> bool:
        return any(each.harm is Harm.HARMFUL for each in self.findings)

    def codes(self) -> tuple[str, ...]:
        """What is wrong, for comparing with another look; in alphabetical order."""
        return tuple(sorted(each.code for each in self.findings))


def by_harm(findings: list[Finding]) -> tuple[Finding, ...]:
    order = list(Harm)
    return tuple(sorted(findings, key=lambda each: order.index(each.harm)))


def evidence(answer: Answer) -> Evidence:
    """The record as it was read."""
    said = "\n".join(answer.records) if answer.status is Status.FOUND else answer.trouble or answer.status.value
    if answer.alias:
        said = f"CNAME {answer.alias}" + (f"\n{said}" if said else "")
    cut = said if len(said) <= LONGEST else f"{said[:LONGEST]}… ({len(said)} characters)"
    return Evidence(f"{answer.type} {answer.name}", cut, answer.server, answer.validated)


def unread(what: str, answer: Answer) -> Unchecked:
    """What an answer that tells nothing leaves open."""
    return Unchecked(what, f"{answer.type} {answer.name}: {answer.trouble or answer.status.value}")
