from __future__ import annotations

from datetime import timedelta

import pytest

from mailroom.ports import Action, Lane, NewAttempt, NewMessage, Query, Resolution, Store
from mailroom_core.model import TRANSITIONS, DeliveryId, State
from tests.contract.store.makers import LIFETIME, FakeClock, Maker, claim_one, states_of

TAKES = {
    Action.RETRY: (State.QUEUED, {State.FAILED, State.HELD, State.BOUNCED}),
    Action.SEND_NOW: (State.QUEUED, {State.QUEUED}),
    Action.CANCEL: (State.CANCELLED, {State.QUEUED, State.HELD}),
    Action.IGNORE: (State.IGNORED, {State.UNSURE, State.HELD, State.FAILED, State.BOUNCED}),
    Action.HOLD: (State.HELD, {State.QUEUED}),
}


def bring(store: Store, make: Maker, state: State, *, due_in: timedelta = timedelta()) -> NewMessage:
    """A message whose one delivery is in that state; if it is queued it is due then."""
    message = make.message(due_in=due_in if state is State.QUEUED else timedelta())
    store.put([message])
    match state:
        case State.QUEUED:
            pass
        case State.CANCELLED:
            store.act(Query(message_id=message.id), Action.CANCEL, by="eve")
        case State.IGNORED:
            store.act(Query(message_id=message.id), Action.HOLD, by="eve")
            store.act(Query(message_id=message.id), Action.IGNORE, by="eve")
        case _:
            lane = claim_one(store)
            attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
            if state is not State.SENDING:
                store.settle([make.settled(attempt, state)])
    return message


REACHABLE = [state for state in State if state is not State.BOUNCED]


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("state", REACHABLE)
def test_an_action_takes_what_is_meant_by_it(store: Store, make: Maker, clock: FakeClock, state: State, action: Action) -> None:
    message = bring(store, make, state, due_in=timedelta(hours=1))
    assert states_of(store, message) == [state]
    target, takes = TAKES[action]
    before = len(events(store, message))
    assert store.act(Query(), action, by="eve") == (1 if state in takes else 0)
    assert states_of(store, message) == [target if state in takes else state]
    assert len(events(store, message)) == before + (1 if state in takes else 0)


def test_an_action_follows_the_table_of_states() -> None:
    ways = {(state, target) for target, takes in TAKES.values() for state in takes if state is not target}
    assert {(state, target) for state, target in ways if target not in TRANSITIONS[state]} == set()


@pytest.mark.parametrize("named", ["state", "delivery"])
def test_what_was_cancelled_is_sent_after_all_only_if_it_is_named(store: Store, make: Maker, named: str) -> None:
    message = bring(store, make, State.CANCELLED)
    number: DeliveryId = message.deliveries[0].id
    assert store.act(Query(message_id=message.id), Action.RETRY, by="eve") == 0
    query = Query(states=frozenset({State.CANCELLED})) if named == "state" else Query(delivery_id=number)
    assert store.act(query, Action.SEND_NOW, by="eve") == 0
    assert store.act(query, Action.RETRY, by="eve") == 1
    assert states_of(store, message) == [State.QUEUED]


def events(store: Store, message: NewMessage) -> list[tuple[str, str]]:
    story = store.story(message.id)
    assert story is not None
    return [(event.name, event.text) for event in story.events]


def test_the_timeline_says_who_did_it(store: Store, make: Maker) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    assert store.act(Query(delivery_id=message.deliveries[1].id), Action.HOLD, by="Eve") == 1
    story = store.story(message.id)
    assert story is not None
    event = story.events[-1]
    assert (event.name, event.text, event.delivery_id, event.data) == ("held", "Held by Eve", message.deliveries[1].id, {"by": "Eve"})
    assert [delivery.state for delivery in story.deliveries] == [State.QUEUED, State.HELD]


def test_what_is_sent_again_is_due_at_once(store: Store, make: Maker, clock: FakeClock) -> None:
    message = bring(store, make, State.HELD)
    clock.go_on(hours=1)
    store.act(Query(message_id=message.id), Action.RETRY, by="eve")
    lane = claim_one(store)
    (work,) = store.due(lane, limit=5)
    assert (work.message.id, work.deliveries[0].due_at) == (message.id, clock())


def test_what_waits_for_its_next_try_can_be_sent_now(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message(due_in=timedelta(hours=3))
    store.put([message])
    assert store.act(Query(), Action.RETRY, by="eve") == 0
    assert store.act(Query(), Action.SEND_NOW, by="eve") == 1
    assert store.act(Query(), Action.SEND_NOW, by="eve") == 0
    assert [status.due_at for status in store.lanes()] == [clock()]


def test_a_lifetime_that_is_over_starts_anew(store: Store, make: Maker, clock: FakeClock) -> None:
    message = bring(store, make, State.FAILED)
    clock.go_on(days=30)
    store.act(Query(), Action.RETRY, by="eve")
    assert store.expired(limit=5) == []
    assert expiry(store, message) == clock() + LIFETIME


def test_a_lifetime_that_is_not_over_goes_on(store: Store, make: Maker, clock: FakeClock) -> None:
    message = bring(store, make, State.FAILED)
    before = expiry(store, message)
    clock.go_on(days=3)
    store.act(Query(), Action.RETRY, by="eve")
    assert expiry(store, message) == before


def expiry(store: Store, message: NewMessage) -> object:
    story = store.story(message.id)
    assert story is not None
    return story.deliveries[0].expires_at


@pytest.fixture
def unsure(store: Store, message: NewMessage, lane: Lane, make: Maker) -> NewAttempt:
    """The attempt at `message`, which got no answer."""
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    store.settle([make.settled(attempt, State.UNSURE)])
    return attempt


def test_an_unsure_one_that_a_person_has_dealt_with_is_looked_up_no_more(
    store: Store, lane: Lane, unsure: NewAttempt, message: NewMessage, clock: FakeClock
) -> None:
    assert store.act(Query(), Action.IGNORE, by="eve") == 1
    clock.go_on(days=1)
    assert store.unresolved(lane, limit=5) == []
    story = store.story(message.id)
    assert story is not None
    assert [attempt.resolution for attempt in story.attempts] == [Resolution.DONE]


def test_the_others_of_an_unsure_attempt_are_still_looked_up(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    lane = claim_one(store)
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    store.settle([make.settled(attempt, State.UNSURE)])
    store.act(Query(delivery_id=message.deliveries[0].id), Action.IGNORE, by="eve")
    clock.go_on(minutes=1)
    ((_, work),) = store.unresolved(lane, limit=5)
    assert [delivery.recipient for delivery in work.deliveries] == ["b@example.org"]


def test_what_lost_its_bytes_is_not_sent_again(store: Store, make: Maker, clock: FakeClock) -> None:
    message = bring(store, make, State.FAILED)
    clock.go_on(days=10)
    store.forget(raw_before=clock(), rows_before=clock() - timedelta(days=90), limit=10)
    assert store.act(Query(), Action.RETRY, by="eve") == 0
    assert store.act(Query(), Action.IGNORE, by="eve") == 1
    assert states_of(store, message) == [State.IGNORED]


def test_no_more_than_the_limit_are_changed(store: Store, make: Maker) -> None:
    store.put([make.message() for _ in range(5)])
    assert [store.act(Query(), Action.CANCEL, by="eve", limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_only_what_matches_is_changed(store: Store, make: Maker) -> None:
    store.put([make.message(lane="a"), make.message(lane="b")])
    assert store.act(Query(lane="b"), Action.CANCEL, by="eve") == 1
    assert store.counts()[State.QUEUED] == 1


def test_work_in_many_steps_touches_each_delivery_once(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(state=State.FAILED) for _ in range(5)])
    clock.go_on(seconds=1)
    began = clock()
    clock.go_on(seconds=1)
    left = Query(states=frozenset({State.FAILED}), unchanged_since=began)
    assert [store.act(left, Action.RETRY, by="mary", limit=2) for _ in range(2)] == [2, 2]
    lane = claim_one(store)
    attempts = make.begun(store, lane, store.due(lane, limit=10))
    store.settle([make.settled(each, State.FAILED) for each in attempts])
    assert store.act(left, Action.RETRY, by="mary", limit=2) == 1
    assert store.act(left, Action.RETRY, by="mary", limit=2) == 0
    assert len(store.find(Query(states=frozenset({State.FAILED})), limit=9)[0]) == 4
