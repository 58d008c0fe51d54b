"""Checks of symptoms, one by one: what a store and a health say, and what becomes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from inspect import getsource
from types import SimpleNamespace
from typing import Any

import pytest

from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Verdict
from mailroom.doctor.symptoms import coming, mails, queued, reports, ways
from mailroom.doctor.symptoms.asking import Asked, Clinic, Question, ask
from mailroom.doctor.symptoms.questions import QUESTIONS, question
from mailroom.objects import Application, Directory
from mailroom.observe import events, recent
from mailroom.observe.recent import Refusal
from mailroom.ports import Attempt, LaneStatus, Resolution
from mailroom_core.errors import ConfigError, MailroomError
from mailroom_core.model import AttemptId, MessageId
from tests.unit.doctor.clinic import LANE, NOW, SINK, check, clinic, found, lane
from tests.unit.doctor.health.house import exists


def test_a_way_out_that_is_held_says_why_in_the_words_of_the_tables() -> None:
    (finding,) = found(check(queued.lanes, clinic(lanes=[lane(held="AADSTS7000222: The provided client secret keys are expired.")])))
    assert finding.code == "lane-held"
    assert "The client secret has expired" in finding.title
    assert finding.repairs[0].command == f"mailroom queue free {LANE}"


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (lane(due=timedelta(minutes=9), owned=False), ["nobody-delivers"]),
        (lane(due=timedelta(minutes=9)), []),
        (lane(due=timedelta(seconds=5), owned=False), []),
        (lane(due=-timedelta(hours=1), owned=False), []),
        (lane(waiting=0, due=timedelta(minutes=9), owned=False), []),
    ],
)
def test_nobody_delivers_only_if_something_is_due_and_leased_by_nobody(status: LaneStatus, codes: list[str]) -> None:
    assert [each.code for each in found(check(queued.lanes, clinic(lanes=[status])))] == codes


def test_a_sink_delivers_nothing_and_without_a_server_nothing_leaves() -> None:
    asked = Asked(address="mary@contoso.example")
    trial = Directory(servers={"trial": SINK}, applications={"erp": Application(name="erp", senders=("contoso.example",))})
    assert [each.code for each in found(check(ways.carried, clinic(directory=trial), asked))] == ["sink"]
    assert found(check(ways.carried, clinic(directory=trial), Asked(address="anna@customer.example"))) == [], "a recipient has no way out"
    for subject in (asked, Asked()):
        (none,) = found(check(ways.carried, clinic(), subject))
        assert (none.code, none.evidence[0].said[:8]) == ("no-way-out", "there is")


@pytest.mark.parametrize(
    ("client", "listener", "codes"),
    [
        ("192.0.2.7", "127.0.0.1:2525", ["listens-on-loopback"]),
        ("192.0.2.7", "0.0.0.0:587", []),
        ("127.0.0.1", "127.0.0.1:2525", []),
        ("mary@contoso.example", "127.0.0.1:2525", []),
    ],
)
def test_a_client_elsewhere_does_not_reach_a_port_of_this_machine(client: str, listener: str, codes: list[str]) -> None:
    made = clinic(evidence=[Evidence(listener, "220 gateway ESMTP")])
    assert [each.code for each in found(check(ways.reach, made, Asked(address=client)))] == codes


def test_what_was_refused_is_told_by_who_it_was_and_unchecked_where_nobody_remembers() -> None:
    old = Refusal(NOW - timedelta(days=2), "sign-in", "192.0.2.1", "old", "535 5.7.8 no")
    new = Refusal(NOW, "sign-in", "192.0.2.1", "erp", "535 5.7.8 user or password is wrong")
    made = clinic(refusals=lambda: (new, new, old))
    (finding,) = found(check(ways.refused("sign-in"), made))
    assert (finding.code, finding.evidence[0].asked[:10], finding.repairs[0].command) == (
        "sign-in-failed",
        "2 refusals",
        "mailroom app renew erp",
    )
    assert found(check(ways.refused("sign-in"), made, Asked(address="shop"))) == []
    assert found(check(ways.refused("tls"), made)) == []
    (unknown,) = check(ways.refused("sign-in"), clinic(refusals=lambda: None))
    assert (unknown.check.verdict, unknown.findings) == (Verdict.UNCHECKED, ())


@pytest.mark.parametrize(
    ("kind", "text", "code", "title"),
    [
        ("submission", "550 5.7.1 mary@other.example is none of your senders", "submission-refused", "Mail of erp was refused"),
        ("session", "421 4.7.0 too many connections", "session-refused", "Connections from erp were turned away"),
        ("tls", "no shared cipher", "tls-failed", "erp and Mailroom did not agree on TLS"),
        ("sign-in", "535 5.7.8 user or password is wrong", "sign-in-failed", "A client could not sign in as erp"),
    ],
)
def test_each_kind_of_refusal_is_a_cause_of_its_own(kind: str, text: str, code: str, title: str) -> None:
    made = clinic(refusals=lambda: (Refusal(NOW, kind, "192.0.2.1", "erp", text),))
    every = ("submission", "session", "tls", "sign-in")
    (finding,) = found(check(ways.refused(*every), made))
    assert (finding.code, finding.title.startswith(title)) == (code, True), finding.title
    assert finding.evidence[0].said == f"{text} (from 192.0.2.1)"
    assert finding.todo
    assert found(check(ways.refused(*(each for each in every if each != kind)), made)) == []


def test_the_running_gateway_remembers_its_newest_refusals_and_no_more() -> None:
    for number in range(recent.MOST + 5):
        events.login_failed("192.0.2.9", f"user{number}")
    events.session_refused("192.0.2.9", "421 too many")
    known = recent.refusals()
    assert (len(known), known[0].kind, known[1].who) == (recent.MOST, "session", f"user{recent.MOST + 4}")


def test_answers_need_a_place() -> None:
    lost = Directory(applications={"erp": Application(name="erp")})
    assert [each.code for each in found(check(mails.threads, clinic(directory=lost)))] == ["answers-have-no-place"]
    placed = Directory(applications={"erp": Application(name="erp", answers="desk")})
    assert found(check(mails.threads, clinic(directory=placed))) == []


def test_a_mail_whose_answer_got_lost_and_that_was_sent_again_is_said() -> None:
    times = {"started_at": NOW, "deadline": NOW, "ended_at": NOW, "epoch": 1, "looks": 0, "facts": {}, "marker": "m", "lane": LANE}

    def attempt(number: int, resolution: Resolution, text: str) -> Attempt:
        more: Any = times
        return Attempt(id=AttemptId(number), message_id=MessageId(7), delivery_ids=(), resolution=resolution, text=text, **more)

    tries = (attempt(1, Resolution.DONE, "no answer; tried again, it may arrive twice"), attempt(2, Resolution.DONE, "sent"))
    message = SimpleNamespace(id=MessageId(7), header_message_id="", header_from="a@b.example", source="")
    story: Any = SimpleNamespace(message=message, deliveries=(), attempts=tries, events=())
    assert [each.code for each in found(check(mails.doubles, clinic(), Asked(story=story)))] == ["sent-again"]


def test_a_suppressed_recipient_is_said() -> None:
    made = clinic(suppressed=["dead@customer.example"])
    assert [each.code for each in found(check(ways.suppressed, made, Asked(address="dead@customer.example")))] == ["suppressed"]
    assert found(check(ways.suppressed, made, Asked(address="anna@customer.example"))) == []


def test_a_check_that_fails_is_unchecked_and_the_worst_finding_is_the_cause() -> None:
    async def breaks(made: Clinic, asked: Asked) -> Sequence[Look]:
        raise MailroomError("the database is busy")

    def says(harm: Harm) -> Any:
        async def said(made: Clinic, asked: Asked) -> Sequence[Look]:
            return (Look(Check("x", Verdict.FOUND, harm.value), (Finding(harm.value, harm, harm.value, "", ""),)),)

        return said

    asked = Question(slug="x", text="X", about="", checks=(says(Harm.ADVICE), breaks, says(Harm.HARMFUL)))
    answer = asyncio.run(ask(clinic(), asked))
    assert ([each.code for each in answer.findings], answer.verdict) == (["harmful", "advice"], "harmful")
    assert [each.why for each in answer.unchecked] == ["the database is busy"]
    nothing = asyncio.run(ask(clinic(), Question(slug="x", text="X", about="", checks=(breaks,))))
    assert (nothing.verdict, nothing.harmful) == ("Nothing was found in what could be looked at", False)


def test_all_ten_can_be_asked_of_a_house_with_nothing_in_it() -> None:
    assert len(QUESTIONS) == 10
    for each in QUESTIONS:
        answer = asyncio.run(ask(clinic(), each))
        assert {finding.code for finding in answer.findings} <= {"no-way-out"}
        assert answer.checks
    with pytest.raises(ConfigError, match="no question"):
        question("why")
    with pytest.raises(ConfigError, match="no mail"):
        asyncio.run(ask(clinic(), QUESTIONS[0], message="06xqfhxnc2400"))


def test_every_command_that_a_check_offers_exists() -> None:
    sources = "".join(getsource(each) for each in (coming, mails, queued, reports, ways))
    offered = set(re.findall(r'"(mailroom [a-z][^"]*)"', sources))
    assert len(offered) > 12
    for each in offered:
        exists(re.sub(r"\{[^}]*\}", "x", each))
