"""A lane's pace: when the next mail and the next request may start.

The lane's owner is the only one who uses the lane, so what it counts here is exact; what left before it took over comes from the
store (`past_of`). The sums are `mailroom_core.policy.pace`; a provider's numbers lie beside its flows; clock and waiting are here.

Spans are measured by a clock that nobody sets. The time of day serves only for what comes from outside and what is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from time import monotonic

from mailroom.objects import GraphRoute, MiB, OutgoingServer, SmarthostRoute
from mailroom.ports import Clock, Store, Usage
from mailroom.transports.http import NoTurn
from mailroom_core.flow import Response
from mailroom_core.model import LaneName
from mailroom_core.policy.pace import Cost, Limits, Pace, Unit, Window
from mailroom_core.providers.graph.errors import retry_after
from mailroom_core.providers.graph.limits import MAILBOX, RECIPIENTS_PER_DAY

SINK_AT_ONCE = 16
MAILS_AT_ONCE = MAILBOX.concurrency + 2
"""Of one mailbox: while a mail waits for a commit, another one uses its turn for a request."""
LATER = timedelta(hours=1)
"""A pause that ends by an event, not by time."""
DAY = timedelta(days=1)
RECENT = timedelta(minutes=10)
_NO_TURN = "the mailbox's limits allow no request in time, and nothing was sent"

Past = Iterable[tuple[datetime, Cost]]


class LanePace:
    """Asked before every attempt and every request of a lane. `steady` gives seconds and never runs backwards."""

    def __init__(
        self, clock: Clock, *, mails: Limits, requests: Limits | None = None, past: Past = (), steady: Callable[[], float] = monotonic
    ) -> None:
        past = list(past)
        self._clock = clock
        self._steady = steady
        self._zero = clock() - timedelta(seconds=steady())
        self._mails = Pace(mails, past)
        self._requests = Pace(requests, past) if requests else None
        self._blocked_until: datetime | None = None
        self._queue = asyncio.Lock()
        self._ended = asyncio.Event()
        self._stopped = False
        self._under_way = 0
        self._used_at = self._now()

    def rests(self) -> bool:
        """Whether nothing is known here that the store does not know as well."""
        return not self._under_way and not self._blocked() and self._now() - self._used_at > RECENT

    def obey(self, before: LanePace) -> None:
        """A pause that the provider wanted from who had the lane before lasts on."""
        self._pause_for(before._blocked())

    def pause(self, recipients: int) -> timedelta:
        """How long until a mail for so many recipients may start; zero is now."""
        if blocked := self._blocked():
            return blocked
        now = self._now()
        start = self._mails.next_start(now, _mail(recipients))
        return LATER if start is None else start - now

    def start(self, recipients: int) -> None:
        self._under_way += 1
        self._mails.begin(_mail(recipients))

    def end(self, recipients: int) -> None:
        self._under_way -= 1
        self._used_at = self._now()
        self._mails.end(self._used_at, _mail(recipients))

    def left(self, recipients: int) -> None:
        """A mail leaves without being asked for: it counts for those after it."""
        self.start(recipients)
        self.end(recipients)

    def more(self) -> bool:
        """Whether one more mail of an attempt that is under way may leave now; then it counts. Its recipients are counted already."""
        now = self._now()
        self._mails.end(now, {})  # the attempt has its place among those under way
        may = not self._blocked() and self._mails.next_start(now, _mail(0)) == now
        self._mails.begin({})
        if may:
            self.left(0)
        return may

    def block(self, until: datetime) -> None:
        """The provider wants a pause until this time of day; a longer one that it wanted before stays."""
        self._pause_for(until - self._clock())

    def eta(self, mails: int, recipients: int) -> datetime:
        """When so many waiting mails will have left, if nothing else comes between; each mail's own time does not count."""
        now = self._now()
        end = self._mails.eta(now + self._blocked(), mails, _mail(-(-recipients // max(mails, 1))))
        return self._clock() + (end - now)

    def stop(self) -> None:
        """The process ends: who waits for a turn waits no longer, because nothing has been sent yet."""
        self._stopped = True
        self._ended.set()

    @asynccontextmanager
    async def request(self, upload: int, patience: timedelta | None = None) -> AsyncIterator[None]:
        """Around one HTTP request that uploads so many bytes; waits, first come first served, until it may start.

        Raises NoTurn if that does not come within `patience`; as soon as that is known, so that nobody waits in vain.
        """
        if self._requests is None:
            yield
            return
        cost = {Unit.REQUESTS: 1, Unit.BYTES: upload}
        until = None if patience is None else self._now() + patience
        try:
            async with asyncio.timeout(None if patience is None else patience.total_seconds()), self._queue:
                await self._wait(self._requests, cost, until)
                self._requests.begin(cost)
        except TimeoutError:
            raise NoTurn(_NO_TURN) from None
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._used_at = self._now()
            self._requests.end(self._used_at, cost)
            self._ended.set()

    def answered(self, response: Response) -> None:
        """Obey `Retry-After` (also fractional) for the whole lane."""
        if response.status not in (429, 503):
            return
        if wish := retry_after(response):
            self._pause_for(wish)

    async def _wait(self, pace: Pace, cost: Cost, until: datetime | None) -> None:
        while True:
            self._ended.clear()
            now = self._now()
            start = pace.next_start(now, cost)
            wait = self._blocked() or (LATER if start is None else start - now)
            if not wait:
                return
            in_vain = until is not None and start is not None and now + wait > until
            if self._stopped or in_vain:
                raise NoTurn(_NO_TURN)
            try:
                async with asyncio.timeout(wait.total_seconds()):
                    await self._ended.wait()
            except TimeoutError:
                pass

    def _blocked(self) -> timedelta:
        left = self._blocked_until - self._now() if self._blocked_until else timedelta()
        return max(left, timedelta())

    def _pause_for(self, span: timedelta) -> None:
        until = self._now() + span
        self._blocked_until = max(until, self._blocked_until or until)

    def _now(self) -> datetime:
        """The time of day at the beginning, and what has passed since then: setting the clock changes nothing."""
        return self._zero + timedelta(seconds=self._steady())


def pace_of(
    server: OutgoingServer, clock: Clock, past: Past = (), steady: Callable[[], float] = monotonic, *, scale: float = 1.0
) -> LanePace:
    """The pace of a lane that this server opens. At an emulator, a provider's windows may pass `scale` times faster."""
    windows = _mail_windows(server, scale)
    match server.route:
        case GraphRoute():
            requests = replace(MAILBOX, windows=tuple(replace(window, span=window.span / scale) for window in MAILBOX.windows))
            return LanePace(clock, mails=Limits(windows, MAILS_AT_ONCE), requests=requests, past=past, steady=steady)
        case SmarthostRoute(connections=at_once):
            return LanePace(clock, mails=Limits(windows, at_once), past=past, steady=steady)
        case _:
            return LanePace(clock, mails=Limits(windows, SINK_AT_ONCE), past=past, steady=steady)


def _mail_windows(server: OutgoingServer, scale: float = 1.0) -> tuple[Window, ...]:
    windows = []
    if server.per_minute:
        windows.append(Window(Unit.MESSAGES, server.per_minute, timedelta(minutes=1)))
    per_day = server.recipients_per_day or (RECIPIENTS_PER_DAY if isinstance(server.route, GraphRoute) else 0)
    if per_day:
        windows.append(Window(Unit.RECIPIENTS, per_day, DAY / scale))
    return tuple(windows)


def used(store: Store, server: OutgoingServer, lane: LaneName, now: datetime) -> list[tuple[Window, int]]:
    """Every limit of a lane that this server opens, and how much of it is taken. Blocking."""
    windows = _mail_windows(server)
    if isinstance(server.route, GraphRoute):
        windows += tuple(window for window in MAILBOX.windows if window.unit is not Unit.RECIPIENTS)
    return [(window, _left(store.usage(lane, now - window.span)).get(window.unit, 0)) for window in windows]


def past_of(store: Store, lane: LaneName, now: datetime, *, scale: float = 1.0) -> list[tuple[datetime, Cost]]:
    """What left through the lane in the last day, and what was fetched in the last ten minutes, in buckets that count at their end,
    oldest first. Blocking.

    Where a day passes `scale` times faster, its buckets are as much shorter.
    """
    hours = [now - timedelta(hours=hours) / scale for hours in range(24, 0, -1)]
    minutes = [now - timedelta(minutes=minutes) / scale for minutes in range(10, 0, -1)]
    edges = [*hours, *minutes]
    # What seems to be still to come has left, too: the clock was set back since then.
    buckets = zip([*edges[1:], now], store.usage_history(lane, [*edges, now + DAY]), strict=True)
    left = [(end, _left(usage)) for end, usage in buckets if usage.attempts]
    fetched = zip([*minutes[1:], now], store.fetched_history(lane, [*minutes, now + DAY]), strict=True)
    return sorted([*left, *((end, _came(mails)) for end, mails in fetched if mails)], key=itemgetter(0))


def _left(usage: Usage) -> Cost:
    """Two requests a mail and one for each three MiB; everything is encoded in base64 once more."""
    requests = 2 * usage.attempts + usage.size // (3 * MiB)
    return {Unit.MESSAGES: usage.attempts, Unit.RECIPIENTS: usage.recipients, Unit.REQUESTS: requests, Unit.BYTES: usage.size * 4 // 3}


def _came(mails: int) -> Cost:
    """A request to read each mail and one to mark it, and the lists that name them."""
    return {Unit.REQUESTS: 2 * mails + mails // 10 + 1}


def _mail(recipients: int) -> Cost:
    return {Unit.MESSAGES: 1, Unit.RECIPIENTS: recipients}


def done_at(store: Store, server: OutgoingServer, lane: LaneName, waiting: int, now: datetime) -> datetime | None:
    """When so many waiting mails will have left: at the speed of the last ten minutes, and not before the limits allow. Blocking.

    None while nothing is known of the speed.
    """
    recent = store.usage(lane, now - RECENT)
    if not waiting or not recent.attempts:
        return None
    by_speed = now + waiting * RECENT / recent.attempts
    pace = pace_of(server, lambda: now, past_of(store, lane, now))
    return max(by_speed, pace.eta(waiting, waiting))
