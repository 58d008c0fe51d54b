"""Which addresses move away from SMTP AUTH by password, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailroom_core.model import MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """One address of the report."""

    address: str
    """Normalised."""
    application: str
    """As which it hands in mail here."""
    made: bool
    """The application was made for it, by the assistant."""
    mails: int | None
    """In the time of the last report that names it; None if that did not say."""
    tls: str
    """Versions, as people read them."""
    protocols: str
    reported_at: datetime
    """When the last report that names it was read."""
    listed_at: datetime
    done_at: datetime | None = None
    """When its first mail came through us."""
    message_id: MessageId | None = None
    """That mail."""


class Cutovers(Protocol):
    """Blocking; kept in the store."""

    def enlist(self, movers: Sequence[Mover], *, by: str) -> None:
        """Add those that are new; of those that are known, the numbers of the report change and nothing else."""

    def all(self) -> list[Mover]:
        """By address."""

    def drop(self, addresses: Sequence[str], *, by: str) -> None:
        """Forget these."""

    def look(self) -> list[Mover]:
        """Tick off whose first mail was accepted meanwhile, and answer those.

        Mail of an application that was made for one address counts whatever its sender is, mail of another one only from that address.
        """
