"""The tenant's time, which tests can stop and move, and what is to happen later."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset, or standing still.

    `scale` shortens spans (throttling windows, lags, delays): an emulated minute lasts 60 / scale seconds. It does not
    touch the time of day, so tokens and messages carry true dates.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._offset = timedelta()
        self._frozen: datetime | None = None
        self._changed: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self._frozen or datetime.now(UTC) + self._offset

    @property
    def frozen(self) -> bool:
        return self._frozen is not None

    def span(self, emulated: timedelta) -> timedelta:
        """How long an emulated span lasts here."""
        return emulated / self.scale

    def on_change(self, call: Callable[[], None]) -> None:
        self._changed.append(call)

    def advance(self, by: timedelta) -> None:
        if self._frozen is not None:
            self._frozen += by
        else:
            self._offset += by
        self._tell()

    def freeze(self, at: datetime | None = None) -> None:
        self._frozen = at or self.now()
        self._tell()

    def thaw(self) -> None:
        """Run on from where the clock stands."""
        if self._frozen is not None:
            self._offset = self._frozen - datetime.now(UTC)
            self._frozen = None
        self._tell()

    def reset(self) -> None:
        self._offset = timedelta()
        self._frozen = None
        self._tell()

    def _tell(self) -> None:
        for call in self._changed:
            call()


class Agenda:
    """Calls to be made when the clock reaches their time; an advance of the clock makes them at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._nudge = asyncio.Event()
        self._sleepers: set[asyncio.Event] = set()
        clock.on_change(self._nudge.set)

    def later(self, emulated: timedelta, call: Callable[[], None]) -> None:
        """Make `call` after an emulated span; at once if the span is zero."""
        if emulated <= timedelta():
            call()
            return
        due = self._clock.now() + self._clock.span(emulated)
        heapq.heappush(self._heap, (due, next(self._serial), call))
        self._nudge.set()

    async def sleep(self, emulated: timedelta) -> None:
        """Wait for an emulated span."""
        done = asyncio.Event()
        self._sleepers.add(done)
        self.later(emulated, done.set)
        await done.wait()
        self._sleepers.discard(done)

    def clear(self) -> None:
        """Forget what was to be done; who sleeps, wakes up."""
        self._heap.clear()
        for sleeper in self._sleepers:
            sleeper.set()

    @property
    def waiting(self) -> int:
        return len(self._heap)

    def run_due(self) -> None:
        while self._heap and self._heap[0][0] <= self._clock.now():
            heapq.heappop(self._heap)[2]()

    async def run(self) -> None:
        """Make the calls as they fall due, until cancelled."""
        while True:
            self.run_due()
            self._nudge.clear()
            wait = None
            if self._heap and not self._clock.frozen:
                wait = max(0.0, (self._heap[0][0] - self._clock.now()).total_seconds())
            try:
                await asyncio.wait_for(self._nudge.wait(), wait)
            except TimeoutError:
                continue
