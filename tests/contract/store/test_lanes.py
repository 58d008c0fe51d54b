from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from mailroom.ports import Lane, NewMessage, Store
from mailroom_core.model import LaneName, State
from tests.contract.store.makers import LANE, LIFETIME, START, TTL, FakeClock, Maker, claim_one


def names(lanes: list[Lane]) -> list[str]:
    return [lane.name for lane in lanes]


def test_a_lane_with_due_mail_is_claimed_once(store: Store, message: NewMessage) -> None:
    assert store.claim("one", want=5, ttl=TTL) == [Lane(LANE, 1)]
    assert store.claim("two", want=5, ttl=TTL) == []


def test_a_lane_whose_mail_is_due_later_is_not_claimed_before(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(due_in=timedelta(minutes=1))])
    assert store.claim("one", want=5, ttl=TTL) == []
    clock.go_on(minutes=1)
    assert names(store.claim("one", want=5, ttl=TTL)) == [LANE]


def test_no_more_lanes_are_claimed_than_wanted(store: Store, make: Maker) -> None:
    store.put([make.message(lane=f"lane-{number}") for number in range(5)])
    assert len(store.claim("one", want=2, ttl=TTL)) == 2
    assert len(store.claim("two", want=9, ttl=TTL)) == 3
    assert store.claim("three", want=0, ttl=TTL) == []


def test_a_lease_that_ran_out_goes_to_the_next_with_a_higher_epoch(store: Store, message: NewMessage, clock: FakeClock) -> None:
    first = claim_one(store, "one")
    clock.go_on(seconds=30)
    second = claim_one(store, "two")
    assert (first.epoch, second.epoch) == (1, 2)


def test_a_renewed_lease_lasts(store: Store, lane: Lane, clock: FakeClock) -> None:
    clock.go_on(seconds=20)
    assert store.renew("worker", [lane], TTL) == {lane.name}
    clock.go_on(seconds=20)
    assert store.claim("other", want=1, ttl=TTL) == []


def test_a_lane_that_another_has_claimed_is_not_renewed(store: Store, lane: Lane, clock: FakeClock) -> None:
    clock.go_on(seconds=30)
    theirs = claim_one(store, "other")
    assert store.renew("worker", [lane], TTL) == set()
    assert store.renew("other", [theirs], TTL) == {lane.name}


def test_a_lease_that_ran_out_unnoticed_is_still_ours(store: Store, lane: Lane, clock: FakeClock) -> None:
    clock.go_on(hours=1)
    assert store.renew("worker", [lane], TTL) == {lane.name}
    assert store.claim("other", want=1, ttl=TTL) == []


def test_a_released_lane_is_free_at_once(store: Store, lane: Lane) -> None:
    store.release("worker", [lane])
    assert store.claim("other", want=1, ttl=TTL) == [Lane(lane.name, lane.epoch + 1)]


def test_a_stale_owner_releases_nothing(store: Store, lane: Lane, clock: FakeClock) -> None:
    clock.go_on(seconds=30)
    claim_one(store, "other")
    store.release("worker", [lane])
    store.release("other", [lane])
    assert store.claim("third", want=1, ttl=TTL) == []


def test_after_a_boot_every_lane_is_free(store: Store, make: Maker) -> None:
    store.put([make.message(lane="a"), make.message(lane="b")])
    assert len(store.claim("before", want=2, ttl=timedelta(hours=1))) == 2
    assert store.end_leases() == 2
    assert {lane.epoch for lane in store.claim("after", want=2, ttl=TTL)} == {2}


def test_a_boot_of_one_machine_ends_only_its_own_leases(store: Store, make: Maker) -> None:
    store.put([make.message(lane="a"), make.message(lane="b")])
    ours = claim_one(store, "here:1:4711")
    theirs = claim_one(store, "here:11:4711")
    attempts = [make.begun(store, lane, store.due(lane, limit=1))[0] for lane in (ours, theirs)]
    assert store.end_leases("here:1:") == 1
    (again,) = store.claim("here:1:4712", want=5, ttl=TTL)
    assert again.name == ours.name
    assert [attempt.id for attempt, _ in store.unresolved(again, limit=5)] == [attempts[0].id]
    assert store.renew("here:11:4711", [theirs], TTL) == {theirs.name}
    assert store.unresolved(theirs, limit=5) == []


def test_a_boot_of_one_machine_does_not_end_what_another_began_before_on_the_same_lane(
    store: Store, lane: Lane, make: Maker, clock: FakeClock
) -> None:
    (attempt,) = make.begun(store, lane, store.due(lane, limit=1))
    store.put([make.message()])
    clock.go_on(minutes=1)
    mine = claim_one(store, "here:1:4711")
    (own,) = make.begun(store, mine, store.due(mine, limit=1))
    store.end_leases("here:1:")
    again = claim_one(store, "here:1:4712")
    assert [found.id for found, _ in store.unresolved(again, limit=5)] == [own.id]
    clock.now = attempt.deadline
    assert {found.id for found, _ in store.unresolved(again, limit=5)} == {attempt.id, own.id}


def test_the_lane_that_waits_longest_comes_first(store: Store, make: Maker, clock: FakeClock) -> None:
    for name in ("a", "c", "b"):
        store.put([make.message(lane=name)])
        clock.go_on(seconds=1)
    assert names(store.claim("one", want=2, ttl=TTL)) == ["a", "c"]


def test_lanes_with_a_backlog_take_turns(store: Store, make: Maker, clock: FakeClock) -> None:
    for name in ("a", "b", "c"):
        store.put([make.message(lane=name)])
        clock.go_on(seconds=1)
    turns = []
    for _ in range(6):
        clock.go_on(seconds=1)
        lane = claim_one(store)
        turns.append(lane.name)
        store.release("worker", [lane])
    assert turns == ["a", "b", "c", "a", "b", "c"]


def test_a_held_lane_is_not_claimed_until_it_is_freed(store: Store, message: NewMessage) -> None:
    store.hold_lane(LANE, "consent is needed")
    assert store.claim("one", want=1, ttl=TTL) == []
    assert [status.held for status in store.lanes()] == ["consent is needed"]
    store.free_lane(LANE)
    assert names(store.claim("one", want=1, ttl=TTL)) == [LANE]
    assert [status.held for status in store.lanes()] == [""]


def test_an_owner_of_a_held_lane_has_nothing_to_do(store: Store, lane: Lane, make: Maker) -> None:
    works = store.due(lane, limit=1)
    store.hold_lane(LANE, "no grant")
    assert store.due(lane, limit=1) == []
    assert store.begin([make.attempt(lane, work) for work in works]) == set()


def test_an_empty_lane_may_be_held_before_anything_comes(store: Store, make: Maker) -> None:
    store.hold_lane(LaneName("new"), "restored")
    store.put([make.message(lane="new")])
    assert store.claim("one", want=1, ttl=TTL) == []


def test_freeing_a_lane_that_is_not_held_changes_nothing(store: Store, message: NewMessage, clock: FakeClock) -> None:
    clock.go_on(days=1)
    store.free_lane(LANE)
    store.free_lane(LaneName("unknown"))
    story = store.story(message.id)
    assert story is not None
    assert story.deliveries[0].expires_at == START + LIFETIME


def test_lifetime_stands_still_while_a_lane_is_held(store: Store, message: NewMessage, clock: FakeClock) -> None:
    clock.go_on(days=4)
    store.hold_lane(LANE, "no grant")
    clock.go_on(days=10)
    store.hold_lane(LANE, "still no grant")
    assert store.expired(limit=10) == []
    clock.go_on(days=10)
    store.free_lane(LANE)
    assert store.expired(limit=10) == []
    story = store.story(message.id)
    assert story is not None
    assert story.deliveries[0].expires_at == START + LIFETIME + timedelta(days=20)
    clock.go_on(days=1)
    assert [work.message.id for work in store.expired(limit=10)] == [message.id]


def test_a_deferred_lane_has_nothing_due_before_then(store: Store, lane: Lane, clock: FakeClock, reopen: Callable[[], Store]) -> None:
    until = clock() + timedelta(minutes=2)
    store.defer_lane(lane.name, lane.epoch, until)
    assert reopen().due(lane, limit=1) == []
    assert [status.due_at for status in store.lanes()] == [until]
    store.release("worker", [lane])
    assert store.claim("other", want=1, ttl=TTL) == []
    clock.now = until
    again = claim_one(store)
    assert len(store.due(again, limit=1)) == 1


def test_of_two_pauses_the_longer_one_holds(store: Store, lane: Lane, clock: FakeClock) -> None:
    for minutes in (1, 60, 2):
        store.defer_lane(lane.name, lane.epoch, clock() + timedelta(minutes=minutes))
    assert [status.due_at for status in store.lanes()] == [clock() + timedelta(hours=1)]
    clock.go_on(minutes=59)
    assert store.due(lane, limit=1) == []
    clock.go_on(minutes=1)
    assert len(store.due(lane, limit=1)) == 1


def test_a_stale_owner_defers_nothing(store: Store, lane: Lane, clock: FakeClock) -> None:
    store.defer_lane(lane.name, lane.epoch - 1, clock() + timedelta(hours=1))
    assert len(store.due(lane, limit=1)) == 1


def test_the_list_of_lanes_says_what_waits_where(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message("a@x.org", "b@x.org", lane="one"), make.message(lane="two", due_in=timedelta(hours=1))])
    lane = claim_one(store)
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    store.settle([make.settled(attempt, State.UNSURE, due_in=timedelta(seconds=5))])
    one, two = store.lanes()
    assert (one.name, one.waiting, one.due_at, one.held, one.owned) == ("one", 2, clock() + timedelta(seconds=5), "", True)
    assert (two.name, two.waiting, two.due_at, two.held, two.owned) == ("two", 1, clock() + timedelta(hours=1), "", False)


def test_a_lane_where_all_is_done_stays_in_the_list(store: Store, lane: Lane, make: Maker) -> None:
    attempts = make.begun(store, lane, store.due(lane, limit=1))
    store.settle([make.settled(attempt, State.SENT) for attempt in attempts])
    assert [(status.waiting, status.due_at) for status in store.lanes()] == [(0, None)]


def test_what_is_due_next_is_the_earliest(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(due_in=timedelta(minutes=minutes)) for minutes in (7, 3, 5)])
    assert [status.due_at for status in store.lanes()] == [clock() + timedelta(minutes=3)]


def test_processes_that_claim_at_once_never_share_a_lane(url: str, store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(lane=f"lane-{number:02}") for number in range(12)])
    command = [sys.executable, "-m", "tests.contract.store.claimer", url]
    claimers = [
        subprocess.Popen([*command, f"owner-{number}", "15"], stdout=subprocess.PIPE, text=True, encoding="ascii") for number in range(3)
    ]
    claimed = [line for claimer in claimers for line in claimer.communicate()[0].splitlines()]
    assert all(claimer.returncode == 0 for claimer in claimers)
    assert claimed
    assert [line for line, count in Counter(claimed).items() if count > 1] == [], "two owners had the same lane in the same epoch"
