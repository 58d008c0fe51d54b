"""Who tells: one worker of all reads what is new, makes notices, and calls each target on its own.

    news -> notices and cursor, one commit -> each target: due, call, judge, commit

What has been called and not committed when the process dies is due still, and is called again by the next one, with the same id. Threads,
connections and commits are the teller's own: what happens here never stands in the way of mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from time import monotonic
from typing import Protocol, TypeVar

from mailroom.batching import GroupCommit
from mailroom.notices import NOTICING, NewNotice, News, Notice, NoticeId, Notices, NoticeState, Tried
from mailroom.objects import Directory, Webhook
from mailroom.observe import events
from mailroom.observe.faults import place_of
from mailroom.ports import Clock
from mailroom.transports.guarded import Caller, Target
from mailroom.webhooks import bodies, signing
from mailroom.webhooks.calling import call
from mailroom.webhooks.judging import WHOLE, judge
from mailroom_core.errors import MailroomError, StoreError
from mailroom_core.model import show_id

T = TypeVar("T")

POLL = timedelta(milliseconds=500)
LEASE = timedelta(seconds=15)
PAGE = 500
"""Events read at once."""
FETCH = 50
"""Notices of one target read at once."""
AT_ONCE = 4
"""Calls of one target under way."""
PATIENCE = 3
"""After so many failures in a row a target gets one call at a time, and after each of them a rest: what waits may be a day's events."""
REST = timedelta(seconds=1)
SECRET = timedelta(seconds=1)
AFTER_A_MISTAKE = timedelta(seconds=30)
FORGET_EVERY = timedelta(minutes=10)
AT_ONCE_FORGOTTEN = 500


class Leases(Protocol):
    """What the teller needs of `ports.Store`."""

    def lease(self, name: str, owner: str, ttl: timedelta) -> bool: ...

    def unlease(self, name: str, owner: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the teller works with."""

    notices: Notices
    leases: Leases
    owner: str
    directory: Callable[[], Directory]
    secret: Callable[[str], Mapping[str, str] | None]
    """Blocking: opens the vault."""
    caller: Caller
    ids: Callable[[], int]
    clock: Clock
    random: Random
    keep: timedelta


@dataclass(slots=True)
class Teller:
    """Runs until it is told to stop. One in each worker process; one of all has the lease."""

    house: House
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, thread_name_prefix="webhooks"))
    _runners: dict[str, _Runner] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _leased_until: float = 0.0
    _forget_at: float = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; what is under way is left to the next teller."""
        commit = GroupCommit("tries", self._record)
        try:
            while not stop.is_set():
                if not await self._careful_round(commit):
                    try:
                        await asyncio.wait_for(stop.wait(), POLL.total_seconds())
                    except TimeoutError:
                        pass
        finally:
            await self._stop_all()
            await commit.close()
            if self._leased_until:
                await self._blocking(self.house.leases.unlease, NOTICING, self.house.owner)
            self._threads.shutdown(wait=False)

    async def _careful_round(self, commit: Commit) -> bool:
        try:
            return await self._round(commit)
        except MailroomError as problem:
            events.store_trouble(str(problem))
        except Exception as problem:  # noqa: BLE001  # whatever it is, mail goes on
            events.webhook_broke("", place_of(problem))
            await asyncio.sleep(AFTER_A_MISTAKE.total_seconds())
        return False

    async def _round(self, commit: Commit) -> bool:
        """Whether there may be more at once. Without a webhook nothing at all is done."""
        webhooks = self.house.directory().webhooks
        if not webhooks or not await self._has_lease():
            await self._stop_all()
            return False
        heard = await self._blocking(self._tell)
        await self._run_targets(webhooks, commit)
        if heard:
            for runner in self._runners.values():
                runner.nudge()
        await self._forget()
        return heard == PAGE

    async def _has_lease(self) -> bool:
        """Renewed when a third of it is over."""
        if monotonic() < self._leased_until - LEASE.total_seconds() * 2 / 3:
            return True
        asked = monotonic()
        ours = await self._blocking(self.house.leases.lease, NOTICING, self.house.owner, LEASE)
        self._leased_until = asked + LEASE.total_seconds() if ours else 0.0
        return ours

    def _tell(self) -> int:
        """Make notices of what is new. Blocking. How much it was; a whole page means that there may be more."""
        news = self.house.notices.happenings(limit=PAGE)
        if news is None or not news.happenings:
            return 0
        return len(news.happenings) if self.house.notices.enqueue(news, self._notices_of(news)) else 0

    def _notices_of(self, news: News) -> list[NewNotice]:
        made = []
        for happening in news.happenings:
            if told := bodies.wanted(news.webhooks, happening):
                body = bodies.body_of(happening)
                made += [
                    NewNotice(
                        id=NoticeId(self.house.ids()),
                        webhook=webhook.name,
                        event=happening.name,
                        message_id=happening.message_id,
                        body=body,
                    )
                    for webhook in told
                ]
        return made

    async def _run_targets(self, webhooks: Mapping[str, Webhook], commit: Commit) -> None:
        """Who was stopped is started again with the next round at the earliest, by what the directory says then."""
        over = [name for name, runner in self._runners.items() if webhooks.get(name) != runner.webhook or self._tasks[name].done()]
        for name in over:
            await self._stop(name)
        for name, webhook in webhooks.items():
            if webhook.active and name not in self._runners and name not in over:
                runner = self._runners[name] = _Runner(webhook, self.house, self._blocking, commit)
                self._tasks[name] = asyncio.create_task(runner.run())

    async def _stop(self, name: str) -> None:
        task, runner = self._tasks.pop(name), self._runners.pop(name)
        task.cancel()
        await asyncio.wait({task})
        await runner.close()

    async def _stop_all(self) -> None:
        for name in list(self._runners):
            await self._stop(name)

    def _record(self, batch: Sequence[Tried]) -> None:
        """Blocking; for the group commit."""
        for gone in self.house.notices.record_tries(batch, give_up=self.house.clock() - WHOLE):
            events.webhook_gone(gone)

    async def _forget(self) -> None:
        if monotonic() < self._forget_at:
            return
        self._forget_at = monotonic() + FORGET_EVERY.total_seconds()
        before = self.house.clock() - self.house.keep
        while await self._blocking(partial(self.house.notices.forget_notices, before, limit=AT_ONCE_FORGOTTEN)):
            pass

    async def _blocking(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments))


Commit = GroupCommit[Tried, None]


class Blocking(Protocol):
    """Does work in threads that mail does not use."""

    async def __call__(self, work: Callable[..., T], *arguments: object) -> T: ...


class _Runner:
    """Calls one target: at most so many calls at once, one alone while it fails."""

    def __init__(self, webhook: Webhook, house: House, blocking: Blocking, commit: Commit) -> None:
        self.webhook = webhook
        self._house = house
        self._blocking = blocking
        self._commit = commit
        self._target: Target = house.caller.target(webhook.url, connections=AT_ONCE)
        self._turn = asyncio.Event()
        self._waiting: dict[NoticeId, Notice] = {}
        self._under_way: dict[NoticeId, asyncio.Task[None]] = {}
        self._failures = 0
        self._gone = False
        self._known_secret: tuple[Mapping[str, str] | None, float] = (None, 0.0)

    def nudge(self) -> None:
        self._turn.set()

    async def run(self) -> None:
        """Until it is cancelled, or its target is gone."""
        while not self._gone:
            try:
                self._turn.clear()
                await self._fetch()
                self._start()
                await self._rest()
            except StoreError as problem:
                events.store_trouble(str(problem))
                await asyncio.sleep(POLL.total_seconds())
            except Exception as problem:  # noqa: BLE001  # one target: a mistake of ours there stops neither mail nor other targets
                events.webhook_broke(self.webhook.name, place_of(problem))
                await asyncio.sleep(AFTER_A_MISTAKE.total_seconds())

    async def _fetch(self) -> None:
        if self._waiting:
            return
        limit = FETCH + len(self._under_way)
        under_way = set(self._under_way)
        due = await self._blocking(partial(self._house.notices.due_notices, self.webhook.name, limit=limit))
        self._waiting = {notice.id: notice for notice in due if notice.id not in under_way}

    def _start(self) -> None:
        room = 0 if self._gone else (1 if self._failures >= PATIENCE else AT_ONCE) - len(self._under_way)
        for number in list(self._waiting)[: max(room, 0)]:
            self._under_way[number] = asyncio.create_task(self._one(self._waiting.pop(number)))

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL.total_seconds()):
                await self._turn.wait()
        except TimeoutError:
            pass

    async def _one(self, notice: Notice) -> None:
        number = show_id(notice.id)
        try:
            secret = await self._secret()
            called = await call(self._target, secret, number, notice.body.encode(), self._house.clock)
            now = self._house.clock()
            tried = judge(notice, called.tried, called.answer, now=now, chance=self._house.random.random())
            await self._commit(tried)
            self._heed(notice, tried)
            if self._failures >= PATIENCE:
                await asyncio.sleep(REST.total_seconds())
        except MailroomError as problem:
            events.store_trouble(str(problem))
            self._failures += 1
            await asyncio.sleep(POLL.total_seconds())
        finally:
            del self._under_way[notice.id]
            self._turn.set()

    async def _secret(self) -> Mapping[str, str] | None:
        """Read again after a second: opening the vault costs as much as a call."""
        known, until = self._known_secret
        if known is None or monotonic() > until:
            known = await self._blocking(self._house.secret, signing.secret_of(self.webhook.name))
            self._known_secret = (known, monotonic() + SECRET.total_seconds())
        return known

    def _heed(self, notice: Notice, tried: Tried) -> None:
        if tried.state is NoticeState.DELIVERED:
            self._failures = 0
            events.webhook_told(self.webhook.name, notice.id, notice.event)
            return
        self._failures += 1
        self._gone |= tried.gone
        if tried.pause_until is not None:
            self._waiting.clear()  # they are due again when the pause is over
        if tried.state is NoticeState.GIVEN_UP:
            events.webhook_given_up(self.webhook.name, notice.id, notice.event)
        else:
            why = "" if tried.tried.status else tried.tried.answer  # what a target says may hold anything, and is in the store alone
            events.webhook_deferred(self.webhook.name, notice.id, tried.tried.status, why)

    async def close(self) -> None:
        """What is under way is dropped, and stays due."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self._target.close()
