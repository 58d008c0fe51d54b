"""When the next request may start, so that a provider's limits are kept exactly and never by being told off.

A limit is a sliding window: at most so much in any span of time. We know when a request starts and when its answer comes, the
provider counts it somewhere in between. So what is in flight fills every window, and what is done stays in a window until its span
has passed since the answer: whenever the provider counts, it never counts too much. With answers that come at once, nothing waits
a moment longer than it has to.

`Pace` counts what one owner does; it has no clock and does no waiting. The caller passes times that never run backwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class Unit(Enum):
    """What limits count."""

    REQUESTS = "requests"
    BYTES = "bytes uploaded"
    RECIPIENTS = "recipients"
    MESSAGES = "messages"


Cost = Mapping[Unit, int]
"""What one request, or one mail, takes of each; what is left out is 0."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `amount` of `unit` in any `span`."""

    unit: Unit
    amount: int
    span: timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """All windows of one lane, and how much may be in flight at once."""

    windows: tuple[Window, ...]
    concurrency: int


class Pace:
    """The memory of one lane. Ask `next_start`, then `begin`, and `end` when the answer came (or will never come)."""

    def __init__(self, limits: Limits, past: Iterable[tuple[datetime, Cost]] = ()) -> None:
        """`past` is what was done before we counted, oldest first."""
        self._gauges = [_Gauge(window) for window in limits.windows]
        self._concurrency = limits.concurrency
        self._in_flight = 0
        for at, cost in past:
            for gauge in self._gauges:
                gauge.begin(cost)
                gauge.end(at, cost)

    def next_start(self, now: datetime, cost: Cost) -> datetime | None:
        """The first moment, now or later, at which this may start. None: ask again when one of those in flight has ended.

        Raises ValueError for what is larger than a whole window: it could never start.
        """
        if self._in_flight >= self._concurrency:
            return None
        start = now
        for gauge in self._gauges:
            moment = gauge.next_start(now, cost)
            if moment is None:
                return None
            start = max(start, moment)
        return start

    def begin(self, cost: Cost) -> None:
        """It starts."""
        self._in_flight += 1
        for gauge in self._gauges:
            gauge.begin(cost)

    def end(self, now: datetime, cost: Cost) -> None:
        """Its answer is here, or it is given up; the same cost as at its beginning."""
        self._in_flight -= 1
        for gauge in self._gauges:
            gauge.end(now, cost)

    def eta(self, now: datetime, count: int, cost: Cost, took: timedelta = timedelta()) -> datetime:
        """When the last of `count` mails will be done, at this cost and time each; nothing else is sent meanwhile.

        A mail may cost more than a window holds: it is then made of several requests. Each window is exact by itself; where
        several bind in turn it may get a little later.
        """
        if count <= 0:
            return now
        rounds = -(-count // self._concurrency)
        last = max((gauge.nth_start(now, count, cost) for gauge in self._gauges), default=now)
        return max(last + took, now + took * rounds)


class _Gauge:
    """One window: what is in flight, and what was done within its span."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._done: deque[tuple[datetime, int]] = deque()
        self._sum = 0
        self._in_flight = 0

    def begin(self, cost: Cost) -> None:
        self._in_flight += cost.get(self._window.unit, 0)

    def end(self, now: datetime, cost: Cost) -> None:
        amount = cost.get(self._window.unit, 0)
        self._in_flight -= amount
        if amount:
            self._done.append((now, amount))
            self._sum += amount

    def next_start(self, now: datetime, cost: Cost) -> datetime | None:
        wanted, unit = cost.get(self._window.unit, 0), self._window.unit
        if wanted > self._window.amount:
            raise ValueError(f"{wanted} {unit.value} at once can never start: the limit is {self._window.amount} in {self._window.span}")
        self._forget(now)
        room = self._window.amount - wanted - self._in_flight
        if room < 0 < wanted:
            return None
        return self._shrinks_to(room, now) if wanted else now

    def nth_start(self, now: datetime, count: int, cost: Cost) -> datetime:
        """When the last of `count` equal ones may start. What is in flight counts as done now."""
        wanted, amount = cost.get(self._window.unit, 0), self._window.amount
        if not wanted:
            return now
        if wanted > amount:
            count, wanted = count * wanted, 1
        # As many as fit into a window start as the past makes room; each further one a span after the one so many before it.
        rounds, place = divmod(count - 1, amount // wanted)
        self._forget(now)
        room = amount - (place + 1) * wanted
        start = now + self._window.span if self._in_flight > room else self._shrinks_to(room - self._in_flight, now)
        return start + rounds * self._window.span

    def _shrinks_to(self, room: int, now: datetime) -> datetime:
        """When what was done within the span is no more than `room` (at least 0)."""
        left = self._sum
        for at, amount in self._done:
            if left <= room:
                break
            left -= amount
            now = max(now, at + self._window.span)
        return now

    def _forget(self, now: datetime) -> None:
        while self._done and self._done[0][0] + self._window.span <= now:
            self._sum -= self._done.popleft()[1]
