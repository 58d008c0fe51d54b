"""Who delivers: a worker leases lanes, and each lane has one runner.

The worker renews its leases well before they end. A runner whose lease is lost starts nothing more; what it has under way
can't be settled any more (the epoch is stale), and the lane's new owner resolves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from mailroom.budget import Budget, Spent
from mailroom.lanes import LanePace
from mailroom.observe import events
from mailroom.observe.faults import place_of
from mailroom.ports import Action, Lane, Query, Settled, Transport, Wakeup, Watched, Work
from mailroom.queue.attempt import Desk, deliver, look
from mailroom_core.errors import MailroomError, StoreError
from mailroom_core.model import Deferred, Held, Kind, LaneName, MessageId, Outcome, Sent, Unknown

LEASE = timedelta(seconds=30)
POLL = timedelta(seconds=1)
BREATH = timedelta(milliseconds=20)
"""Under load there is a nudge with every commit; what comes within this time is one."""
CLAIM_REST = 20
"""Looking for new lanes costs the more, the more lanes there are: so many times as long as it took, it is not done again."""
IDLE = timedelta(seconds=5)
"""A lane without work is given back after this time."""
FETCH = 100
"""Messages read from the store at once, if they are small: a lane holds no more than FETCH_BYTES of mail that waits."""
FETCH_BYTES = 2 * 1024 * 1024
FEWEST = 8
EMPTY = timedelta(milliseconds=100)
"""A lane in which nothing of a kind was due is read again after this time at the earliest, however often it is nudged."""
LOOKS_AT_ONCE = 20
CLAIM = 64
AFTER_A_MISTAKE = timedelta(seconds=30)
"""Until a lane whose runner failed by a mistake of ours is given back, to be taken anew."""
LANE_PAUSE = timedelta(seconds=30)
"""When the provider wants a pause and doesn't say how long."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a lane's mail leaves."""

    transport: Transport
    pace: LanePace
    budget: Budget | None = None
    """A limit that it shares with other lanes."""


Try = Coroutine[None, None, Settled | None]
Ways = Callable[[Lane, str], Way]
"""The way of a lane and one of its servers. Raises ConfigError if that server is gone."""


@dataclass(slots=True)
class Worker:
    """Leases lanes and runs them until it is told to stop."""

    name: str
    desk: Desk
    ways: Ways
    wakeup: Wakeup
    _runners: dict[LaneName, LaneRunner] = field(default_factory=dict)
    _tasks: dict[LaneName, asyncio.Task[None]] = field(default_factory=dict)
    _owed: dict[LaneName, Lane] = field(default_factory=dict)
    """Nobody runs these any more, and the store could not take them back yet."""

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set and what was under way has ended."""
        renewing = asyncio.create_task(self._renew())
        stopping = asyncio.create_task(stop.wait())
        claim_at = monotonic()
        try:
            while not stop.is_set():
                patience = timedelta(seconds=claim_at - monotonic())
                if patience <= timedelta():
                    start = monotonic()
                    await self._claim()
                    claim_at = monotonic() + min(CLAIM_REST * (monotonic() - start), POLL.total_seconds())
                    patience = POLL
                waiting = asyncio.create_task(self.wakeup.wait(patience))
                await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                for runner in self._runners.values():
                    runner.nudge()
                await asyncio.sleep(BREATH.total_seconds())
        finally:
            for runner in self._runners.values():
                runner.stop()
                runner.hurry()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            renewing.cancel()
            stopping.cancel()

    async def _claim(self) -> None:
        if not await self._give_back():
            return  # the database is in trouble
        try:
            lanes = await asyncio.to_thread(self.desk.store.claim, self.name, want=CLAIM, ttl=LEASE, but=tuple(self._runners))
        except StoreError as problem:
            events.store_trouble(str(problem))
            return
        for lane in lanes:
            runner = LaneRunner(lane, self.desk, self.ways)
            self._runners[lane.name] = runner
            self._tasks[lane.name] = asyncio.create_task(self._run(runner))

    async def _run(self, runner: LaneRunner) -> None:
        lane = runner.lane
        try:
            await runner.run()
        except StoreError as problem:
            events.store_trouble(str(problem))
        except MailroomError as problem:
            events.worker_broke(lane.name, str(problem))
            await self._hold(lane, str(problem))
        except Exception as problem:  # noqa: BLE001  # one lane: a mistake of ours there must neither stop the others nor go unseen
            events.worker_broke(lane.name, place_of(problem))
            await asyncio.sleep(AFTER_A_MISTAKE.total_seconds())
        finally:
            if self._runners.get(lane.name) is runner:
                del self._runners[lane.name], self._tasks[lane.name]
            self._owed[lane.name] = lane
            await self._give_back()

    async def _hold(self, lane: Lane, why: str) -> None:
        try:
            await asyncio.to_thread(self.desk.store.hold_lane, lane.name, why)
        except StoreError as problem:  # whoever takes the lane next comes to the same end
            events.store_trouble(str(problem))

    async def _give_back(self) -> bool:
        """Release the lanes that nobody runs any more, at once or when the database is back; whether it took them."""
        lanes = list(self._owed.values())
        if not lanes:
            return True
        try:
            await asyncio.to_thread(self.desk.store.release, self.name, lanes)
        except StoreError as problem:
            events.store_trouble(str(problem))
            return False
        for lane in lanes:
            if self._owed.get(lane.name) == lane:
                del self._owed[lane.name]
        return True

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            lanes = [runner.lane for runner in self._runners.values()]
            if not lanes:
                continue
            try:
                ours = await asyncio.to_thread(self.desk.store.renew, self.name, lanes, LEASE)
            except StoreError as problem:
                events.store_trouble(str(problem))
                continue
            for lane in lanes:
                if lane.name not in ours and (runner := self._runners.get(lane.name)) and runner.lane == lane:
                    events.lane_lost(lane.name)
                    runner.stop()


def _room(works: Sequence[Work]) -> int:
    """How many messages to read at once: as many as before, as long as mails like these don't take more memory than they may."""
    if not works:
        return FETCH
    average = sum(len(work.message.raw or b"") for work in works) // len(works)
    return max(FEWEST, min(FETCH, FETCH_BYTES // max(average, 1)))


def _account_of(lane: LaneName) -> str:
    """Who signs in for a lane: an account, or a server by itself."""
    return lane.split(":")[1] if ":" in lane else lane


def _external(budget: Budget, work: Work, *, look: bool = False) -> int:
    """A look takes no more than there is: its mail began under another limit."""
    external = budget.rule.external(delivery.recipient for delivery in work.deliveries)
    return min(external, budget.rule.limit) if look else external


def _may_have_left(outcome: Outcome) -> bool:
    return isinstance(outcome, Sent) or (isinstance(outcome, Unknown) and not outcome.waits)


class LaneRunner:
    """Runs one lane while we own it: first what is unresolved, then what is due, at the lane's pace."""

    def __init__(self, lane: Lane, desk: Desk, ways: Ways) -> None:
        self.lane = lane
        self._desk = desk
        self._ways = ways
        self._stopped = False
        self._more = set(Kind)
        self._turn = asyncio.Event()
        self._limit = FETCH
        self._fetch_at = self._look_at = self._watch_at = monotonic()
        self._rested_at = dict.fromkeys(Kind, self._fetch_at)
        self._paces: set[LanePace] = set()
        self._tell_at = monotonic()
        self._under_way: dict[MessageId, asyncio.Task[None]] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[Kind, dict[MessageId, Work]] = {Kind.TRANSACTIONAL: {}, Kind.BULK: {}}

    def nudge(self) -> None:
        """There may be new work; it is read at once if there is room for it, and not more than ten times a second."""
        self._more = set(Kind)
        if any(len(queue) < self._limit // 2 for queue in self._waiting.values()):
            self._turn.set()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped = True
        self._turn.set()

    def hurry(self) -> None:
        """The process ends: nothing that is under way waits for its turn any more."""
        for pace in self._paces:
            pace.stop()

    async def run(self) -> None:
        """Until the lane is empty for a while, held, lost or stopped; returns when nothing is under way any more."""
        busy_at = monotonic()
        try:
            while not self._stopped:
                self._turn.clear()
                await self._look()
                await self._fetch_mail()
                await self._fetch()
                pause = await self._start()
                if self._under_way or self._fetching or any(self._waiting.values()):
                    busy_at = monotonic()
                elif monotonic() - busy_at > IDLE.total_seconds():
                    return
                await self._rest(pause)
        finally:
            for task in self._fetching.values():
                task.cancel()  # what is not acknowledged is fetched again
            await asyncio.gather(*self._under_way.values(), *self._fetching.values(), return_exceptions=True)

    async def _fetch_mail(self) -> None:
        """Look at the incoming servers of the lane whose time has come."""
        if self._desk.fetch is None or monotonic() < self._watch_at:
            return
        self._watch_at = monotonic() + EMPTY.total_seconds()
        for watched in await asyncio.to_thread(self._desk.store.watch.due, self.lane):
            if watched.name not in self._fetching:
                self._fetching[watched.name] = asyncio.create_task(self._fetch_one(watched))

    async def _fetch_one(self, watched: Watched) -> None:
        assert self._desk.fetch is not None
        try:
            await self._desk.fetch(self.lane, watched)
        except StoreError as problem:
            events.store_trouble(str(problem))
            await asyncio.sleep(POLL.total_seconds())
        except MailroomError as problem:
            events.worker_broke(self.lane.name, str(problem))
            await asyncio.to_thread(self._desk.store.hold_lane, self.lane.name, str(problem))
        finally:
            del self._fetching[watched.name]
            self._turn.set()

    async def _look(self) -> None:
        """Ask for what became of attempts without an answer, before their messages are touched again."""
        if monotonic() < self._look_at:
            return
        self._look_at = monotonic() + POLL.total_seconds()
        known = set(self._under_way)
        for attempt, work in await asyncio.to_thread(self._desk.store.unresolved, self.lane, limit=LOOKS_AT_ONCE):
            if work.message.id not in known:
                way = self._ways(self.lane, work.deliveries[0].server)
                if way.budget and await self._wait_for(way.budget, work, look=True):
                    continue
                spent = way.budget.spend(_external(way.budget, work, look=True)) if way.budget else None
                self._go(work, way, look(self._desk, self.lane, way.transport, attempt, work), recipients=0, spent=spent)

    async def _fetch(self) -> None:
        """Read what is due of each kind that there may be more of, when little of it is left: bulk mail that waits hides no other."""
        if monotonic() >= self._fetch_at:
            self._more = set(Kind)
        wanted = {kind for kind in self._more if len(self._waiting[kind]) < self._limit // 2 and self._rested_at[kind] <= monotonic()}
        if not wanted:
            return
        self._fetch_at = monotonic() + POLL.total_seconds()
        self._more -= wanted
        known = {*self._under_way, *(number for queue in self._waiting.values() for number in queue)}
        kind = next(iter(wanted)) if len(wanted) == 1 else None
        limit = self._limit - sum(len(self._waiting[each]) for each in wanted)
        works = await asyncio.to_thread(self._desk.store.due, self.lane, limit=limit, kind=kind, but=known)
        if len(works) >= limit:
            self._more |= wanted
        elif not works:
            self._rested_at |= dict.fromkeys(wanted, monotonic() + EMPTY.total_seconds())
        self._limit = _room(works)
        for work in works:
            self._waiting[work.message.kind][work.message.id] = work

    async def _start(self) -> timedelta:
        """Start what may start now; how long until the next one may."""
        for queue in self._waiting.values():
            while queue:
                message_id, work = next(iter(queue.items()))
                way = self._ways(self.lane, work.deliveries[0].server)
                try:
                    pause = (way.budget and await self._wait_for(way.budget, work)) or way.pace.pause(len(work.deliveries))
                except ValueError as problem:  # it is larger than a whole window: it could never start
                    del queue[message_id]
                    await self._hold(work, str(problem))
                    continue
                if pause or self._stopped:
                    return pause
                del queue[message_id]
                spent = way.budget.spend(_external(way.budget, work)) if way.budget else None
                self._go(work, way, deliver(self._desk, self.lane, way.transport, work), recipients=len(work.deliveries), spent=spent)
        return POLL

    async def _wait_for(self, budget: Budget, work: Work, *, look: bool = False) -> timedelta:
        """How long a limit that lanes share lets a mail wait. Raises ValueError if it never could start."""
        pause = await budget.afford(_external(budget, work, look=look), self._desk.limit_for(work.message))
        if pause and monotonic() >= self._tell_at:
            self._tell_at = monotonic() + max(pause, LANE_PAUSE).total_seconds()
            rule = budget.rule
            why = f"the limit of {rule.limit} external recipients a day of {rule.name} (external_recipients_per_day) is used up for now"
            events.lane_deferred(self.lane.name, (self._desk.clock() + pause).isoformat(), f"{why}; it is asked again then")
        return pause

    async def _hold(self, work: Work, why: str) -> None:
        events.mail_held(work.message.id, why)
        await asyncio.to_thread(self._desk.store.act, Query(message_id=work.message.id, lane=self.lane.name), Action.HOLD, by=why)

    def _go(self, work: Work, way: Way, attempt: Try, *, recipients: int, spent: Spent | None = None) -> None:
        self._paces.add(way.pace)
        if recipients:
            way.pace.start(recipients)
        self._under_way[work.message.id] = asyncio.create_task(self._one(work, way, attempt, recipients, spent))

    async def _one(self, work: Work, way: Way, attempt: Try, recipients: int, spent: Spent | None) -> None:
        ended = False
        try:
            settled = await attempt
            if spent and (settled is None or not any(map(_may_have_left, settled.outcomes))):
                spent.undo()
            if settled is None:
                self._more.add(work.message.kind)  # somebody else acted, or the lease is gone, and then nothing is due for us
            else:
                await self._heed(settled.outcomes, way)
            ended = True
        except StoreError as problem:
            events.store_trouble(str(problem))
        finally:
            if not ended:
                self.stop()  # what is open is resolved by the lane's next owner
            if recipients:
                way.pace.end(recipients)
            del self._under_way[work.message.id]
            self._turn.set()

    async def _heed(self, outcomes: Iterable[Outcome], way: Way) -> None:
        """What an outcome says about the whole lane."""
        for outcome in outcomes:
            if isinstance(outcome, Held) and outcome.lane:
                events.lane_held(self.lane.name, str(outcome.reply))
                self.stop()
                account = _account_of(self.lane.name)
                await asyncio.to_thread(self._desk.store.hold_lane, self.lane.name, str(outcome.reply), account=account)
                return
            if isinstance(outcome, Deferred) and outcome.lane:
                until = self._desk.clock() + (outcome.retry_after or LANE_PAUSE)
                events.lane_deferred(self.lane.name, until.isoformat(), str(outcome.reply))
                way.pace.block(until)
                await asyncio.to_thread(self._desk.store.defer_lane, self.lane.name, self.lane.epoch, until)
                return

    async def _rest(self, pause: timedelta) -> None:
        for kind in self._more:
            left = self._rested_at[kind] - monotonic()
            if left > 0:
                pause = min(pause, timedelta(seconds=left))
        try:
            async with asyncio.timeout(min(pause, POLL).total_seconds()):
                await self._turn.wait()
        except TimeoutError:
            pass
