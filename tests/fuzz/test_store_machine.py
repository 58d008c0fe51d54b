"""Any order of put, claim, begin, note, settle, crash, expire and people's actions: nothing is lost, nothing begins twice at once.

After every step each delivery has gone one way of `TRANSITIONS` or none. At the end, whatever happened before, everything that
waits can be brought to an end.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailroom.ports import Action, Attempt, DeliveryResult, Lane, NewAttempt, NewMessage, Query, Resolution, Settled, Work
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.model import FINAL, TRANSITIONS, DeliveryId, Kind, LaneName, State
from tests.contract.store.makers import FakeClock, Maker

LANES = ("one", "two")
TTL = timedelta(seconds=30)
ENDS = sorted((set(TRANSITIONS[State.SENDING]) & set(TRANSITIONS[State.UNSURE])) | {State.UNSURE}, key=lambda state: state.value)

workers = st.sampled_from(("ada", "bob"))
lanes = st.sampled_from(LANES)


class StoreMachine(RuleBasedStateMachine):
    """`flying` holds what workers have on the wire; those of a crashed or replaced worker still try to settle, as zombies do."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mailroom-fuzz-"))
        self.clock = FakeClock()
        self.store = self.opened()
        self.make = Maker(self.clock, self.store.node())
        self.messages: list[NewMessage] = []
        self.states: dict[DeliveryId, State] = {}
        self.epochs: dict[str, int] = {}
        self.owned: dict[str, dict[str, Lane]] = {"ada": {}, "bob": {}}
        self.leased: dict[str, str] = {}
        self.flying: list[NewAttempt] = []

    def opened(self) -> SqlStore:
        return open_store(self.folder / "mailroom.db", clock=self.clock)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.everything_can_be_brought_to_an_end()
            self.store.close()
            shutil.rmtree(self.folder)

    # -- what happens

    @rule(lane=lanes, recipients=st.integers(1, 3), kind=st.sampled_from(Kind), due_in=st.sampled_from((0, 0, 20)))
    def put(self, lane: str, recipients: int, kind: Kind, due_in: int) -> None:
        names = (f"r{number}@example.org" for number in range(recipients))
        message = self.make.message(*names, lane=lane, kind=kind, due_in=timedelta(seconds=due_in))
        self.store.put([message])
        self.messages.append(message)
        self.states |= {delivery.id: State.QUEUED for delivery in message.deliveries}

    @rule(worker=workers, want=st.integers(1, 2))
    def claim(self, worker: str, want: int) -> None:
        for lane in self.store.claim(worker, want=want, ttl=TTL):
            assert lane.epoch == self.epochs.get(lane.name, 0) + 1
            self.epochs[lane.name] = lane.epoch
            self.owned[worker][lane.name] = lane
            self.leased[lane.name] = worker

    @rule(worker=workers)
    def renew(self, worker: str) -> None:
        mine = list(self.owned[worker].values())
        assert self.store.renew(worker, mine, TTL) == {lane.name for lane in mine if self.leased.get(lane.name) == worker}

    @rule(worker=workers)
    def release(self, worker: str) -> None:
        """It forgets to stop: until the next owner comes, it may still begin and settle."""
        self.store.release(worker, list(self.owned[worker].values()))
        self.leased = {lane: owner for lane, owner in self.leased.items() if owner != worker}

    @rule(worker=workers, limit=st.integers(1, 3))
    def begin(self, worker: str, limit: int) -> None:
        for lane in self.owned[worker].values():
            works = self.store.due(lane, limit=limit)
            assert not works or self.is_current(lane)
            self.fly(lane, [self.make.attempt(lane, work) for work in works])

    @rule(lane=lanes)
    def begin_what_another_has_seen_too(self, lane: str) -> None:
        """Both workers saw the same due mail; only the lane's owner may begin, and only once."""
        seen = [(mine, self.store.due(mine, limit=2)) for worker in self.owned.values() if (mine := worker.get(LaneName(lane)))]
        for mine, works in seen + seen:
            self.fly(mine, [self.make.attempt(mine, work) for work in works])

    def fly(self, lane: Lane, attempts: list[NewAttempt]) -> None:
        begun = self.store.begin(attempts)
        covered = [number for attempt in attempts if attempt.id in begun for number in attempt.delivery_ids]
        assert len(covered) == len(set(covered))
        assert not begun or self.is_current(lane)
        for number in covered:
            assert self.states[number] in (State.QUEUED, State.UNSURE), "begun while it was under way, or done"
            self.states[number] = State.SENDING
        self.flying += [attempt for attempt in attempts if attempt.id in begun]

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def note(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.flying))
        if self.store.note(self.make.note(attempt, {"draft_id": "d"})):
            assert self.epochs[attempt.lane] == attempt.epoch, "a stale owner goes on to its next step"

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), zombie=st.booleans())
    def settle(self, data: st.DataObject, zombie: bool) -> None:
        attempt = data.draw(st.sampled_from(self.flying))
        if not zombie:
            self.flying.remove(attempt)
        before = dict(self.states)
        self.store.settle([self.end(data, attempt, attempt.epoch)])
        self.observe()
        if self.epochs[attempt.lane] != attempt.epoch:
            assert self.states == before, "a stale owner has settled"

    def end(self, data: st.DataObject, attempt: NewAttempt | Attempt, epoch: int) -> Settled:
        results = tuple(self.result(number, data.draw(st.sampled_from(ENDS))) for number in attempt.delivery_ids)
        return replace(self.make.settled(attempt, State.SENT, epoch=epoch), deliveries=results)

    def result(self, number: DeliveryId, state: State) -> DeliveryResult:
        waits = state in (State.QUEUED, State.UNSURE)
        return DeliveryResult(id=number, state=state, due_at=self.clock() + timedelta(seconds=5) if waits else None, reply=None)

    @rule(worker=workers, data=st.data(), again=st.booleans())
    def look(self, worker: str, data: st.DataObject, again: bool) -> None:
        for lane in self.owned[worker].values():
            for attempt, work in self.store.unresolved(lane, limit=2):
                assert self.is_current(lane)
                self.check_unresolved(attempt, work, lane)
                if again and all(delivery.state is State.UNSURE for delivery in work.deliveries):
                    self.fly(lane, [self.make.attempt(lane, work)])
                else:
                    self.store.settle([self.end(data, attempt, lane.epoch)])
                    self.observe()

    def check_unresolved(self, attempt: Attempt, work: Work, lane: Lane) -> None:
        assert work.deliveries
        assert {delivery.id for delivery in work.deliveries} <= set(attempt.delivery_ids)
        for delivery in work.deliveries:
            assert delivery.state in (State.SENDING, State.UNSURE)
        if attempt.resolution is Resolution.OPEN:
            assert attempt.epoch < lane.epoch, "an attempt of our own is under way"
            assert attempt.deadline <= self.clock()

    @rule()
    def crash(self) -> None:
        """Every process dies; the next boot ends their leases. What was on the wire may still answer to a zombie."""
        self.store.close()
        self.store = self.opened()
        self.store.end_leases()
        self.leased = {}

    @rule(seconds=st.sampled_from((1, 5, 31, 400, 5 * 86_400)))
    def time_passes(self, seconds: int) -> None:
        self.clock.go_on(seconds=seconds)

    @rule(action=st.sampled_from(Action), one=st.booleans(), data=st.data())
    def act(self, action: Action, one: bool, data: st.DataObject) -> None:
        query = Query(lane=data.draw(lanes))
        if self.states and one:
            query = Query(delivery_id=data.draw(st.sampled_from(sorted(self.states))))
        sending = {number for number, state in self.states.items() if state is State.SENDING}
        self.store.act(query, action, by="eve", limit=data.draw(st.integers(1, 5)))
        self.observe()
        assert sending == {number for number, state in self.states.items() if state is State.SENDING}

    @rule(lane=lanes, free=st.booleans())
    def hold(self, lane: str, free: bool) -> None:
        if free:
            self.store.free_lane(LaneName(lane))
        else:
            self.store.hold_lane(LaneName(lane), "a person wants it")

    @rule(limit=st.integers(1, 3))
    def expire(self, limit: int) -> None:
        works = self.store.expired(limit=limit)
        for delivery in (delivery for work in works for delivery in work.deliveries):
            assert delivery.expires_at <= self.clock()
        self.store.fail_expired([self.result(delivery.id, State.FAILED) for work in works for delivery in work.deliveries], [])
        self.observe()

    # -- what stays true

    def is_current(self, lane: Lane) -> bool:
        return self.epochs[lane.name] == lane.epoch

    def observe(self) -> None:
        """Take over the states that the store has; each may have gone one way of the table."""
        for message in self.messages:
            story = self.store.story(message.id)
            assert story is not None, "a message is lost"
            for delivery in story.deliveries:
                before = self.states[delivery.id]
                assert delivery.state is before or delivery.state in TRANSITIONS[before]
                self.states[delivery.id] = delivery.state

    @invariant()
    def nothing_is_lost_and_all_is_as_we_know_it(self) -> None:
        if not hasattr(self, "folder"):
            return
        for message in self.messages:
            story = self.store.story(message.id)
            assert story is not None
            assert [delivery.id for delivery in story.deliveries] == [delivery.id for delivery in message.deliveries]
            for delivery in story.deliveries:
                assert delivery.state is self.states[delivery.id]
                assert (delivery.due_at is not None) == (delivery.state in (State.QUEUED, State.UNSURE))
                covering = [a for a in story.attempts if a.resolution is not Resolution.DONE and delivery.id in a.delivery_ids]
                if delivery.state is State.SENDING:
                    assert [attempt.resolution for attempt in covering].count(Resolution.OPEN) == 1
                if delivery.state is State.UNSURE:
                    assert Resolution.UNSURE in {attempt.resolution for attempt in covering}
        assert self.store.counts() == {state: list(self.states.values()).count(state) for state in State}

    def everything_can_be_brought_to_an_end(self) -> None:
        for name in LANES:
            self.store.free_lane(LaneName(name))
        while self.store.act(Query(states=frozenset({State.HELD})), Action.RETRY, by="eve"):
            pass
        for _ in range(3):
            self.store.end_leases()
            self.clock.go_on(hours=1)
            for lane in self.store.claim("last", want=5, ttl=TTL):
                for attempt, work in self.store.unresolved(lane, limit=1000):
                    numbers = [delivery.id for delivery in work.deliveries]
                    self.store.settle([self.make.settled(attempt, State.SENT, epoch=lane.epoch, only=numbers)])
                attempts = [self.make.attempt(lane, work) for work in self.store.due(lane, limit=1000)]
                assert self.store.begin(attempts) == {attempt.id for attempt in attempts}
                self.store.settle([self.make.settled(attempt, State.SENT) for attempt in attempts])
        assert sum(count for state, count in self.store.counts().items() if state not in FINAL) == 0


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
