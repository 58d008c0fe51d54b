"""An answer that names no mail is found by the provider's conversation, and its destination reads what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailroom.conversations import EntryKind
from mailroom.objects import Application
from mailroom.ports import Job
from mailroom.transports.handed import handed
from mailroom.transports.inbox import InboxTransport
from mailroom_core.model import Held, Sent, State
from tests.contract.transports.jobs import job, remember
from tests.unit.gateway.test_fetch import SERVER, Office, judged_anew, sent_mail

pytestmark = pytest.mark.anyio
OURS, OTHER = "<offer@contoso.example>", "<order@contoso.example>"
BARE = (
    b"From: Tom <Tom@Partner.example>\r\nTo: mary@contoso.example\r\nSubject: Yes\r\nMessage-ID: <yes@partner.example>\r\n\r\nI take it\r\n"
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    made.store.apply([Application(name="odoo", answers="desk")], [], by="test")
    yield made
    made.store.close()


async def come(office: Office, raw: bytes = BARE, *, conversation: str = "AAQkAD=") -> State:
    office.source.mails, office.source.conversation = {"one": raw}, conversation
    assert (await office.look()).trouble == ""
    (found,) = office.found("Yes")
    return found.delivery.state


def asked(office: Office) -> Job:
    """What the destination is given to do."""
    (found,) = [each for each in office.found("Yes") if each.delivery.server == "desk"]
    message = office.store.read(found.message.id)
    assert message is not None
    made = job("mary@contoso.example", raw=message.raw or b"")
    return replace(made, message=message, recipients={found.delivery.id: found.delivery.recipient})


def named(office: Office) -> dict[str, str]:
    """What an Odoo reads of what is answered."""
    head = b"".join(handed(asked(office), office.store).mail.chunks()).partition(b"\r\n\r\n")[0].decode()
    fields = (line.partition(": ")[::2] for line in head.split("\r\n"))
    return {name: value for name, value in fields if name in ("In-Reply-To", "References")}


async def test_it_is_handed_over_as_an_answer_to_our_mail(office: Office) -> None:
    sent_mail(office, OURS, conversation="AAQkAD=")
    assert await come(office) is State.QUEUED
    assert named(office) == {"In-Reply-To": OURS, "References": OURS}
    found = handed(asked(office), office.store).answers
    assert found is not None
    assert found.header_message_id == OURS


async def test_in_the_inbox_it_stands_below_our_mail(office: Office) -> None:
    async def copied(*of: object) -> None: ...

    sent_mail(office, OURS, conversation="AAQkAD=")
    await come(office)
    inbox = InboxTransport("desk", office.store, copied, lambda recipients: {})
    for _ in range(2):
        (outcome,) = (await inbox.attempt(asked(office), remember)).values()
        assert isinstance(outcome, Sent)
    ((conversation,), _) = office.store.conversations.all(limit=10)
    whole = office.store.conversations.one(conversation.id)
    assert whole is not None
    assert [(each.kind, each.header_message_id) for each in whole[1]] == [
        (EntryKind.MAIL_OUT, OURS),
        (EntryKind.MAIL_IN, "<yes@partner.example>"),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        BARE.replace(b"Tom@Partner", b"eve@stranger"),
        BARE.replace(b"Subject", b"X-MS-Exchange-Organization-ConversationId: AAQkAD=\r\nThread-Index: AAQkAD=\r\nSubject"),
    ],
)
async def test_nobody_gets_into_a_conversation_by_writing_its_name_or_our_subject(office: Office, raw: bytes) -> None:
    """The provider takes strangers with our subject for one conversation; a header can say what it likes."""
    sent_mail(office, OURS, conversation="AAQkAD=")
    assert await come(office, raw, conversation="AAQkAD=" if b"eve@" in raw else "") is State.HELD


async def test_a_mail_of_ours_that_its_author_names_counts_more(office: Office) -> None:
    sent_mail(office, OTHER)
    sent_mail(office, OURS, conversation="AAQkAD=", node=9)
    await come(office, BARE.replace(b"Subject", b"References: %s\r\nSubject" % OTHER.encode()))
    assert named(office) == {"References": OTHER}


async def test_our_automatic_answer_in_it_is_nothing_to_answer(office: Office) -> None:
    sent_mail(office, OURS, conversation="AAQkAD=", application="mailroom")
    assert await come(office) is State.HELD


@pytest.mark.parametrize("gone", [False, True])
async def test_out_of_quarantine_its_conversation_is_known_still(office: Office, gone: bool) -> None:
    """Also when its incoming server was removed meanwhile."""
    office.store.apply([SERVER], [], by="test")
    assert await come(office) is State.HELD
    assert isinstance(await judged_anew(office, "Yes"), Held)
    sent_mail(office, OURS, conversation="AAQkAD=")
    if gone:
        office.store.apply([], [("incoming", "mary")], by="test")
    assert isinstance(await judged_anew(office, "Yes"), Sent)
    assert named(office) == {"In-Reply-To": OURS, "References": OURS}
