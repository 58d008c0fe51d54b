"""Waiting mail is given to another outgoing server; what may have been sent stays with the one that it went by."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom.audit import Wanted
from mailroom.intake.take import QUARANTINE
from mailroom.ports import Action, Delivery, Event, Move, NewDelivery, NewMessage, Query, Store
from mailroom_core.model import DeliveryId, Kind, LaneName, State
from tests.contract.store.makers import LIFETIME, FakeClock, Maker, claim_one, states_of
from tests.contract.store.test_acting import REACHABLE, bring

OTHER = LaneName("smarthost:other")
TO_OTHER = Move("other", lambda _from, _bulk: OTHER)
MAY = {State.QUEUED, State.HELD, State.FAILED}


def deliveries(store: Store, message: NewMessage) -> tuple[Delivery, ...]:
    story = store.story(message.id)
    assert story is not None
    return story.deliveries


@pytest.mark.parametrize("state", REACHABLE)
def test_what_waits_or_has_failed_goes_and_keeps_its_state(store: Store, make: Maker, state: State) -> None:
    message = bring(store, make, state)
    (before,) = deliveries(store, message)
    assert store.move(Query(), TO_OTHER, by="eve") == (1 if state in MAY else 0)
    (after,) = deliveries(store, message)
    assert (after.state, after.due_at) == (before.state, before.due_at)
    assert (after.server, after.lane) == (("other", OTHER) if state in MAY else (before.server, before.lane))


def test_moved_mail_is_worked_on_in_its_new_lane_alone(store: Store, make: Maker) -> None:
    message = make.message()
    store.put([message])
    assert store.move(Query(message_id=message.id), TO_OTHER, by="eve") == 1
    lane = claim_one(store)
    assert lane.name == OTHER
    (attempt,) = make.begun(store, lane, store.due(lane, limit=10))
    store.settle([make.settled(attempt, State.SENT)])
    assert store.claim("worker", want=5, ttl=timedelta(minutes=1)) == []
    assert states_of(store, message) == [State.SENT]


def test_who_has_read_it_before_can_not_begin_it_any_more(store: Store, make: Maker) -> None:
    message = make.message()
    store.put([message])
    lane = claim_one(store)
    works = store.due(lane, limit=10)
    assert store.move(Query(), TO_OTHER, by="eve") == 1
    assert store.begin([make.attempt(lane, work) for work in works]) == set()
    assert states_of(store, message) == [State.QUEUED]


def test_a_move_that_comes_too_late_leaves_it_to_its_attempt(store: Store, make: Maker) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    lane = claim_one(store)
    (attempt,) = make.begun(store, lane, store.due(lane, limit=10))
    assert store.move(Query(), TO_OTHER, by="eve") == 0
    store.settle([make.settled(attempt, State.QUEUED)])
    assert store.move(Query(delivery_id=message.deliveries[0].id), TO_OTHER, by="eve") == 1
    assert [each.server for each in deliveries(store, message)] == ["other", "office"]


def test_what_the_server_does_not_take_stays(store: Store, make: Maker) -> None:
    bulk, usual = make.message(kind=Kind.BULK), make.message()
    store.put([bulk, usual])
    asked = []

    def only_usual(header_from: str, is_bulk: bool) -> LaneName | None:
        asked.append(header_from)
        return None if is_bulk else OTHER

    assert store.move(Query(), Move("other", only_usual), by="eve") == 1
    assert deliveries(store, bulk)[0].server == "office"
    assert set(asked) == {"sales@example.com"}


def test_what_is_left_of_its_lifetime_stays_also_out_of_a_lane_that_was_held(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message()
    store.put([message])
    clock.go_on(hours=1)
    store.hold_lane(message.deliveries[0].lane, "the server is gone", account="")
    clock.go_on(days=30)
    assert store.move(Query(), TO_OTHER, by="eve") == 1
    assert store.expired(limit=10) == []
    clock.go_on(seconds=(LIFETIME - timedelta(hours=1)).total_seconds() - 60)
    assert store.expired(limit=10) == []
    clock.go_on(minutes=2)
    assert [work.message.id for work in store.expired(limit=10)] == [message.id]


def test_what_had_expired_gets_a_new_lifetime(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message()
    store.put([message])
    clock.go_on(days=30)
    assert [work.message.id for work in store.expired(limit=10)] == [message.id]
    assert store.move(Query(), TO_OTHER, by="eve") == 1
    assert store.expired(limit=10) == []


def test_what_came_in_stays_with_its_destination(store: Store, make: Maker) -> None:
    message = make.message(lane=f"{QUARANTINE}inbox")
    store.put([message])
    assert store.move(Query(), TO_OTHER, by="eve") == 0


def test_what_is_just_being_handed_on_stays_until_that_has_ended(store: Store, make: Maker, clock: FakeClock) -> None:
    """Who hands it on may come again after a crash, and knows by the server what it has handed on already."""
    message = make.message(lane=f"{QUARANTINE}partners")
    store.put([message])
    lane = claim_one(store)
    (attempt,) = make.begun(store, lane, store.due(lane, limit=1))
    onward = NewDelivery(
        id=DeliveryId(make.ids()), recipient="out@example.net", server="office", lane=LaneName("smarthost:office"), due_at=clock()
    )
    assert store.hand_on(message.id, [onward], Event(at=clock(), name="forwarded", text="Forwarded")) == 1
    assert store.move(Query(), TO_OTHER, by="eve") == 0
    assert store.hand_on(message.id, [replace(onward, id=DeliveryId(make.ids()))], Event(at=clock(), name="forwarded", text="Again")) == 0
    store.settle([make.settled(attempt, State.SENT)])
    assert store.move(Query(), TO_OTHER, by="eve") == 1


def test_the_timeline_and_the_audit_log_say_who_and_where_to(store: Store, make: Maker) -> None:
    message = make.message()
    store.put([message])
    assert store.move(Query(message_id=message.id), TO_OTHER, by="cli:eve") == 1
    story = store.story(message.id)
    assert story is not None
    assert (story.events[-1].name, story.events[-1].data) == ("moved", {"by": "cli:eve", "from": "office", "to": "other"})
    assert "from office to other" in story.events[-1].text
    (line,), _ = store.audited(Wanted(what="move"), limit=10)
    assert (line.by, line.after) == ("cli:eve", "1 delivery to other")


def test_what_is_there_already_is_not_moved_again(store: Store, make: Maker) -> None:
    store.put([make.message()])
    assert store.move(Query(), TO_OTHER, by="eve") == 1
    assert store.move(Query(), TO_OTHER, by="eve") == 0


def test_what_was_moved_can_be_tried_again(store: Store, make: Maker) -> None:
    message = bring(store, make, State.FAILED)
    assert store.move(Query(), TO_OTHER, by="eve") == 1
    assert store.act(Query(), Action.RETRY, by="eve") == 1
    assert claim_one(store).name == OTHER
    assert states_of(store, message) == [State.QUEUED]
