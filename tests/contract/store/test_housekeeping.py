from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mailroom.ports import Action, DeliveryResult, Event, NewMessage, Query, Store, Work
from mailroom_core.errors import StoreError
from mailroom_core.model import MessageId, Reply, State
from tests.contract.store.makers import LANE, FakeClock, Maker, claim_one, states_of


def failed(work: Work, now: datetime) -> list[DeliveryResult]:
    return [
        DeliveryResult(
            id=delivery.id,
            state=State.FAILED,
            due_at=None,
            reply=Reply(554, "too old", "5.4.7"),
            event=Event(at=now, name="failed", text="Nobody took it for five days", delivery_id=delivery.id),
        )
        for delivery in work.deliveries
    ]


def test_what_waits_beyond_its_lifetime_is_expired(store: Store, make: Maker, clock: FakeClock) -> None:
    old = make.message("a@example.org", "b@example.org", due_in=timedelta(days=9))
    store.put([old])
    clock.go_on(days=1)
    store.put([make.message()])
    assert store.expired(limit=10) == []
    clock.go_on(days=4)
    (work,) = store.expired(limit=10)
    assert (work.message.id, len(work.deliveries), work.message.raw) == (old.id, 2, old.raw)


def test_expired_mail_comes_lane_by_lane_and_no_more_than_wanted(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(lane=f"lane-{number % 2}") for number in range(6)])
    clock.go_on(days=6)
    works = store.expired(limit=4)
    assert len(works) == 4
    assert all(len({delivery.lane for delivery in work.deliveries}) == 1 for work in works)
    assert len(store.expired(limit=10)) == 6


def test_what_is_being_sent_does_not_expire(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message()])
    lane = claim_one(store)
    make.begun(store, lane, store.due(lane, limit=1))
    clock.go_on(days=30)
    assert store.expired(limit=10) == []


def test_an_expired_delivery_fails_with_its_event_and_a_reply_of_ours(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message()
    store.put([message])
    clock.go_on(days=6)
    (work,) = store.expired(limit=10)
    dsn = make.message("sales@example.com", sender=None)
    store.fail_expired(failed(work, clock()), [dsn])
    assert states_of(store, message) == [State.FAILED]
    assert states_of(store, dsn) == [State.QUEUED]
    assert store.expired(limit=10) == []
    story = store.story(message.id)
    assert story is not None
    assert [event.name for event in story.events] == ["accepted", "failed"]
    assert story.deliveries[0].reply == Reply(554, "too old", "5.4.7")


@pytest.mark.parametrize("action", [Action.HOLD, Action.CANCEL])
def test_if_a_person_was_quicker_nothing_expires(store: Store, make: Maker, clock: FakeClock, action: Action) -> None:
    store.put([make.message(), make.message()])
    clock.go_on(days=6)
    one, two = store.expired(limit=10)
    store.act(Query(message_id=one.message.id), action, by="eve")
    dsn = make.message("sales@example.com", sender=None)
    store.fail_expired(failed(one, clock()) + failed(two, clock()), [dsn])
    assert store.counts()[State.FAILED] == 0
    assert store.read(dsn.id) is None
    assert [work.message.id for work in store.expired(limit=10)] == [two.message.id]


def test_a_lane_that_is_held_meanwhile_expires_nothing(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message()])
    clock.go_on(days=6)
    (work,) = store.expired(limit=10)
    store.hold_lane(LANE, "no grant")
    store.fail_expired(failed(work, clock()), [])
    assert store.counts()[State.QUEUED] == 1


def test_expiry_knows_the_table_of_states(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message()])
    clock.go_on(days=6)
    (work,) = store.expired(limit=10)
    wrong = DeliveryResult(id=work.deliveries[0].id, state=State.SENT, due_at=None, reply=None)
    with pytest.raises(StoreError, match="can't go from"):
        store.fail_expired([wrong], [])


def sent(store: Store, make: Maker, message: NewMessage) -> NewMessage:
    store.put([message])
    lane = claim_one(store)
    for attempt in make.begun(store, lane, store.due(lane, limit=1)):
        store.settle([make.settled(attempt, State.SENT)])
    store.release("worker", [lane])
    return message


def test_first_the_bytes_go_then_the_story(store: Store, make: Maker, clock: FakeClock) -> None:
    message = sent(store, make, make.message(key="k"))
    clock.go_on(days=8)
    assert forget(store, clock) == []
    read = store.read(message.id)
    assert read is not None
    assert (read.raw, read.blob) == (None, "")
    clock.go_on(days=90)
    assert forget(store, clock) == []
    assert store.story(message.id) is None
    assert sum(store.counts().values()) == 0
    assert store.put([make.message(key="k")]) == {}, "the key is forgotten too"


def forget(store: Store, clock: FakeClock, *, rows: timedelta = timedelta(days=90), limit: int = 100) -> list[str]:
    """The bytes after seven days, the rest after `rows`."""
    return store.forget(raw_before=clock() - timedelta(days=7), rows_before=clock() - rows, limit=limit)[1]


def test_it_says_whether_there_was_anything_to_forget(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(state=State.FAILED) for _ in range(3)])
    clock.go_on(days=8)
    before = {"raw_before": clock() - timedelta(days=7), "rows_before": clock() - timedelta(days=90)}
    assert [store.forget(**before, limit=2)[0] for _ in range(3)] == [True, True, False]


def test_a_blob_is_named_when_nothing_refers_to_it_any_more(store: Store, make: Maker, clock: FakeClock) -> None:
    message = sent(store, make, make.message(raw=None, blob="b1"))
    other = make.message(raw=None, blob="shared")
    store.put([other])
    sent(store, make, make.message(raw=None, blob="shared", lane="a"))
    assert store.referred(["b1", "shared", "orphan"]) == {"b1", "shared"}
    clock.go_on(days=8)
    assert forget(store, clock) == ["b1"]
    read = store.read(message.id)
    assert read is not None
    assert read.blob == ""
    assert store.referred(["b1", "shared"]) == {"shared"}


def test_a_blob_is_named_when_its_message_goes_at_once(store: Store, make: Maker, clock: FakeClock) -> None:
    sent(store, make, make.message(raw=None, blob="b1"))
    clock.go_on(days=8)
    assert forget(store, clock, rows=timedelta(days=7)) == ["b1"]


@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING, State.UNSURE, State.HELD])
def test_what_is_not_final_is_never_forgotten(store: Store, make: Maker, clock: FakeClock, state: State) -> None:
    message = make.message("a@example.org")
    store.put([message])
    if state is not State.QUEUED:
        lane = claim_one(store)
        attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
        if state is not State.SENDING:
            store.settle([make.settled(attempt, state)])
    clock.go_on(days=1000)
    forget(store, clock)
    read = store.read(message.id)
    assert read is not None
    assert read.raw == message.raw


def test_the_time_counts_from_the_last_change(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message()
    store.put([message])
    store.act(Query(), Action.HOLD, by="eve")
    clock.go_on(days=30)
    store.act(Query(), Action.IGNORE, by="eve")
    clock.go_on(days=6)
    forget(store, clock)
    read = store.read(message.id)
    assert read is not None
    assert read.raw is not None


def test_one_open_delivery_keeps_the_bytes_for_it(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    store.act(Query(delivery_id=message.deliveries[0].id), Action.CANCEL, by="eve")
    clock.go_on(days=100)
    forget(store, clock)
    read = store.read(message.id)
    assert read is not None
    assert read.raw is not None


def test_no_more_than_the_limit_are_forgotten_at_once(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(state=State.FAILED) for _ in range(5)])
    clock.go_on(days=100)
    left = []
    for _ in range(3):
        forget(store, clock, limit=2)
        left.append(store.counts()[State.FAILED])
    assert left == [3, 1, 0]


def test_usage_and_events_of_what_is_forgotten_go_as_well(store: Store, make: Maker, clock: FakeClock) -> None:
    sent(store, make, make.message())
    start = clock()
    clock.go_on(days=100)
    forget(store, clock)
    assert store.usage(LANE, start).attempts == 0
    assert store.story(MessageId(0)) is None
