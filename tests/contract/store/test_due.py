from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mailroom.ports import Lane, NewMessage, Resolution, Store
from mailroom_core.model import Kind, State
from tests.contract.store.makers import LANE, FakeClock, Maker, claim_one


def test_transactional_mail_comes_first_then_what_is_oldest(store: Store, make: Maker, clock: FakeClock) -> None:
    bulk, later = make.message(kind=Kind.BULK), make.message(due_in=timedelta(seconds=2))
    sooner = make.message(due_in=timedelta(seconds=1))
    store.put([bulk, later, sooner])
    clock.go_on(seconds=3)
    lane = claim_one(store)
    assert [work.message.id for work in store.due(lane, limit=5)] == [sooner.id, later.id, bulk.id]
    assert [work.message.id for work in store.due(lane, limit=5, kind=Kind.BULK)] == [bulk.id]
    assert [work.message.id for work in store.due(lane, limit=5, kind=Kind.TRANSACTIONAL)] == [sooner.id, later.id]


def test_bulk_mail_fills_what_transactional_mail_leaves(store: Store, make: Maker) -> None:
    store.put([make.message(kind=Kind.BULK) for _ in range(3)] + [make.message()])
    works = store.due(claim_one(store), limit=3)
    assert [work.message.kind for work in works] == [Kind.TRANSACTIONAL, Kind.BULK, Kind.BULK]


def test_the_limit_counts_messages_and_their_deliveries_come_together(store: Store, make: Maker) -> None:
    messages = [make.message(*(f"r{number}@example.org" for number in range(10))) for _ in range(5)]
    store.put(messages)
    works = store.due(claim_one(store), limit=3)
    assert [work.message.id for work in works] == [message.id for message in messages[:3]]
    assert [len(work.deliveries) for work in works] == [10, 10, 10]


def test_deliveries_on_another_lane_or_due_later_stay_away(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message()
    store.put([message, make.message(lane="other")])
    lane = next(lane for lane in store.claim("worker", want=2, ttl=timedelta(hours=1)) if lane.name == LANE)
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    store.settle([make.settled(attempt, State.QUEUED, due_in=timedelta(minutes=3))])
    assert store.due(lane, limit=5) == []
    clock.go_on(minutes=3)
    assert [work.message.id for work in store.due(lane, limit=5)] == [message.id]


def test_the_bytes_come_along(store: Store, lane: Lane, message: NewMessage) -> None:
    assert [work.message.raw for work in store.due(lane, limit=1)] == [message.raw]


def test_who_lost_the_lane_has_nothing_to_do(store: Store, lane: Lane, clock: FakeClock) -> None:
    clock.go_on(minutes=1)
    mine = claim_one(store, "other")
    assert store.due(lane, limit=1) == []
    assert store.unresolved(lane, limit=1) == []
    assert len(store.due(mine, limit=1)) == 1


def test_an_open_attempt_is_left_alone_until_its_deadline_then_its_lane_is_claimed(
    store: Store, lane: Lane, make: Maker, clock: FakeClock
) -> None:
    attempt = make.attempt(lane, store.due(lane, limit=1)[0], facts={"draft_id": "d1"})
    assert store.begin([attempt]) == {attempt.id}
    store.note(make.note(attempt, {"internet_message_id": "<i>"}))
    clock.go_on(minutes=4)
    assert store.claim("other", want=1, ttl=timedelta(seconds=30)) == []
    assert [status.due_at for status in store.lanes()] == [attempt.deadline]
    clock.go_on(minutes=1)
    other = claim_one(store, "other")
    assert store.due(other, limit=1) == []
    ((found, work),) = store.unresolved(other, limit=5)
    assert (found.id, found.epoch, found.resolution, found.looks) == (attempt.id, lane.epoch, Resolution.OPEN, 0)
    assert found.facts == {"draft_id": "d1", "internet_message_id": "<i>"}
    assert (found.marker, found.deadline, found.delivery_ids) == ("marker", attempt.deadline, attempt.delivery_ids)
    assert [delivery.state for delivery in work.deliveries] == [State.SENDING]
    assert work.message.raw is not None


def test_an_open_attempt_of_our_own_is_under_way_and_not_unresolved(store: Store, lane: Lane, make: Maker, clock: FakeClock) -> None:
    make.begun(store, lane, store.due(lane, limit=1))
    clock.go_on(hours=1)
    assert store.unresolved(lane, limit=5) == []


def test_after_a_boot_open_attempts_are_looked_at_at_once(store: Store, lane: Lane, make: Maker) -> None:
    attempts = make.begun(store, lane, store.due(lane, limit=1))
    store.end_leases()
    after = claim_one(store, "after")
    assert [attempt.id for attempt, _ in store.unresolved(after, limit=5)] == [attempts[0].id]


def test_an_unsure_attempt_is_looked_at_when_its_time_has_come(store: Store, lane: Lane, make: Maker, clock: FakeClock) -> None:
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    store.settle([make.settled(attempt, State.UNSURE, due_in=timedelta(seconds=5))])
    assert store.unresolved(lane, limit=5) == []
    assert [status.due_at for status in store.lanes()] == [clock() + timedelta(seconds=5)]
    clock.go_on(seconds=5)
    ((found, work),) = store.unresolved(lane, limit=5)
    assert (found.resolution, found.looks) == (Resolution.UNSURE, 0)
    store.settle([make.settled(found, State.UNSURE, due_in=timedelta(seconds=10), looked=True)])
    assert store.unresolved(lane, limit=5) == []
    clock.go_on(seconds=10)
    ((found, work),) = store.unresolved(lane, limit=5)
    assert found.looks == 1
    store.settle([make.settled(found, State.SENT)])
    clock.go_on(days=1)
    assert store.unresolved(lane, limit=5) == []
    assert work.deliveries[0].attempts == 1


def test_a_lane_with_an_unsure_attempt_is_claimed_for_it(store: Store, lane: Lane, make: Maker, clock: FakeClock) -> None:
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    store.settle([make.settled(attempt, State.UNSURE, due_in=timedelta(seconds=5))])
    store.release("worker", [lane])
    assert store.claim("other", want=1, ttl=timedelta(seconds=30)) == []
    clock.go_on(seconds=5)
    assert len(store.unresolved(claim_one(store, "other"), limit=5)) == 1


def test_of_an_attempt_only_what_is_still_unsure_is_looked_at(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message("sure@example.org", "unsure@example.org")])
    lane = claim_one(store)
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    sure, unsure = (
        make.settled(attempt, state, only=[number]) for state, number in zip((State.SENT, State.UNSURE), attempt.delivery_ids, strict=True)
    )
    store.settle([replace(unsure, deliveries=sure.deliveries + unsure.deliveries)])
    clock.go_on(minutes=1)
    ((_, work),) = store.unresolved(lane, limit=5)
    assert [delivery.recipient for delivery in work.deliveries] == ["unsure@example.org"]


def test_what_is_known_already_is_left_out_and_does_not_count(store: Store, make: Maker) -> None:
    messages = [make.message() for _ in range(4)]
    store.put(messages)
    known = {messages[0].id, messages[2].id}
    lane = claim_one(store)
    assert [work.message.id for work in store.due(lane, limit=1, but=known)] == [messages[1].id]
    assert [work.message.id for work in store.due(lane, limit=5, but=known)] == [messages[1].id, messages[3].id]
