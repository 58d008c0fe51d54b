"""Mail that came back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom.ports import CameBack, Store
from mailroom_core.model import MessageId, Reply, State
from tests.contract.store.makers import FakeClock, Maker, claim_one, sent_off

ANN = "ann@customer.example"
BOB = "bob@customer.example"


def about(message: MessageId, clock: FakeClock, recipient: str = ANN, reason: str = "NO_SUCH_MAILBOX") -> CameBack:
    return CameBack(
        message_id=message,
        recipient=recipient,
        at=clock(),
        name="bounced",
        text="The mail did not arrive",
        reply=Reply(550, "no such user", "5.1.1"),
        reason=reason,
        permanent=True,
        hard=True,
    )


def states(store: Store, message: MessageId) -> dict[str, State]:
    story = store.story(message)
    assert story is not None
    return {each.recipient: each.state for each in story.deliveries}


def test_what_was_sent_is_bounced_once_with_its_reason_on_the_timeline(store: Store, make: Maker, clock: FakeClock) -> None:
    message = sent_off(store, make, ANN, BOB)
    (changed,) = store.came_back([about(message, clock)])
    assert store.came_back([about(message, clock)]) == []
    assert states(store, message) == {ANN: State.BOUNCED, BOB: State.SENT}
    story = store.story(message)
    assert story is not None
    assert [(each.text, each.data) for each in story.events if each.name == "bounced"] == [
        ("The mail did not arrive", {"reason": "NO_SUCH_MAILBOX"})
    ]
    assert next(each.reply for each in story.deliveries if each.id == changed) == Reply(550, "no such user", "5.1.1")


def test_a_report_that_names_nobody_is_about_the_only_recipient(store: Store, make: Maker, clock: FakeClock) -> None:
    one, two = sent_off(store, make, ANN), sent_off(store, make, ANN, BOB)
    assert len(store.came_back([about(one, clock, "")])) == 1
    assert store.came_back([about(two, clock, "")]) == []


def test_what_was_never_sent_and_who_never_got_it_stay_as_they_are(store: Store, make: Maker, clock: FakeClock) -> None:
    sent = sent_off(store, make, ANN)
    waiting = make.message(ANN)
    store.put([waiting])
    assert store.came_back([about(waiting.id, clock), about(sent, clock, BOB), about(MessageId(1), clock)]) == []


def test_a_bounce_proves_that_a_mail_was_sent_whose_answer_got_lost(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message(ANN, BOB)
    store.put([message])
    lane = claim_one(store)
    (attempt,) = make.begun(store, lane, store.due(lane, limit=10))
    store.settle([make.settled(attempt, State.UNSURE)])
    assert len(store.came_back([about(message.id, clock)])) == 1
    assert states(store, message.id) == {ANN: State.BOUNCED, BOB: State.UNSURE}
    clock.go_on(minutes=1)
    ((_, work),) = store.unresolved(lane, limit=10)
    assert [each.recipient for each in work.deliveries] == [BOB], "it is looked for no longer, and never sent again"
    store.settle([replace(make.settled(attempt, State.SENT), deliveries=tuple(make.settled(attempt, State.SENT).deliveries[1:]))])
    assert states(store, message.id) == {ANN: State.BOUNCED, BOB: State.SENT}


def test_the_bounces_of_an_address_are_remembered_for_half_a_year(store: Store, make: Maker, clock: FakeClock) -> None:
    start = clock()
    for _ in range(2):
        store.came_back([about(sent_off(store, make, ANN), clock)])
        clock.go_on(days=20)
    store.came_back([about(sent_off(store, make, BOB), clock, BOB)])
    found = store.bounces_of(ANN, start)
    assert [(at - start, reason, permanent, hard) for at, reason, permanent, hard in found] == [
        (timedelta(days=0), "NO_SUCH_MAILBOX", True, True),
        (timedelta(days=20), "NO_SUCH_MAILBOX", True, True),
    ]
    assert len(store.bounces_of(ANN, start + timedelta(days=1))) == 1
    clock.go_on(weeks=24)
    store.came_back([])
    assert len(store.bounces_of(ANN, start)) == 0


@pytest.mark.parametrize("marker", ["", "nonsense", "-1", "f" * 40, "0000000000000001"])
def test_a_marker_that_is_none_of_ours_finds_nothing(store: Store, marker: str) -> None:
    assert store.attempted(marker) is None
