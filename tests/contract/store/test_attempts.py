from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from mailroom.objects import Suppression
from mailroom.ports import Action, DeliveryResult, Further, Lane, NewAttempt, NewMessage, Query, Resolution, Settled, Store, Usage
from mailroom_core.errors import StoreError
from mailroom_core.model import TRANSITIONS, AttemptId, LaneName, Remote, Reply, State
from tests.contract.store.makers import LANE, START, TTL, FakeClock, Maker, claim_one, states_of


@pytest.fixture
def attempt(store: Store, lane: Lane, make: Maker) -> NewAttempt:
    """The first attempt at `message`, begun."""
    return make.begun(store, lane, store.due(lane, limit=1))[0]


def test_what_has_begun_is_sending_and_not_due(store: Store, message: NewMessage, lane: Lane, attempt: NewAttempt) -> None:
    assert states_of(store, message) == [State.SENDING]
    assert store.due(lane, limit=5) == []
    story = store.story(message.id)
    assert story is not None
    assert [found.id for found in story.attempts] == [attempt.id]
    assert story.deliveries[0].attempts == 1
    assert story.deliveries[0].due_at is None


def test_what_has_begun_does_not_begin_again(store: Store, lane: Lane, make: Maker) -> None:
    work = store.due(lane, limit=1)[0]
    first, second, third = (make.attempt(lane, work) for _ in range(3))
    assert store.begin([first, second]) == {first.id}
    assert store.begin([third]) == set()


def test_a_stale_owner_begins_nothing(store: Store, lane: Lane, make: Maker, clock: FakeClock) -> None:
    work = store.due(lane, limit=1)[0]
    clock.go_on(seconds=30)
    mine = claim_one(store, "other")
    stale, fresh = make.attempt(lane, work), make.attempt(mine, work)
    assert store.begin([stale]) == set()
    assert store.begin([fresh]) == {fresh.id}


def test_only_those_that_may_not_begin_are_left_out(store: Store, lane: Lane, make: Maker) -> None:
    store.put([make.message()])
    gone, good = (make.attempt(lane, work) for work in store.due(lane, limit=5))
    store.act(Query(message_id=gone.message_id), Action.CANCEL, by="eve")
    assert store.begin([gone, good]) == {good.id}
    story = store.story(gone.message_id)
    assert story is not None
    assert story.attempts == ()


def test_a_delivery_of_another_lane_does_not_begin(store: Store, lane: Lane, make: Maker) -> None:
    store.put([make.message(lane="other")])
    theirs = claim_one(store, "other")
    work = store.due(theirs, limit=1)[0]
    assert store.begin([make.attempt(lane, work)]) == set()


def test_an_outcome_is_written_with_all_that_is_known(store: Store, message: NewMessage, attempt: NewAttempt, clock: FakeClock) -> None:
    reply, remote = Reply(202, "accepted", "2.0.0", "Accepted"), Remote("id-1", "<i@example.com>", "conversation")
    clock.go_on(seconds=2)
    make = Maker(clock, node=9)
    store.settle([make.settled(attempt, State.SENT, reply=reply, remote=remote)])
    story = store.story(message.id)
    assert story is not None
    (delivery,) = story.deliveries
    assert (delivery.state, delivery.due_at, delivery.reply, delivery.remote) == (State.SENT, None, reply, remote)
    assert delivery.updated_at == clock()
    assert [(event.name, event.delivery_id) for event in story.events] == [("accepted", None), ("sent", delivery.id)]
    (ended,) = story.attempts
    assert (ended.resolution, ended.ended_at, ended.text) == (Resolution.DONE, clock(), "became sent")


def test_a_later_outcome_keeps_the_names_that_an_earlier_one_learnt(
    store: Store, message: NewMessage, lane: Lane, attempt: NewAttempt, make: Maker, clock: FakeClock
) -> None:
    store.settle([make.settled(attempt, State.UNSURE, remote=Remote("draft", "<i>"), reply=Reply(504, "timeout"))])
    clock.go_on(minutes=1)
    ((found, _),) = store.unresolved(lane, limit=1)
    store.settle([make.settled(found, State.SENT, remote=Remote(conversation_id="c"))])
    story = store.story(message.id)
    assert story is not None
    assert story.deliveries[0].remote == Remote("draft", "<i>", "c")
    assert story.deliveries[0].reply == Reply(504, "timeout")


def test_a_deferred_delivery_is_due_again_at_its_time(store: Store, lane: Lane, attempt: NewAttempt, make: Maker, clock: FakeClock) -> None:
    store.settle([make.settled(attempt, State.QUEUED, due_in=timedelta(minutes=4))])
    assert store.due(lane, limit=1) == []
    clock.go_on(minutes=4)
    (work,) = store.due(lane, limit=1)
    assert work.deliveries[0].attempts == 1


def test_a_stale_owner_settles_nothing_and_the_new_one_does(
    store: Store, message: NewMessage, attempt: NewAttempt, make: Maker, clock: FakeClock
) -> None:
    clock.go_on(minutes=5)
    mine = claim_one(store, "other")
    store.settle([make.settled(attempt, State.SENT)])
    assert states_of(store, message) == [State.SENDING]
    ((found, _),) = store.unresolved(mine, limit=1)
    store.settle([make.settled(found, State.SENT, epoch=mine.epoch)])
    assert states_of(store, message) == [State.SENT]


def test_an_owner_whose_lease_ran_out_unnoticed_may_settle(
    store: Store, message: NewMessage, attempt: NewAttempt, make: Maker, clock: FakeClock
) -> None:
    clock.go_on(minutes=4)
    store.settle([make.settled(attempt, State.SENT)])
    assert states_of(store, message) == [State.SENT]


def test_the_owner_of_a_lane_that_was_held_meanwhile_may_settle(
    store: Store, message: NewMessage, attempt: NewAttempt, make: Maker
) -> None:
    store.hold_lane(LANE, "no grant")
    store.settle([make.settled(attempt, State.SENT)])
    assert states_of(store, message) == [State.SENT]


def test_an_attempt_is_settled_once(store: Store, message: NewMessage, attempt: NewAttempt, make: Maker) -> None:
    reply = make.message("sales@example.com", lane="dsn")
    end = make.settled(attempt, State.FAILED, replies=(reply,))
    store.settle([end])
    store.settle([end, make.settled(attempt, State.SENT)])
    assert states_of(store, message) == [State.FAILED]
    story = store.story(message.id)
    assert story is not None
    assert len(story.events) == 2


def test_replies_of_our_own_are_stored_with_the_outcome(store: Store, attempt: NewAttempt, make: Maker) -> None:
    reply = make.message("sales@example.com", lane="dsn", sender=None)
    store.settle([make.settled(attempt, State.FAILED, replies=(reply,))])
    assert states_of(store, reply) == [State.QUEUED]


def test_a_suppression_comes_with_the_outcome_and_spares_what_a_person_wrote(store: Store, attempt: NewAttempt, make: Maker) -> None:
    store.apply([Suppression(address="known@example.org", reason="asked us", source="person")], [], by="eve")
    found = tuple(Suppression(address=a, reason="5.1.1", source="refused") for a in ("Anna@Example.org", "known@example.org"))
    store.settle([replace(make.settled(attempt, State.FAILED), suppress=found)])
    assert {entry.address: entry.source for entry in store.suppressions()} == {"anna@example.org": "refused", "known@example.org": "person"}


def test_several_attempts_are_settled_in_one_call(store: Store, make: Maker) -> None:
    messages = [make.message(f"r{number}@example.org", "x@example.org") for number in range(20)]
    store.put(messages)
    lane = claim_one(store)
    attempts = make.begun(store, lane, store.due(lane, limit=50))
    store.settle([make.settled(attempt, State.SENT) for attempt in attempts])
    assert store.counts()[State.SENT] == 40


def test_an_end_that_forgets_a_delivery_is_refused(store: Store, make: Maker) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    lane = claim_one(store)
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    with pytest.raises(StoreError, match="without a result"):
        store.settle([make.settled(attempt, State.SENT, only=attempt.delivery_ids[:1])])
    assert states_of(store, message) == [State.SENDING, State.SENDING]


def test_what_a_person_has_taken_out_of_an_unsure_attempt_stays_taken(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    lane = claim_one(store)
    attempt = make.begun(store, lane, store.due(lane, limit=1))[0]
    store.settle([make.settled(attempt, State.UNSURE)])
    store.act(Query(delivery_id=attempt.delivery_ids[0]), Action.IGNORE, by="eve")
    clock.go_on(minutes=1)
    store.settle([make.settled(attempt, State.SENT)])
    assert states_of(store, message) == [State.IGNORED, State.SENT]


@pytest.mark.parametrize(
    ("before", "after"), [pair for pair in product((State.SENDING, State.UNSURE), State) if pair != (State.UNSURE, State.SENDING)]
)
def test_an_outcome_follows_the_table_of_states(
    store: Store, message: NewMessage, attempt: NewAttempt, make: Maker, before: State, after: State
) -> None:
    if before is State.UNSURE:
        store.settle([make.settled(attempt, State.UNSURE)])
    if after in TRANSITIONS[before]:
        store.settle([make.settled(attempt, after)])
        assert states_of(store, message) == [after]
    else:
        with pytest.raises(StoreError, match="can't go from"):
            store.settle([make.settled(attempt, after)])
        assert states_of(store, message) == [before]


def test_the_same_draft_is_sent_again_by_a_new_attempt_that_ends_the_first(
    store: Store, message: NewMessage, lane: Lane, attempt: NewAttempt, make: Maker, clock: FakeClock
) -> None:
    store.settle([make.settled(attempt, State.UNSURE)])
    clock.go_on(minutes=1)
    ((found, work),) = store.unresolved(lane, limit=1)
    second = make.attempt(lane, work, facts=dict(found.facts) | {"draft_id": "d"})
    assert store.begin([second]) == {second.id}
    clock.go_on(days=1)
    store.end_leases()
    mine = claim_one(store)
    assert [(attempt.id, attempt.facts) for attempt, _ in store.unresolved(mine, limit=5)] == [(second.id, {"draft_id": "d"})]
    story = store.story(message.id)
    assert story is not None
    assert [attempt.resolution for attempt in story.attempts] == [Resolution.DONE, Resolution.OPEN]
    assert story.deliveries[0].attempts == 2


def test_facts_are_added_to_what_is_known(store: Store, message: NewMessage, attempt: NewAttempt, make: Maker) -> None:
    assert store.note(make.note(attempt, {"draft_id": "d", "step": "1"}))
    assert store.note(make.note(attempt, {"step": "2"}))
    story = store.story(message.id)
    assert story is not None
    assert story.attempts[0].facts == {"draft_id": "d", "step": "2"}


def test_a_stale_owner_notes_nothing_and_the_new_one_does(
    store: Store, message: NewMessage, attempt: NewAttempt, make: Maker, clock: FakeClock
) -> None:
    clock.go_on(minutes=10)
    lane = claim_one(store, "other")
    assert not store.note(make.note(attempt, {"draft_id": "of before"}))
    assert store.note(make.note(attempt, {"draft_id": "d"}, epoch=lane.epoch))
    story = store.story(message.id)
    assert story is not None
    assert story.attempts[0].facts == {"draft_id": "d"}


@pytest.mark.parametrize("state", [State.SENT, State.IGNORED])
def test_what_has_ended_is_noted_no_more(store: Store, attempt: NewAttempt, make: Maker, state: State) -> None:
    store.settle([make.settled(attempt, State.UNSURE)])
    assert store.note(make.note(attempt, {"draft_id": "d"}))
    if state is State.IGNORED:
        assert store.act(Query(), Action.IGNORE, by="eve") == 1
    else:
        store.settle([make.settled(attempt, state)])
    assert not store.note(make.note(attempt, {"a": "b"}))


def test_a_fact_about_an_unknown_attempt_is_refused(store: Store, attempt: NewAttempt, make: Maker) -> None:
    assert not store.note(make.note(replace(attempt, id=AttemptId(7)), {"a": "b"}))


def test_usage_counts_what_left_since_then(store: Store, make: Maker, clock: FakeClock) -> None:
    for recipients in (1, 2, 3):
        store.put([make.message(*(f"r{number}@example.org" for number in range(recipients)), raw=b"x" * 100)])
        lane = claim_one(store)
        attempts = make.begun(store, lane, store.due(lane, limit=1))
        store.settle([make.settled(attempt, State.FAILED) for attempt in attempts])
        store.release("worker", [lane])
        clock.go_on(hours=1)
    assert store.usage(LANE, START) == Usage(3, 6, 300)
    assert store.usage(LANE, START + timedelta(hours=1)) == Usage(2, 5, 200)
    assert store.usage(LANE, START + timedelta(hours=3)) == Usage(0, 0, 0)
    assert store.usage(LaneName("other"), START) == Usage(0, 0, 0)


def test_the_history_of_usage_counts_between_each_two_edges(store: Store, make: Maker, clock: FakeClock) -> None:
    for recipients in (1, 2, 0, 3):
        if recipients:
            store.put([make.message(*(f"r{number}@example.org" for number in range(recipients)), raw=b"x" * 100)])
            lane = claim_one(store)
            make.begun(store, lane, store.due(lane, limit=1))
            store.release("worker", [lane])
        clock.go_on(hours=1)
    edges = [START + timedelta(hours=hours) for hours in range(6)]
    one, two, three = Usage(1, 1, 100), Usage(1, 2, 100), Usage(1, 3, 100)
    assert store.usage_history(LANE, edges) == [one, two, Usage(0, 0, 0), three, Usage(0, 0, 0)]
    assert store.usage_history(LANE, [START, START + timedelta(hours=2)]) == [Usage(2, 3, 200)]
    assert store.usage_history(LaneName("other"), edges) == [Usage(0, 0, 0)] * 5


def test_what_an_attempt_sends_further_counts_when_it_leaves(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message("a@example.org", "b@example.org", raw=b"x" * 100)])
    lane = claim_one(store)
    (attempt,) = make.begun(store, lane, store.due(lane, limit=1))
    clock.go_on(hours=1)
    assert store.note(replace(make.note(attempt, {"1.turn": "yes"}), left=Further(0)))
    assert store.note(replace(make.note(attempt, {"sent_again": "yes"}), left=Further(2)))
    assert not store.note(replace(make.note(attempt, {"sent_again": "yes"}, epoch=99), left=Further(2)))
    edges = [START + timedelta(hours=hours) for hours in range(3)]
    assert store.usage_history(LANE, edges) == [Usage(1, 2, 100), Usage(2, 2, 0)]
    assert store.usage(LANE, START) == Usage(3, 4, 100)
    store.settle([make.settled(attempt, State.SENT)])
    clock.go_on(days=1)
    store.forget(raw_before=clock(), rows_before=clock(), limit=10)
    assert store.usage(LANE, START) == Usage(0, 0, 0)


def test_nothing_is_no_mistake(store: Store) -> None:
    assert store.begin([]) == set()
    store.settle([])
    store.release("worker", [])
    assert store.renew("worker", [], TTL) == set()


def test_a_settle_for_an_unknown_attempt_is_left_out(
    store: Store, lane: Lane, attempt: NewAttempt, make: Maker, message: NewMessage
) -> None:
    unknown = Settled(
        attempt_id=AttemptId(5),
        lane=lane.name,
        epoch=lane.epoch,
        text="",
        deliveries=(DeliveryResult(id=attempt.delivery_ids[0], state=State.FAILED, due_at=None, reply=None),),
    )
    store.settle([unknown, make.settled(attempt, State.SENT)])
    assert states_of(store, message) == [State.SENT]


def test_an_end_and_a_beginning_are_one_transaction(store: Store, lane: Lane, attempt: NewAttempt, make: Maker) -> None:
    store.put([make.message("b@example.org")])
    (work,) = store.due(lane, limit=5)
    second = make.attempt(lane, work)
    end = make.settled(attempt, State.SENT)
    assert store.record(notes=[], ended=[end], begun=[second]) == {second.id}
    story = store.story(attempt.message_id)
    assert story is not None
    assert [one.resolution for one in story.attempts] == [Resolution.DONE]
    assert (store.counts()[State.SENT], store.counts()[State.SENDING]) == (1, 1)


def test_if_one_of_them_fails_nothing_is_recorded(store: Store, lane: Lane, attempt: NewAttempt, make: Maker) -> None:
    store.put([make.message("b@example.org")])
    (work,) = store.due(lane, limit=5)
    with pytest.raises(StoreError, match="can't go from"):
        store.record(
            notes=[make.note(attempt, {"draft_id": "d"})], ended=[make.settled(attempt, State.IGNORED)], begun=[make.attempt(lane, work)]
        )
    story = store.story(attempt.message_id)
    assert story is not None
    assert story.attempts[0].facts == {}
    assert store.counts()[State.QUEUED] == 1


def test_what_is_deferred_may_begin_again_in_the_same_transaction(store: Store, lane: Lane, attempt: NewAttempt, make: Maker) -> None:
    again = replace(attempt, id=AttemptId(make.ids()))
    end = make.settled(attempt, State.QUEUED, due_in=timedelta())
    assert store.record(notes=[], ended=[end], begun=[again]) == {again.id}


def test_recording_nothing_is_no_mistake(store: Store) -> None:
    assert store.record(notes=[], ended=[], begun=[]) == set()
