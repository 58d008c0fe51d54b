"""Limits that lanes share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a limit, for the one who took it."""

    number: int
    granted: int
    """0: nothing is free."""
    again_at: datetime | None = None
    """When more will be free, if not all that was wanted was granted."""


class Budgets(Protocol):
    """Who has taken how much of which limit. A part of the store, on its clock; each method is one transaction."""

    def take(self, name: str, want: int, limit: int, window: timedelta) -> Slice:
        """Up to `want`; it counts for `window` from now on, and what counts at a time is never more than `limit`, whoever takes at once."""

    def give_back(self, number: int, amount: int) -> None:
        """So much of a slice was not used and will not be. Nothing happens if the slice counts no more."""

    def taken(self, name: str) -> int:
        """What counts now."""
