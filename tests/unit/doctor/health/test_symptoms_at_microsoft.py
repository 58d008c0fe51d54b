"""What Microsoft answers, produced in an emulated tenant by mail that a worker sends, and told apart by the questions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from mailroom.doctor.symptoms.asking import Answer
from mailroom.objects import Account, GraphRoute, OutgoingServer
from mailroom.ports import Event, LaneStatus, NewDelivery, NewMessage, Story
from mailroom.wakeup import PipeWakeup
from mailroom.way_out import lane_of
from mailroom.wiring.fetching import make_fetch
from mailroom.wiring.parts import utc_now
from mailroom.wiring.symptoms import answered
from mailroom.wiring.ways import Ways
from mailroom.wiring.worker import make_worker
from mailroom_core.model import DeliveryId, Kind, MessageId, State, show_id
from tests.unit.doctor.health.house import MARY, TOM, Installation

OFFICE = OutgoingServer(name="office", from_filter=("contoso.example",), route=GraphRoute(account="office", reports=False))
SETTLED = frozenset({State.SENT, State.FAILED, State.HELD})


def put(house: Installation, sender: str = MARY) -> MessageId:
    """A mail in the queue, as it was accepted."""
    number, now = MessageId(house.parts.ids()), utc_now()
    raw = f"From: {sender}\r\nTo: anna@customer.example\r\nSubject: x\r\nMessage-ID: <{number}@erp.test>\r\n\r\nHello\r\n".encode()
    lane = lane_of(house.parts.directory(), OFFICE, sender)
    delivery = NewDelivery(id=DeliveryId(house.parts.ids()), recipient="anna@customer.example", server="office", lane=lane, due_at=now)
    house.parts.store.put(
        [
            NewMessage(
                id=number, accepted_at=now, expires_at=now + timedelta(days=5), sender=sender, header_from=sender, subject="x",
                header_message_id=f"<{number}@erp.test>", application="erp", kind=Kind.TRANSACTIONAL, size=len(raw), raw=raw,
                deliveries=(delivery,), events=(Event(at=now, name="accepted", text="Accepted"),),
            )
        ]
    )  # fmt: skip
    return number


def told(house: Installation, number: MessageId) -> Story:
    story = house.parts.store.story(number)
    assert story is not None
    return story


def work(house: Installation, number: MessageId) -> None:
    """The worker of a gateway, until something has become of the mail."""

    def done() -> bool:
        (delivery,) = told(house, number).deliveries
        held: list[LaneStatus] = [each for each in house.parts.store.lanes() if each.held]
        return delivery.state in SETTLED or bool(delivery.reply) or bool(held)

    async def run() -> None:
        stop, ways, wakeup = asyncio.Event(), Ways(house.parts), PipeWakeup()
        fetch, commit = make_fetch(house.parts, ways, wakeup)
        working = asyncio.create_task(make_worker(house.parts, ways, wakeup, fetch).run(stop))
        try:
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(done):
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await working
            await commit.close()
            await ways.close()

    asyncio.run(run())


def ask(house: Installation, question: str, number: MessageId) -> Answer:
    answer = asyncio.run(answered(house.parts, question, show_id(number)))
    assert all(each.evidence and each.todo for each in answer.findings)
    return answer


def sent(house: Installation, sender: str = MARY) -> MessageId:
    number = put(house, sender)
    work(house, number)
    return number


@pytest.fixture
def office(house: Installation) -> Account:
    account = house.person()
    house.has(OFFICE)
    return account


def test_a_healthy_mailbox_gives_no_finding(house: Installation, office: Account) -> None:
    number = sent(house)
    assert told(house, number).deliveries[0].state is State.SENT
    for question in ("queued", "daily-limit", "authentication-failed", "duplicates"):
        answer = ask(house, question, number)
        assert answer.findings == (), (question, answer.findings)
        assert answer.verdict.startswith("Nothing was found")


def _throttled(house: Installation) -> None:
    fault(house, status=429, retry_after=600)


def _used_up(house: Installation) -> None:
    fault(house, status=429, code="ErrorExceededMessageLimit")


def _dead(house: Installation) -> None:
    house.ask("POST", f"/accounts/{MARY}/revoke")
    house.forget_token("office")


def _no_mailbox(house: Installation) -> None:
    house.ask("PATCH", f"/accounts/{MARY}", licensed=False)


def _disabled(house: Installation) -> None:
    fault(house, status=403, code="ErrorAccountDisabled")


def fault(house: Installation, **answer: Any) -> None:
    house.ask("POST", "/faults", match={"path": "/messages|/sendMail"}, times=None, action={"kind": "answer", **answer})


@pytest.mark.parametrize(
    ("trouble", "sender", "question", "code", "words", "command"),
    [
        (_throttled, MARY, "queued", "mail-waits", "Graph wants us to slow down", "mailroom queue show"),
        (_used_up, MARY, "daily-limit", "daily-limit", "has used up its daily limit", "mailroom queue list"),
        (lambda _: None, TOM, "not-sent", "mail-failed", "may not send as this sender", "mailroom queue retry"),
        (_dead, MARY, "not-sent", "lane-held", "", "mailroom queue free"),
        (_dead, MARY, "authentication-failed", "sign-in-refused", "gives the account office no token", "mailroom connect office"),
        (_no_mailbox, MARY, "not-sent", "lane-held", "no such mailbox, or it has no licence", "mailroom queue free"),
        (_disabled, MARY, "not-sent", "lane-held", "disabled in Exchange", "mailroom queue free"),
    ],
    ids=["throttled", "daily limit", "ErrorSendAsDenied", "dead grant", "dead grant, asked so", "no mailbox", "disabled account"],
)
def test_what_microsoft_answers_is_the_cause(
    house: Installation, office: Account, trouble: Any, sender: str, question: str, code: str, words: str, command: str
) -> None:
    trouble(house)
    answer = ask(house, question, sent(house, sender))
    cause = answer.findings[0]
    assert (cause.code, words in cause.title) == (code, True), [(each.code, each.title) for each in answer.findings]
    assert cause.repairs[0].command.startswith(command), cause.repairs
    assert answer.verdict == cause.title


def test_a_mail_behind_one_that_was_put_off_waits_for_the_same(house: Installation, office: Account) -> None:
    _throttled(house)
    sent(house)
    behind = put(house)
    cause = ask(house, "queued", behind).findings[0]
    assert (cause.code, "Graph wants us to slow down" in cause.title) == ("way-out-pauses", True), cause
