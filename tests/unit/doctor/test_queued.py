"""What a mail in the queue waits for: each state with its cause, its evidence and a way out."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from mailroom.doctor.findings import Finding
from mailroom.doctor.symptoms import mails, queued
from mailroom.doctor.symptoms.asking import Asked, Clinic
from mailroom.objects import Directory, OutgoingServer, SmarthostRoute
from mailroom.ports import Found, Resolution
from mailroom_core.model import MessageId, Reply, State
from tests.unit.doctor.clinic import LANE, NOW, check, clinic, delivery, event, found, lane, message, story

RELAY = OutgoingServer(name="relay", per_minute=30, route=SmarthostRoute(host="relay.example"))
HERE = Directory(servers={"relay": RELAY})
GREYLISTED = Reply(451, "Greylisting in action, please come back later", "4.7.1")


def only(made: Clinic, asked: Asked, *checks: Any) -> Finding:
    (finding,) = [each for one in checks or (queued.lanes, mails.put_off, queued.turn) for each in found(check(one, made, asked))]
    assert finding.evidence
    assert all(each.said for each in finding.evidence)
    assert finding.todo
    assert any(each.command or each.page for each in finding.repairs)
    return finding


@pytest.mark.parametrize(
    ("state", "reply", "told", "code", "title"),
    [
        (State.QUEUED, GREYLISTED, (), "mail-waits", "1 mail was put off: "),
        (State.UNSURE, None, event("unsure", "Nobody knows yet whether it was sent (timeout)"), "mail-unsure", "Nobody knows yet"),
        (State.HELD, Reply(0, "Graph can't read it"), (), "mail-held", "Graph can't read it"),
        (State.HELD, GREYLISTED, event("held", "Held by anna", by="user:anna"), "mail-held", "1 mail is held: Held by anna"),
        (State.HELD, None, event("held", "Nobody knows whether it was sent (no answer)"), "mail-held", "Nobody knows whether it was sent"),
        (State.HELD, None, (), "mail-held", "nothing is noted"),
        (State.FAILED, Reply(550, "Recipient not found", "5.1.10"), (), "mail-failed", "There is no such mailbox"),
        (State.BOUNCED, Reply(550, "not authenticated for group", "5.7.133"), (), "mail-bounced", "own organisation alone"),
    ],
)
def test_each_state_of_a_mail_ends_with_its_cause(state: State, reply: Reply | None, told: Any, code: str, title: str) -> None:
    asked = Asked(story=story(delivery(state, reply=reply), events=(told,) if told else ()))
    finding = only(clinic(directory=HERE, stories=[asked.story]), asked)
    assert (finding.code, title in finding.title) == (code, True), finding.title


def test_what_a_person_has_cancelled_is_said() -> None:
    asked = Asked(story=story(delivery(State.CANCELLED), events=(event("cancelled", "Cancelled by anna"),)))
    finding = only(clinic(directory=HERE), asked)
    assert (finding.code, finding.evidence[0].said) == ("mail-cancelled", "Cancelled by anna")


def attempt(*, deadline: timedelta) -> Any:
    return SimpleNamespace(message_id=MessageId(7), lane=LANE, started_at=NOW - timedelta(minutes=1), deadline=NOW + deadline,
                           resolution=Resolution.OPEN, text="")  # fmt: skip


@pytest.mark.parametrize(("deadline", "code"), [(timedelta(minutes=4), "being-sent"), (-timedelta(seconds=1), "try-without-end")])
def test_a_mail_that_is_being_sent_says_since_when_and_one_whose_try_has_no_end_says_so(deadline: timedelta, code: str) -> None:
    asked = Asked(story=story(delivery(State.SENDING), attempts=(attempt(deadline=deadline),)))
    assert only(clinic(directory=HERE, lanes=[lane(waiting=1)]), asked).code == code


def test_a_mail_that_is_to_be_sent_later_says_when() -> None:
    asked = Asked(story=story(delivery(due_at=NOW + timedelta(hours=5))))
    finding = only(clinic(directory=HERE, lanes=[lane(waiting=1, due=-timedelta(hours=5))]), asked)
    assert (finding.code, finding.repairs[0].command[:23]) == ("scheduled", "mailroom queue send-now")


def test_a_mail_behind_others_says_at_which_pace_they_leave() -> None:
    asked = Asked(story=story(waiting := delivery()))
    finding = only(clinic(directory=HERE, lanes=[lane(waiting=312)], mails=[Found(waiting, message())]), asked)
    assert finding.code == "waits-its-turn"
    assert "312 mails wait for their turn" in finding.title
    assert "at most 30 mails a minute" in finding.title


def test_a_mail_behind_one_that_was_put_off_names_the_answer_that_it_waits_for() -> None:
    asked = Asked(story=story(delivery()))
    before = Found(delivery(reply=Reply(429, "Graph wants us to slow down", name="TooManyRequests")), message())
    made = clinic(directory=HERE, lanes=[lane(waiting=2)], mails=[before])
    finding = only(made, asked)
    assert finding.code == "way-out-pauses"
    assert "429" in finding.evidence[0].said
    late = clinic(directory=HERE, lanes=[lane(waiting=2, due=timedelta(minutes=9))], mails=[before])
    assert only(late, Asked(), queued.lanes, queued.turn).code == "way-out-pauses"


def test_a_mail_whose_turn_has_come_and_one_that_left_give_no_finding() -> None:
    for each in (delivery(), delivery(State.SENT), delivery(State.IGNORED)):
        asked = Asked(story=story(each))
        looks = [look for one in (queued.lanes, mails.put_off, queued.turn) for look in check(one, clinic(lanes=[lane(waiting=1)]), asked)]
        assert found(looks) == []
