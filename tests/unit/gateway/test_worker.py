"""The worker over a real store, with transports that do as they are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mailroom.budget import Budget, Rule
from mailroom.lanes import LanePace
from mailroom.ports import Action, Job, NewMessage, Query, Remember, Store
from mailroom.queue.attempt import Desk
from mailroom.queue.ledger import Ledger
from mailroom.queue.worker import LEASE, LaneRunner, Way, Worker
from mailroom.store.open import open_store
from mailroom.wakeup import PipeWakeup
from mailroom_core.errors import ConfigError, StoreError, VaultError
from mailroom_core.model import (
    Deferred,
    DeliveryId,
    Failed,
    Held,
    Kind,
    LaneName,
    Outcome,
    Reply,
    Sent,
    State,
    Unknown,
)
from mailroom_core.policy.pace import Limits, Unit, Window
from tests.contract.store.makers import START, FakeClock, Maker
from tests.contract.store.memory_blobs import MemoryBlobs

pytestmark = pytest.mark.anyio
LANE = LaneName("smarthost:out")
YES = Sent(Reply(250, "fine"))
Act = Callable[[Job], Outcome]


class Fake:
    """A transport. `attempts` and `looks` say what comes out; both remember what they were given."""

    way = "fake"

    def __init__(self, attempt: Act = lambda job: YES, look: Act = lambda job: Unknown("not yet"), *, noting: bool = True) -> None:
        self.act, self.look, self.noting = attempt, look, noting
        self.sent: list[str] = []
        self.looked: list[str] = []
        self.running = self.most = 0
        self.gate: asyncio.Event | None = None

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        self.sent.append(job.message.subject)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.noting:
                await remember({"draft_id": job.attempt.marker})
            if self.gate:
                await self.gate.wait()
            return dict.fromkeys(job.recipients, self.act(job))
        finally:
            self.running -= 1

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        self.looked.append(job.attempt.facts.get("draft_id", ""))
        return dict.fromkeys(job.recipients, self.look(job))

    async def close(self) -> None: ...


class House:
    """A worker over a database in a file."""

    def __init__(self, folder: Path, transport: Fake, *, at_once: int = 4) -> None:
        self.store: Store = open_store(folder / "db", clock=now)
        self.maker = Maker(now)
        self.transport = transport
        self.way = Way(transport, LanePace(now, mails=Limits((), at_once)))
        self.wakeup = PipeWakeup()

    def put(self, *subjects: str, kind: Kind = Kind.TRANSACTIONAL) -> list[NewMessage]:
        made = [self.maker.message("anna@example.org", lane=LANE, subject=subject, kind=kind) for subject in subjects]
        self.store.put(made)
        self.wakeup.notify()
        return made

    def worker(self, name: str = "me") -> Worker:
        desk = Desk(
            store=self.store,
            blobs=MemoryBlobs(),
            ids=self.maker.ids,
            clock=now,
            random=Random(1),
            ledger=Ledger(self.store),
            time_limit=timedelta(seconds=20),
            looks=(timedelta(milliseconds=20), timedelta(milliseconds=20), timedelta(hours=1)),
        )
        return Worker(name, desk, lambda lane, server: self.way, self.wakeup)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.worker().run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 30)
            self.store.close()

    def states(self) -> list[State]:
        found, _ = self.store.find(Query(), limit=1000)
        return [item.delivery.state for item in found]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not reached():
                await asyncio.sleep(0.01)


def now() -> datetime:
    return datetime.now(UTC)


async def test_everything_is_sent_once_and_never_more_at_once_than_the_pace_allows(tmp_path: Path) -> None:
    house = House(tmp_path, Fake(), at_once=3)
    async with house.running():
        house.put(*(f"mail {number}" for number in range(130)))
        await house.until(lambda: set(house.states()) == {State.SENT})
    assert sorted(house.transport.sent) == sorted(f"mail {number}" for number in range(130))
    assert house.transport.most <= 3


async def test_bulk_mail_that_waits_does_not_delay_transactional_mail(tmp_path: Path) -> None:
    house = House(tmp_path, Fake(), at_once=1)
    house.transport.gate = asyncio.Event()
    async with house.running():
        house.put(*(f"bulk {number}" for number in range(150)), kind=Kind.BULK)
        await house.until(lambda: house.transport.running == 1)
        house.put("invoice")
        await asyncio.sleep(0.3)
        house.transport.gate.set()
        await house.until(lambda: "invoice" in house.transport.sent)
    assert house.transport.sent.index("invoice") <= 2


async def test_a_dead_grant_holds_the_lane_and_fails_nothing_until_a_person_acts(tmp_path: Path) -> None:
    house = House(tmp_path, Fake(lambda job: Held(Reply(0, "connect it again"), lane=True)), at_once=1)
    async with house.running():
        house.put("one", "two", "three")
        await house.until(lambda: any(lane.held for lane in house.store.lanes()))
        tried = len(house.transport.sent)
        assert set(house.states()) <= {State.QUEUED, State.SENDING}
        house.transport.act = lambda job: YES
        house.store.free_lane(LANE)
        await house.until(lambda: set(house.states()) == {State.SENT})
    assert tried <= 2


async def test_the_log_says_where_a_mistake_of_ours_is_and_not_what_it_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(runner: LaneRunner) -> None:
        raise ValueError("in 'Dear Mary'")

    told: list[str] = []
    monkeypatch.setattr(LaneRunner, "run", broken)
    monkeypatch.setattr("mailroom.queue.worker.AFTER_A_MISTAKE", timedelta(milliseconds=20))
    monkeypatch.setattr("mailroom.observe.events.worker_broke", lambda lane, why: told.append(why))
    house = House(tmp_path, Fake())
    async with house.running():
        house.put("one")
        await house.until(lambda: bool(told))
    assert re.fullmatch(r"ValueError in test_worker\.py:\d+", told[0])


async def test_a_vault_in_trouble_is_no_reason_to_fail(tmp_path: Path) -> None:
    def broken(job: Job) -> Outcome:
        raise VaultError("Microsoft is busy", transient=True)

    house = House(tmp_path, Fake(broken, noting=False))
    async with house.running():
        house.put("one")
        await house.until(lambda: any("Microsoft is busy" in str(item.delivery.reply) for item in house.store.find(Query(), limit=9)[0]))
        assert house.states() == [State.QUEUED]


async def test_a_token_that_is_missing_in_the_middle_or_at_a_look_never_begins_a_mail_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailroom.queue.worker.LANE_PAUSE", timedelta(milliseconds=20))

    def broken(job: Job) -> Outcome:
        raise VaultError("login is down", transient=True)

    house = House(tmp_path, Fake(broken, broken))
    async with house.running():
        house.put("one")
        await house.until(lambda: len(house.transport.looked) >= 2)
        assert house.states() == [State.UNSURE]
    assert house.transport.sent == ["one"]


async def test_a_cancelled_mail_leaves_the_others_of_its_lane_alone(tmp_path: Path) -> None:
    house = House(tmp_path, Fake(), at_once=1)
    house.transport.gate = asyncio.Event()
    async with house.running():
        _, second, _ = house.put("one", "two", "three")
        await house.until(lambda: house.transport.running == 1)
        assert house.store.act(Query(message_id=second.id), Action.CANCEL, by="test") == 1
        house.transport.gate.set()
        await house.until(lambda: sorted(state.value for state in house.states()) == ["cancelled", "sent", "sent"])
        (lane,) = house.store.lanes()
        assert lane.owned
    assert house.transport.sent == ["one", "three"]


async def test_a_mail_that_is_larger_than_a_limit_is_held_alone(tmp_path: Path) -> None:
    house = House(tmp_path, Fake())
    house.way = Way(house.transport, LanePace(now, mails=Limits((Window(Unit.RECIPIENTS, 1, timedelta(days=1)),), 4)))
    two = house.maker.message("anna@example.org", "bob@example.org", lane=LANE, subject="two")
    async with house.running():
        house.store.put([two])
        house.put("one")
        await house.until(lambda: sorted(state.value for state in house.states()) == ["held", "held", "sent"])


async def test_a_mail_whose_bytes_are_gone_is_held_and_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, Fake())
    async with house.running():
        house.store.put([house.maker.message("anna@example.org", lane=LANE, raw=None, blob="missing.eml")])
        await house.until(lambda: house.states() == [State.HELD])
    assert not house.transport.sent


async def test_an_answer_is_kept_though_the_store_is_busy_when_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, Fake())
    house.transport.gate = asyncio.Event()
    record = house.store.record
    busy = True

    def moody(**batch: object) -> object:
        if busy and batch["ended"]:
            raise StoreError("busy")
        return record(**batch)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(house.store, "record", moody)
    async with house.running():
        house.put("one")
        await house.until(lambda: house.transport.running == 1)
        house.transport.gate.set()
        await house.until(lambda: house.transport.running == 0)
        await asyncio.sleep(0.2)
        assert house.states() == [State.SENDING]
        busy = False
        await house.until(lambda: house.states() == [State.SENT])
    assert house.transport.sent == ["one"]


async def test_a_lane_goes_on_as_soon_as_the_database_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for the end of a lease whose owner works no more."""
    house = House(tmp_path, Fake())
    gone, refused = True, list[str]()

    def unless_gone(name: str) -> None:
        real = getattr(house.store, name)

        def method(*given: Any, **named: Any) -> Any:
            if gone:
                refused.append(name)
                raise StoreError("the database is gone")
            return real(*given, **named)

        monkeypatch.setattr(house.store, name, method)

    for name in ("record", "release"):
        unless_gone(name)
    async with house.running():
        house.put("one", "two")
        await house.until(lambda: {"record", "release"} <= set(refused))
        gone = False
        async with asyncio.timeout(LEASE.total_seconds() / 3):
            await house.until(lambda: set(house.states()) == {State.SENT})
    assert sorted(house.transport.sent) == ["one", "two"]


async def test_a_pause_that_the_provider_wants_stops_the_whole_lane(tmp_path: Path) -> None:
    house = House(tmp_path, Fake(lambda job: Deferred(Reply(429, "slow down"), timedelta(hours=1), lane=True)), at_once=1)
    async with house.running():
        house.put("one", "two")
        await house.until(lambda: bool(house.transport.sent) and not house.transport.running and State.SENDING not in house.states())
        await asyncio.sleep(0.1)
        assert len(house.transport.sent) == 1
        (lane,) = house.store.lanes()
        assert lane.due_at is not None
        assert lane.due_at > now() + timedelta(minutes=50)


async def test_a_bug_of_ours_neither_fails_a_mail_nor_sends_it_again_unasked(tmp_path: Path) -> None:
    def bug(job: Job) -> Outcome:
        raise ZeroDivisionError

    house = House(tmp_path, Fake(bug))
    async with house.running():
        house.put("one")
        await house.until(lambda: len(house.transport.looked) >= 2)
        assert house.states() == [State.UNSURE]
    assert house.transport.sent == ["one"]
    assert len(set(house.transport.looked)) == 1
    assert house.transport.looked[0]


async def test_the_way_of_an_attempt_is_stored_before_anything_leaves(tmp_path: Path) -> None:
    stored: list[Mapping[str, str]] = []

    def act(job: Job) -> Outcome:
        story = house.store.story(job.message.id)
        assert story is not None
        stored.extend(attempt.facts for attempt in story.attempts)
        return YES

    house = House(tmp_path, Fake(act))
    async with house.running():
        house.put("one")
        await house.until(lambda: house.states() == [State.SENT])
    assert [facts["way"] for facts in stored] == ["fake"]


async def test_what_a_look_finds_ends_the_doubt(tmp_path: Path) -> None:
    house = House(tmp_path, Fake(lambda job: Unknown("no answer"), lambda job: YES))
    async with house.running():
        house.put("one", "two")
        await house.until(lambda: set(house.states()) == {State.SENT})
    assert sorted(house.transport.sent) == ["one", "two"]


async def test_a_server_that_is_gone_holds_the_lane_and_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, Fake())

    def gone(lane: object, server: str) -> Way:
        raise ConfigError("the outgoing server 'out' does not exist any more")

    worker = house.worker()
    worker.ways = gone
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    house.put("one")
    await house.until(lambda: any("does not exist" in lane.held for lane in house.store.lanes()))
    stop.set()
    await task
    assert house.states() == [State.QUEUED]
    house.store.close()


async def test_a_request_to_stop_lets_what_is_under_way_end(tmp_path: Path) -> None:
    house = House(tmp_path, Fake())
    house.transport.gate = asyncio.Event()
    stop = asyncio.Event()
    task = asyncio.create_task(house.worker().run(stop))
    house.put("one")
    await house.until(lambda: house.transport.running == 1)
    stop.set()
    await asyncio.sleep(0.05)
    assert not task.done()
    house.transport.gate.set()
    await asyncio.wait_for(task, 10)
    assert house.states() == [State.SENT]
    house.store.close()


ONE, TWO = LaneName("graph:one:a@example.com"), LaneName("graph:two:b@example.com")


class Shared(House):
    """Two lanes of one tenant, and time that stands still until it is told to go on."""

    def __init__(self, folder: Path, transport: Fake, *, limit: int) -> None:
        super().__init__(folder, transport)
        self.clock = FakeClock()
        self.store.close()
        self.store = open_store(folder / "db", clock=self.clock)
        self.maker = Maker(self.clock)
        budget = Budget(self.store.budgets, Rule("tenant:a", limit, frozenset({"example.com"})), self.clock, self.steady)
        self.way = Way(transport, LanePace(self.clock, mails=Limits((), 4), steady=self.steady), budget)

    def steady(self) -> float:
        return (self.clock() - START).total_seconds()

    def worker(self, name: str = "me") -> Worker:
        worker = super().worker(name)
        worker.desk = replace(worker.desk, clock=self.clock)
        return worker

    def give(self, *recipients: str, lane: LaneName = ONE) -> NewMessage:
        made = self.maker.message(*recipients, lane=lane, subject=recipients[0])
        self.store.put([made])
        self.wakeup.notify()
        return made


@pytest.fixture
def deferred(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was said of lanes that wait."""
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr("mailroom.observe.events.lane_deferred", lambda *said: told.append(said))
    return told


async def test_lanes_of_one_tenant_never_pass_its_limit_together_and_go_on_a_day_later(
    tmp_path: Path, deferred: list[tuple[str, ...]]
) -> None:
    house = Shared(tmp_path, Fake(), limit=5)
    async with house.running():
        for number in range(4):
            house.give(f"one{number}@else.example", lane=ONE)
            house.give(f"two{number}@else.example", lane=TWO)
        await house.until(lambda: len(house.transport.sent) == 5)
        await house.until(lambda: bool(deferred))
        assert house.store.budgets.taken("tenant:a") == 5
        await house.until(lambda: sorted(state.value for state in house.states()) == ["queued"] * 3 + ["sent"] * 5)
        house.clock.go_on(hours=26)
        await house.until(lambda: set(house.states()) == {State.SENT})
    assert len(house.transport.sent) == 8
    lanes = [lane for lane, _, _ in deferred]
    assert len(lanes) == len(set(lanes)), "each lane says it once"
    assert "5 external recipients a day of tenant:a" in deferred[0][2]


async def test_a_mail_to_ourselves_leaves_though_the_limit_of_external_recipients_is_used_up(tmp_path: Path) -> None:
    house = Shared(tmp_path, Fake(), limit=1)
    house.store.budgets.take("tenant:a", 1, 1, timedelta(days=2))
    async with house.running():
        house.give("anna@else.example", lane=TWO)
        house.give("bob@example.com")
        await house.until(lambda: house.transport.sent == ["bob@example.com"])


async def test_a_mail_with_more_external_recipients_than_a_day_allows_is_held_alone(tmp_path: Path) -> None:
    house = Shared(tmp_path, Fake(), limit=1)
    async with house.running():
        house.give("anna@else.example", "bob@else.example")
        house.give("carl@else.example")
        await house.until(lambda: sorted(state.value for state in house.states()) == ["held", "held", "sent"])


async def test_what_the_provider_refuses_takes_nothing_of_the_limit(tmp_path: Path) -> None:
    house = Shared(tmp_path, Fake(lambda job: Failed(Reply(550, "no such user"))), limit=1)
    async with house.running():
        house.give("anna@else.example")
        await house.until(lambda: house.states() == [State.FAILED])
        house.transport.act = lambda job: YES
        house.give("bob@else.example")
        await house.until(lambda: State.SENT in house.states())


async def test_a_look_waits_for_the_limit_because_it_may_send_again(tmp_path: Path, deferred: list[tuple[str, ...]]) -> None:
    house = Shared(tmp_path, Fake(lambda job: Unknown("no answer", looked=False), lambda job: YES), limit=1)
    async with house.running():
        house.give("anna@else.example")
        await house.until(lambda: house.states() == [State.UNSURE])
        house.clock.go_on(minutes=1)
        await house.until(lambda: bool(deferred))
        assert house.transport.looked == []
        house.clock.go_on(hours=26)
        await house.until(lambda: house.states() == [State.SENT])
    assert len(house.transport.looked) == 1
