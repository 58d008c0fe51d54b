"""Keeps a flood of people who are not signed in away from the database. In memory; what counts attempts for good is the store."""

from __future__ import annotations

from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)
PER_NETWORK = 60
ALTOGETHER = 1200
"""Each may write a row: this is at most twenty a second."""


class Throttle:
    """One for a process."""

    def __init__(self) -> None:
        self._began: datetime | None = None
        self._counts: dict[str, int] = {}
        self._all = 0

    def lets_pass(self, network: str, now: datetime) -> bool:
        """Count one more; whether it may go on."""
        if self._began is None or not timedelta() <= now - self._began < WINDOW:
            self._began, self._counts, self._all = now, {}, 0
        self._all += 1
        if self._all > ALTOGETHER:
            return False
        count = self._counts[network] = self._counts.get(network, 0) + 1
        return count <= PER_NETWORK
