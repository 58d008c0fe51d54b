"""When incoming servers are looked at, and how far they have been read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from mailroom.ports import Lane, Store
from mailroom_core.model import LaneName
from tests.contract.store.makers import LANE, TTL, FakeClock

OTHER = LaneName("graph:sales:info@example.com")
LATER = timedelta(minutes=5)


def claim(store: Store, lane: LaneName = LANE) -> Lane:
    return next(each for each in store.claim("me", want=10, ttl=TTL) if each.name == lane)


def test_a_new_server_is_looked_at_at_once_by_the_owner_of_its_lane(store: Store) -> None:
    store.watch.over({"sales": LANE, "info": OTHER})
    lane = claim(store)
    assert [(each.name, each.cursor, each.looked_at, each.trouble) for each in store.watch.due(lane)] == [("sales", "", None, "")]
    assert store.watch.due(Lane(LANE, lane.epoch - 1)) == []


def test_after_a_look_the_next_one_is_due_later_and_the_lane_is_not_claimed_before(store: Store, clock: FakeClock) -> None:
    store.watch.over({"sales": LANE})
    lane = claim(store)
    (seen,) = store.watch.due(lane)
    store.watch.keep(lane, "sales", "cursor 1")
    store.watch.looked(lane, seen, next_at=clock() + LATER, trouble="it was slow")
    assert store.watch.due(lane) == []
    store.release("me", [lane])
    assert store.claim("me", want=10, ttl=TTL) == []
    clock.go_on(minutes=5)
    (again,) = store.watch.due(claim(store))
    assert (again.cursor, again.looked_at, again.trouble) == ("cursor 1", seen.due_at, "it was slow")


def test_since_when_it_fails_is_remembered_until_a_look_ends_well(store: Store, clock: FakeClock) -> None:
    store.watch.over({"sales": LANE})
    since = []
    for trouble in ("", "the grant is gone", "the mailbox is gone", ""):
        clock.go_on(minutes=5)
        lane = claim(store)
        (seen,) = store.watch.due(lane)
        store.watch.looked(lane, seen, next_at=clock() + LATER, trouble=trouble)
        (there,) = store.watch.all()
        since.append(there.failing_since)
        store.release("me", [lane])
    assert since == [None, clock() - 2 * LATER, clock() - 2 * LATER, None]


def test_a_wish_during_a_look_is_not_lost(store: Store, clock: FakeClock) -> None:
    store.watch.over({"sales": LANE})
    lane = claim(store)
    (seen,) = store.watch.due(lane)
    store.watch.now(["sales"])
    store.watch.looked(lane, seen, next_at=clock() + LATER)
    clock.go_on(seconds=1)
    (again,) = store.watch.due(lane)
    store.watch.looked(lane, again, next_at=clock() + LATER)
    assert store.watch.due(lane) == []
    store.watch.now(["sales", "nobody"])
    assert [each.name for each in store.watch.due(lane)] == ["sales"]


def test_who_has_lost_the_lane_writes_nothing(store: Store, clock: FakeClock) -> None:
    store.watch.over({"sales": LANE})
    old = claim(store)
    (seen,) = store.watch.due(old)
    clock.go_on(minutes=1)
    new = claim(store)
    store.watch.keep(old, "sales", "stale")
    store.watch.looked(old, seen, next_at=clock() + LATER, trouble="stale")
    (there,) = store.watch.due(new)
    assert (there.cursor, there.trouble, there.looked_at) == ("", "", None)


def test_a_server_that_is_gone_is_forgotten_and_one_with_another_lane_begins_anew(store: Store) -> None:
    store.watch.over({"sales": LANE, "info": LANE})
    lane = claim(store)
    store.watch.keep(lane, "sales", "cursor")
    store.watch.over({"sales": OTHER})
    assert [(each.name, each.lane, each.cursor) for each in store.watch.all()] == [("sales", OTHER, "")]


def test_a_wish_to_be_told_of_new_mail_is_remembered(store: Store, clock: FakeClock) -> None:
    store.watch.over({"sales": LANE})
    lane = claim(store)
    store.watch.subscribed(lane, "sales", "S1", clock() + LATER)
    store.watch.subscribed(Lane(LANE, lane.epoch - 1), "sales", "stale", None)
    (there,) = store.watch.all()
    assert (there.subscription, there.subscribed_until) == ("S1", clock() + LATER)


def test_a_held_lane_is_not_looked_at(store: Store) -> None:
    store.watch.over({"sales": LANE})
    store.hold_lane(LANE, "the grant is gone")
    assert store.claim("me", want=10, ttl=TTL) == []


def test_nothing_is_written_when_nothing_has_changed(store: Store, reopen: Callable[[], Store]) -> None:
    store.watch.over({"sales": LANE})
    (before,) = store.watch.all()
    reopen().watch.over({"sales": LANE})
    assert store.watch.all() == [before]


def test_one_that_is_switched_off_for_a_while_goes_on_where_it_was(store: Store, clock: FakeClock) -> None:
    """Else what came meanwhile would be passed over, or old mail that was left in the mailbox be taken once more."""
    store.watch.over({"sales": LANE})
    lane = claim(store)
    store.watch.keep(lane, "sales", "cursor 1")
    store.watch.subscribed(lane, "sales", "wish", clock() + LATER)
    store.watch.over({}, {"sales": LANE, "never seen": LANE})
    store.watch.over({}, {"sales": LANE, "never seen": LANE})
    assert store.watch.all() == []
    store.watch.now(["sales"])
    assert store.watch.due(lane) == []
    store.watch.keep(lane, "sales", "too late")
    store.release("me", [lane])
    assert store.claim("me", want=10, ttl=TTL) == []
    store.watch.over({"sales": LANE})
    (again,) = store.watch.due(claim(store))
    assert (again.cursor, again.subscription, again.due_at) == ("cursor 1", "", clock())


def test_one_that_is_switched_off_and_reads_elsewhere_afterwards_begins_anew(store: Store) -> None:
    store.watch.over({"sales": LANE, "gone": LANE})
    lane = claim(store)
    for name in ("sales", "gone"):
        store.watch.keep(lane, name, "cursor 1")
    store.watch.over({}, {"sales": LANE, "gone": LANE})
    store.watch.over({}, {"sales": OTHER})
    store.watch.over({"sales": OTHER, "gone": LANE})
    assert [(each.name, each.lane, each.cursor) for each in store.watch.all()] == [("gone", LANE, ""), ("sales", OTHER, "")]
