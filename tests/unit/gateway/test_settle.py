"""What an attempt's outcomes make of its deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mailroom.ports import Attempt, Delivery, Resolution, Settled
from mailroom.queue.settle import Rules, judge
from mailroom_core.model import (
    TRANSITIONS,
    AttemptId,
    Deferred,
    DeliveryId,
    Failed,
    Held,
    LaneName,
    MessageId,
    Outcome,
    Remote,
    Reply,
    Sent,
    State,
    Unknown,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOOKS = (timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20))
RULES = Rules(now=NOW, chance=0.5, looks=LOOKS)
YES, LATER, NO = Reply(250, "fine", "2.0.0"), Reply(451, "later", "4.0.0"), Reply(550, "no such user", "5.1.1")


def delivery(number: int = 1, *, tries: int = 0, state: State = State.SENDING) -> Delivery:
    return Delivery(
        id=DeliveryId(number),
        message_id=MessageId(1),
        recipient=f"r{number}@example.org",
        server="out",
        lane=LaneName("lane"),
        state=state,
        due_at=None,
        expires_at=NOW + timedelta(days=5),
        attempts=tries,
        reply=None,
        remote=Remote(),
        updated_at=NOW,
    )


def attempt(*, looks: int = 0, facts: Mapping[str, str] | None = None) -> Attempt:
    return Attempt(
        id=AttemptId(7),
        message_id=MessageId(1),
        delivery_ids=(DeliveryId(1),),
        lane=LaneName("lane"),
        epoch=3,
        started_at=NOW,
        deadline=NOW + timedelta(minutes=5),
        marker="m",
        facts=facts or {},
        resolution=Resolution.OPEN,
        looks=looks,
        ended_at=None,
        text="",
    )


def settle(outcome: Outcome, *, look: bool = False, looks: int = 0, tries: int = 0, facts: Mapping[str, str] | None = None) -> Settled:
    state = State.UNSURE if look else State.SENDING
    return judge(attempt(looks=looks, facts=facts), [delivery(tries=tries, state=state)], {DeliveryId(1): outcome}, RULES, look=look)


def test_each_recipient_gets_its_own_outcome() -> None:
    outcomes: dict[DeliveryId, Outcome] = {
        DeliveryId(1): Sent(YES),
        DeliveryId(2): Failed(NO, bad_address=True),
        DeliveryId(3): Deferred(LATER),
    }
    settled = judge(attempt(), [delivery(1), delivery(2), delivery(3)], outcomes, RULES)
    assert [result.state for result in settled.deliveries] == [State.SENT, State.FAILED, State.QUEUED]
    assert [suppression.address for suppression in settled.suppress] == ["r2@example.org"]


def test_a_recipient_without_an_outcome_is_unsure_and_never_sent_again_by_itself() -> None:
    settled = judge(attempt(), [delivery(1), delivery(2)], {DeliveryId(1): Sent(YES)}, RULES)
    assert [result.state for result in settled.deliveries] == [State.SENT, State.UNSURE]


def test_a_draft_that_waits_for_its_turn_is_told_as_that_and_not_as_a_doubt() -> None:
    settled = settle(Unknown("429 slow down", looked=False, waits=True))
    (result,) = settled.deliveries
    assert result.state is State.UNSURE
    assert result.event is not None
    assert "waits for its turn (429 slow down)" in result.event.text
    assert "obody knows" not in result.event.text
    assert settled.text == "waits for its turn: 429 slow down"


def test_what_the_provider_called_it_is_kept() -> None:
    settled = settle(Sent(YES, "id-1"), facts={"internet_message_id": "<a@b>", "conversation_id": "c"})
    assert settled.deliveries[0].remote == Remote("id-1", "<a@b>", "c")


def test_what_got_lost_on_the_way_is_said() -> None:
    event = settle(Sent(YES), facts={"lost": "the text alternative"}).deliveries[0].event
    assert event is not None
    assert "the text alternative" in event.text


@pytest.mark.parametrize(("tries", "minutes"), [(0, 1), (1, 5), (2, 15), (9, 240)])
def test_waits_grow_with_the_tries(tries: int, minutes: int) -> None:
    assert settle(Deferred(LATER), tries=tries).deliveries[0].due_at == NOW + timedelta(minutes=minutes)


def test_a_fractional_wish_is_obeyed_and_a_wish_for_no_wait_is_not_granted_for_ever() -> None:
    due = settle(Deferred(LATER, timedelta(seconds=2.5))).deliveries[0].due_at
    assert due is not None
    assert timedelta(seconds=2.5) <= due - NOW <= timedelta(seconds=3)
    due = settle(Deferred(LATER, timedelta(0)), tries=8).deliveries[0].due_at
    assert due is not None
    assert due - NOW >= timedelta(minutes=15)


def test_a_held_lane_fails_nothing_and_keeps_its_mail_queued() -> None:
    result = settle(Held(Reply(0, "reconnect"), lane=True)).deliveries[0]
    assert (result.state, result.due_at) == (State.QUEUED, NOW)


def test_what_could_not_be_looked_up_stays_unsure_though_the_lane_is_held() -> None:
    settled = settle(Held(Reply(0, "reconnect"), lane=True), look=True, looks=1)
    assert settled.deliveries[0].state is State.UNSURE
    assert not settled.looked


def test_a_mail_that_needs_a_person_is_held() -> None:
    assert settle(Held(Reply(0, "grant the right"))).deliveries[0].state is State.HELD


def test_an_unanswered_attempt_is_looked_up_several_times_and_then_held() -> None:
    first = settle(Unknown("no answer"))
    assert first.deliveries[0].due_at == NOW + LOOKS[0]
    second = settle(Unknown("not found"), look=True, looks=0)
    assert second.looked
    assert second.deliveries[0].due_at == NOW + LOOKS[1]
    last = settle(Unknown("not found"), look=True, looks=2)
    assert last.deliveries[0].state is State.HELD


def test_a_look_that_got_no_answer_does_not_count() -> None:
    settled = settle(Unknown("throttled", looked=False), look=True, looks=2)
    assert settled.deliveries[0].state is State.UNSURE
    assert not settled.looked


@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize(
    "outcome",
    [Sent(YES), Deferred(LATER), Failed(NO), Unknown("x"), Unknown("x", looked=False), Held(LATER), Held(LATER, lane=True)],
)
def test_whatever_comes_out_the_step_is_one_of_the_table(outcome: Outcome, look: bool) -> None:
    before = State.UNSURE if look else State.SENDING
    after = settle(outcome, look=look, looks=2 if look else 0).deliveries[0].state
    assert after in TRANSITIONS[before]


def test_while_the_provider_cannot_be_asked_the_waits_grow_and_the_timeline_is_told_once() -> None:
    old = replace(attempt(looks=1), started_at=NOW - timedelta(minutes=20))
    settled = judge(old, [delivery(state=State.UNSURE)], {DeliveryId(1): Unknown("down", looked=False)}, RULES, look=True)
    (result,) = settled.deliveries
    assert result.due_at == NOW + timedelta(minutes=5)
    assert result.event is None
    older = replace(old, started_at=NOW - timedelta(days=2))
    settled = judge(older, [delivery(state=State.UNSURE)], {DeliveryId(1): Unknown("down", looked=False)}, RULES, look=True)
    assert settled.deliveries[0].due_at == NOW + timedelta(minutes=10)
