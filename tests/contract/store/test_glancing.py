"""Numbers for an overview."""

from __future__ import annotations

from datetime import timedelta

from mailroom.ports import Query, Store
from mailroom.store.looking import MISSES
from mailroom_core.model import State
from tests.contract.store.makers import START, FakeClock, Maker, claim_one


def test_what_is_in_a_state_is_counted_up_to_a_limit(store: Store, make: Maker) -> None:
    store.put([make.message(state=State.FAILED) for _ in range(5)])
    store.put([make.message()])
    assert store.how_many(State.FAILED, limit=100) == 5
    assert store.how_many(State.FAILED, limit=3) == 3
    assert store.how_many(State.HELD, limit=3) == 0


def test_what_came_in_is_counted_and_found_by_itself(store: Store, make: Maker) -> None:
    came = [make.message(lane=lane, state=State.HELD) for lane in ("destination:", "destination:desk")]
    store.put([*came, make.message(state=State.HELD), make.message(lane="destination:desk")])
    assert store.how_many(State.HELD, came_in=True, limit=9) == 2
    found, _ = store.find(Query(states=frozenset({State.HELD}), came_in=True), limit=9)
    assert [each.message.id for each in found] == [mail.id for mail in reversed(came)]


def test_what_waits_in_quarantine_is_found_at_once_behind_any_number_of_others_that_wait(store: Store, make: Maker) -> None:
    old = make.message(lane="destination:", state=State.HELD)
    store.put([old, make.message(*(f"r{number}@customer.example" for number in range(MISSES + 1000)), state=State.HELD)])
    found, older = store.find(Query(states=frozenset({State.HELD}), came_in=True), limit=9)
    assert ([each.message.id for each in found], older) == ([old.id], "")
    assert store.how_many(State.HELD, came_in=True, limit=9) == 1


def test_what_changed_lately_is_counted_by_itself(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(state=State.FAILED)])
    store.put([make.message()])
    clock.go_on(hours=30)
    lane = claim_one(store)
    attempts = make.begun(store, lane, store.due(lane, limit=10))
    store.settle([make.settled(each, State.FAILED) for each in attempts])
    day_ago = clock() - timedelta(days=1)
    assert store.how_many(State.FAILED, accepted=START - timedelta(days=1), changed=day_ago, limit=10) == 1
    assert store.how_many(State.FAILED, accepted=day_ago, changed=day_ago, limit=10) == 0


def test_each_hour_knows_what_became_of_its_mail(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message("a@example.org", "b@example.org", state=State.FAILED)])
    clock.go_on(hours=1)
    store.put([make.message()])
    clock.go_on(hours=1)
    edges = [START + timedelta(hours=hours, seconds=-1) for hours in range(4)]
    first, second, third = store.fates(edges)
    assert (first[State.FAILED], first[State.QUEUED]) == (2, 0)
    assert (second[State.FAILED], second[State.QUEUED]) == (0, 1)
    assert sum(third.values()) == 0
