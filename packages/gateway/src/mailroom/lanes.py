"""A lane's pace: how many attempts at once, how many mails and recipients in a span of time, when the next request may start.

The lane's owner is the only one who uses the lane, so what it counts here is exact; what left before it took over comes from the
store (`Store.usage`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from mailroom.objects import GraphRoute, OutgoingServer, SmarthostRoute
from mailroom.ports import Clock
from mailroom_core.flow import Response

GRAPH_REQUESTS_AT_ONCE = 3
"""Microsoft allows four per mailbox, including what others do there (facts 5.4)."""
LATER = timedelta(hours=1)
"""A pause that ends by an event, not by time."""


class LanePace:
    """Asked before every attempt and every request of a lane."""

    def __init__(self, clock: Clock, *, attempts_at_once: int, requests_at_once: int = 0) -> None:
        self._clock = clock
        self._most = attempts_at_once
        self._running = 0
        self._blocked_until: datetime | None = None
        self._requests = asyncio.Semaphore(requests_at_once) if requests_at_once else None

    def pause(self, recipients: int) -> timedelta:
        """How long until an attempt for so many recipients may start; zero is now."""
        if self._running >= self._most:
            return LATER
        return self._blocked()

    def start(self, recipients: int) -> None:
        self._running += 1

    def end(self) -> None:
        self._running -= 1

    def block(self, until: datetime) -> None:
        """The provider wants a pause."""
        self._blocked_until = max(until, self._blocked_until or until)

    def _blocked(self) -> timedelta:
        left = self._blocked_until - self._clock() if self._blocked_until else timedelta()
        return max(left, timedelta())

    @asynccontextmanager
    async def request(self, upload: int) -> AsyncIterator[None]:
        """Around one HTTP request that uploads so many bytes; waits until it may start."""
        if self._requests is None:
            yield
            return
        async with self._requests:
            while wait := self._blocked():
                await asyncio.sleep(wait.total_seconds())
            yield

    def answered(self, response: Response) -> None:
        """Obey `Retry-After` (also fractional) for the whole lane."""
        if response.status not in (429, 503):
            return
        try:
            wish = float(response.headers.get("retry-after", ""))
        except ValueError:
            return
        self.block(self._clock() + timedelta(seconds=wish))


def pace_of(server: OutgoingServer, clock: Clock) -> LanePace:
    """The pace of a lane that this server opens."""
    match server.route:
        case GraphRoute():
            return LanePace(clock, attempts_at_once=GRAPH_REQUESTS_AT_ONCE, requests_at_once=GRAPH_REQUESTS_AT_ONCE)
        case SmarthostRoute(connections=connections):
            return LanePace(clock, attempts_at_once=connections)
        case _:
            return LanePace(clock, attempts_at_once=16)
