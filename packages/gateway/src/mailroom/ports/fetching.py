"""When each incoming server is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailroom.ports.attempts import Lane
from mailroom_core.model import LaneName


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An incoming server, as the store knows it."""

    name: str
    lane: LaneName
    due_at: datetime
    """When it is looked at next."""
    cursor: str
    looked_at: datetime | None
    """When a look was last finished."""
    trouble: str
    """Why the last look did not end well; empty if it did."""
    subscription: str = ""
    """The provider's name for our wish to be told of new mail; empty if there is none."""
    subscribed_until: datetime | None = None
    failing_since: datetime | None = None
    """The first look that did not end well, since the last one that did."""


class Watch(Protocol):
    """When each incoming server is looked at. A part of the store, on its clock; each method is one transaction."""

    def over(self, servers: Mapping[str, LaneName], resting: Mapping[str, LaneName] = {}) -> None:
        """These are looked at, and no others; new ones at once. One whose lane has changed begins anew.

        Of those that are `resting` nothing is told, but how far they were read stays.
        """

    def all(self) -> list[Watched]: ...

    def due(self, lane: Lane) -> list[Watched]:
        """Those of a lane whose time has come; none for who does not own the lane any more."""

    def now(self, names: Sequence[str]) -> None:
        """Look at these as soon as their lanes allow it; during a look, once more after it."""

    def keep(self, lane: Lane, name: str, cursor: str) -> None:
        """What was before this cursor is safe. Nothing happens for who does not own the lane any more."""

    def subscribed(self, lane: Lane, name: str, subscription: str, until: datetime | None) -> None:
        """The provider tells us of new mail until then. Nothing happens for who does not own the lane any more."""

    def awaited(self, name: str, until: datetime | None) -> None:
        """Somebody waits at the mailbox until then, and will say `now`. None: nobody does any more; a provider is asked anew to tell."""

    def looked(self, lane: Lane, seen: Watched, *, next_at: datetime, trouble: str = "") -> None:
        """A look has ended; if somebody wished for another one meanwhile, that one is due."""
