"""Answers that a person writes in the console."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest

from mailroom.audit import Wanted
from mailroom.console.app import MAX_BODY
from mailroom.conversations import Entry, EntryKind, Stage
from mailroom.intake.letter import MOST_FILES
from mailroom.objects import Alias, AliasDomain, Destination, InboxTarget, OutgoingServer, Role, SinkRoute
from mailroom.ports import Action, Found, Query
from mailroom_core.model import show_id
from tests.unit.console.conftest import Pages
from tests.unit.console.test_conversations import kept
from tests.unit.console.test_object_pages import post, put

ANNA, SALES, BOSS = "anna@customer.example", "sales@contoso.example", "boss@customer.example"
RAW = (
    f"From: Anna <{ANNA}>\r\nTo: {SALES}, help@contoso.example\r\nCc: The Boss <{BOSS}>\r\n"
    "Subject: Broken\r\nMessage-ID: <first@customer.example>\r\n\r\nIt broke\r\n"
)


@pytest.fixture
def desk(pages: Pages) -> str:
    """The path of a conversation in an inbox that has an address."""
    put(
        pages,
        OutgoingServer(name="out", route=SinkRoute()),
        AliasDomain(name="contoso.example"),
        Destination(name="desk", target=InboxTarget(followers=("tom@contoso.example",))),
        Alias(name=SALES, destination="desk"),
    )
    mail = pages.make.message(SALES, raw=RAW.encode(), sender=ANNA, subject="Broken")
    pages.store.put([mail])
    entry = Entry(
        kind=EntryKind.MAIL_IN,
        at=pages.clock(),
        author=ANNA,
        text="It broke",
        message_id=mail.id,
        header_message_id="<first@customer.example>",
    )
    number, _ = pages.store.conversations.add("desk", entry, subject="Broken", customer=ANNA)
    return f"/conversations/{show_id(number)}"


def sent(pages: Pages, application: str = "conversations") -> list[Found]:
    return pages.store.find(Query(application=application), limit=10)[0]


def mail_of(pages: Pages, found: Found) -> Message:
    message = pages.store.read(found.message.id)
    assert message
    if message.raw is not None:
        return message_from_bytes(message.raw)
    blob: Any = pages.blobs.open(message.blob)
    return message_from_bytes(blob.read_at(0, blob.size))


def test_the_form_says_to_whom_and_as_whom_and_names_those_who_were_written_to_as_well(pages: Pages, desk: str) -> None:
    text = pages.get(desk)
    assert "&lt;anna@customer.example&gt;" in text
    assert f'<option value="{SALES}">' in text
    (cc,) = re.findall(r'name="cc" value="([^"]*)"', text)
    assert BOSS in cc
    assert "help@contoso.example" not in cc, "that is one of ours"
    assert "tom@contoso.example" in text, "who follows"


def test_an_answer_is_stored_stands_in_the_thread_and_says_what_becomes_of_it(pages: Pages, desk: str) -> None:
    post(pages, f"{desk}/answer", text="We look\r\nat it", sender=SALES, cc=f"The Boss <{BOSS}>", key="k")
    found = {each.delivery.recipient: each for each in sent(pages)}
    assert set(found) == {ANNA, BOSS}
    mail = mail_of(pages, found[ANNA])
    assert (mail["From"], mail["To"], mail["Subject"]) == (SALES, f'"Anna" <{ANNA}>', "Re: Broken")
    assert mail["Cc"] == f'"The Boss" <{BOSS}>'
    assert mail["In-Reply-To"] == "<first@customer.example>"
    assert mail.get_payload(decode=True) == b"We look\r\nat it\r\n"
    _, entries = kept(pages)
    assert [(each.kind, each.text) for each in entries][1:] == [(EntryKind.MAIL_OUT, "We look\nat it")]
    assert "Waiting</span>" in pages.get(desk)
    pages.store.act(Query(application="conversations"), Action.CANCEL, by="test")
    assert "Waiting</span>" not in pages.get(desk)
    (noted,), _ = pages.store.audited(Wanted(kind="conversation"), limit=9)
    assert noted.by == "user:mary@contoso.example"
    assert [each.delivery.recipient for each in sent(pages, "followers")] == ["tom@contoso.example"]


def test_the_same_form_sent_twice_is_one_answer(pages: Pages, desk: str) -> None:
    (key,) = re.findall(r'name="key" value="([0-9a-f]{32})"', pages.get(desk))
    for _ in range(2):
        post(pages, f"{desk}/answer", text="Yes", key=key)
    assert len(sent(pages)) == 1
    assert key not in pages.get(desk), "the next answer is another one"


def test_the_same_form_with_another_answer_sends_it_when_it_is_sent_again(pages: Pages, desk: str) -> None:
    post(pages, f"{desk}/answer", text="Yes", key="k")
    for what in ({"text": "No"}, {"text": "Yes", "cc": BOSS}):
        text = post(pages, f"{desk}/answer", 422, key="k", **what)
        assert "has sent another answer" in text
        assert f">{what['text']}</textarea>" in text
    assert len(sent(pages)) == 1
    (key,) = re.findall(r'name="key" value="([0-9a-f]{32})"', text)
    post(pages, f"{desk}/answer", text="No", key=key)
    assert [each.text for each in kept(pages)[1]][1:] == ["Yes", "No"]


def test_a_file_is_part_of_what_was_sent_with_a_key(pages: Pages, desk: str) -> None:
    for content, status in ((b"1", 303), (b"1", 303), (b"12", 422)):
        files = [("files", ("a.txt", content, "text/plain"))]
        answer: Any = pages.client.post(f"{desk}/answer", data={"text": "See there", "key": "k"}, files=files)
        assert answer.status_code == status, answer.text
    assert len(sent(pages)) == 1


def test_send_and_close_ends_the_conversation(pages: Pages, desk: str) -> None:
    post(pages, f"{desk}/answer", text="Done", key="k", close="yes")
    assert kept(pages)[0].stage is Stage.CLOSED


@pytest.mark.parametrize("size", [9, 3_000_000])
def test_files_hang_on_the_answer_with_their_names_and_bytes(pages: Pages, desk: str, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"the end."
    files = [("files", ("Prüfung.pdf", content, "application/pdf")), ("files", ("odd", b"x", "multipart/evil"))]
    answer: Any = pages.client.post(f"{desk}/answer", data={"text": "See there", "key": "k"}, files=files)
    assert answer.status_code == 303, answer.text
    parts = [part for part in mail_of(pages, sent(pages)[0]).walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain", "application/pdf", "application/octet-stream"]
    assert parts[0].get_payload(decode=True) == b"See there\r\n"
    assert (parts[1].get_filename(), parts[1].get_payload(decode=True)) == ("Prüfung.pdf", content)
    assert sent(pages, "followers"), "the copy has the files, too"
    assert mail_of(pages, sent(pages, "followers")[0]).get_payload()[1].get_payload(decode=True) == content  # type: ignore[index,union-attr]


def test_too_many_bytes_are_refused_and_only_this_form_may_have_so_many(pages: Pages, desk: str) -> None:
    much = {"files": ("big", b"x" * (MOST_FILES + 1))}
    answer: Any = pages.client.post(f"{desk}/answer", data={"text": "See there"}, files=much)
    assert answer.status_code == 422
    assert "send larger ones another way" in answer.text
    assert "See there" in answer.text
    assert "Choose them again" in answer.text
    assert pages.client.post(f"{desk}/answer", files={"files": ("big", b"x" * (MOST_FILES + 2 * MAX_BODY))}).status_code == 413
    assert pages.client.post(f"{desk}/note", files={"text": ("big", b"x" * (MAX_BODY + 1))}).status_code == 413
    assert sent(pages) == []


def test_mistakes_stand_beside_their_fields_and_what_was_entered_stays(pages: Pages, desk: str) -> None:
    assert "write something" in post(pages, f"{desk}/answer", 422, text=" ")
    text = post(pages, f"{desk}/answer", 422, text="Hello", cc="anna@customer.example, the boss", sender=SALES)
    assert "'the boss' is no address" in text
    assert ">Hello</textarea>" in text
    assert "can't answer here as ceo@bank.example" in post(pages, f"{desk}/answer", 422, text="Hello", sender="ceo@bank.example")
    assert "as a file" in post(pages, f"{desk}/answer", 422, text="x" * 100_001)
    pages.store.apply([], [("server", "out")], by="test")
    assert "outgoing server" in post(pages, f"{desk}/answer", 422, text="Hello")
    assert sent(pages) == []
    pages.role = Role.VIEWER
    post(pages, f"{desk}/answer", 403, text="Hello")
    assert "Send and close" not in pages.get(desk)


def test_where_nobody_can_answer_the_page_says_what_to_do(pages: Pages, desk: str) -> None:
    pages.store.apply([], [("alias", SALES), ("alias_domain", "contoso.example")], by="test")
    text = pages.get(desk)
    assert "mailroom alias add" in text
    assert "Send and close" not in text


@pytest.mark.parametrize("where", ["From: Anna <anna@customer.example>", "Cc: The Boss <boss@customer.example>"])
def test_an_address_that_no_mail_can_name_keeps_nobody_out_of_its_conversation(pages: Pages, desk: str, where: str) -> None:
    """Its domain has no form in ASCII: one label of it would be too long."""
    strange = f"x@{'ü' * 40}aaaaaaaaaaaaaaaaaaaa.example"
    raw = RAW.replace(where, f"{where.partition(' ')[0]} {strange}")
    mail = pages.make.message(SALES, raw=raw.encode(), sender=ANNA, subject="Broken")
    pages.store.put([mail])
    author = strange if where.startswith("From") else ANNA
    entry = Entry(
        kind=EntryKind.MAIL_IN, at=pages.clock(), author=author, text="?", message_id=mail.id, header_message_id="<2@customer.example>"
    )
    number, _ = pages.store.conversations.add("desk", entry, subject="Strange", customer=author)
    text = pages.get(f"/conversations/{show_id(number)}")
    assert ("is no address that an answer could go to" in text) is where.startswith("From")


def test_the_mail_itself_is_shown_in_its_place_of_the_thread(pages: Pages, desk: str) -> None:
    (path,) = re.findall(r'hx-get="(/messages/[^"]+/mail\?place=mail-[^"]+)"', pages.get(desk))
    place = path.partition("place=")[2]
    text = pages.get(path)
    assert "It broke" in text
    assert f'hx-target="#{place}"' in text
    assert f'id="{place}-source"' in text
    pages.get(path.replace("place=mail", "place=x"), 422)
