"""The pages of the built-in inbox."""

from __future__ import annotations

import re

from mailroom.audit import Wanted
from mailroom.conversations import Conversation, ConversationId, Entry, EntryKind, Stage
from mailroom.objects import Destination, InboxTarget, Role
from mailroom_core.model import MessageId, show_id
from tests.unit.console.conftest import Pages
from tests.unit.console.site import PASSWORD, PAUL, Site, token
from tests.unit.console.test_object_pages import post, put

ANNA = "anna@customer.example"


def came(pages: Pages, text: str = "Hello", *, subject: str = "Broken", to: ConversationId | None = None, destination: str = "info") -> str:
    """The path of the conversation."""
    kind = EntryKind.MAIL_IN if to is None else EntryKind.MAIL_OUT
    entry = Entry(kind=kind, at=pages.clock(), author=ANNA, text=text, message_id=MessageId(pages.make.ids()))
    number, _ = pages.store.conversations.add(destination, entry, subject=subject, customer=ANNA, to=to)
    return f"/conversations/{show_id(number)}"


def kept(pages: Pages) -> tuple[Conversation, list[Entry]]:
    ((only,), _) = pages.store.conversations.all(limit=2)
    found = pages.store.conversations.one(only.id)
    assert found
    return found


def test_an_empty_list_says_how_mail_gets_there(pages: Pages) -> None:
    text = pages.get("/conversations")
    assert "No conversation yet" in text
    assert "incoming server" in text
    assert "alias" in text


def test_the_list_has_open_ones_and_closed_ones_by_destination(pages: Pages) -> None:
    put(pages, Destination(name="info", target=InboxTarget()))
    came(pages, subject="First")
    came(pages, subject="Second", destination="other")
    text = pages.get("/conversations")
    assert "First" in text
    assert "Second" in text
    assert ANNA in text
    assert '<option value="info">' in text
    only = pages.get("/conversations?destination=other")
    assert "First" not in only
    assert "Second" in only
    assert "No closed conversation" in pages.get("/conversations?stage=closed")
    assert "No open conversation" in pages.get("/conversations?destination=nobody")


def test_the_list_has_pages(pages: Pages) -> None:
    for number in range(51):
        pages.clock.go_on(seconds=1)
        came(pages, subject=f"Number {number}.")
    first = pages.get("/conversations")
    assert "Number 50." in first
    assert "Number 0." not in first
    (after,) = re.findall(r"after=([0-9.]+)", first)
    assert "Number 0." in pages.get(f"/conversations?after={after}")
    assert "This is the end" in pages.get("/conversations?after=1.1")
    pages.get("/conversations?after=x", 422)


def test_the_list_answers_only_when_something_has_changed(pages: Pages) -> None:
    came(pages)
    (seen,) = re.findall(r'data-version="([0-9a-f]+)"', pages.get("/conversations"))
    assert pages.get(f"/conversations/list?seen={seen}", 204) == ""
    came(pages, subject="New")
    assert "New" in pages.get(f"/conversations/list?seen={seen}")


def test_a_conversation_is_one_thread_oldest_first_with_the_words_as_text(pages: Pages) -> None:
    path = came(pages, "It <b>broke</b>\n<script>alert(1)</script>")
    found, _ = kept(pages)
    pages.clock.go_on(minutes=1)
    came(pages, "We look at it", to=found.id)
    back = Entry(kind=EntryKind.BOUNCE, at=pages.clock(), author="postmaster@x.example", text="unknown", message_id=MessageId(7))
    pages.clock.go_on(minutes=1)
    pages.store.conversations.add("", back, subject="", customer="", to=found.id)
    text = pages.get(path)
    assert "It &lt;b&gt;broke&lt;/b&gt;\n&lt;script&gt;" in text
    assert "<b>broke" not in text
    places = [text.index(each) for each in ("broke", "We look at it", "Came back")]
    assert places == sorted(places)
    assert f"/messages/{show_id(MessageId(7))}" in text
    assert text.count("The mail itself") == 3


def test_the_thread_answers_only_when_something_was_said(pages: Pages) -> None:
    path = came(pages)
    (seen,) = re.findall(r"/live\?seen=([0-9a-f]+)", pages.get(path))
    assert pages.get(f"{path}/live?seen={seen}", 204) == ""
    post(pages, f"{path}/note", text="Called her")
    assert "Called her" in pages.get(f"{path}/live?seen={seen}")


def test_a_note_stands_in_the_thread_with_who_wrote_it(pages: Pages) -> None:
    path = came(pages)
    post(pages, f"{path}/note", text="Called her\r\nShe waits")
    _, entries = kept(pages)
    assert (entries[-1].kind, entries[-1].author, entries[-1].text) == (EntryKind.NOTE, "mary@contoso.example", "Called her\nShe waits")
    assert "write something" in post(pages, f"{path}/note", 422, text=" \n")
    said = post(pages, f"{path}/note", 422, text="x" * 100_001)
    assert "make two of it" in said
    assert "x" * 100_001 in said
    assert len(kept(pages)[1]) == 2


def test_it_is_closed_and_opened_again(pages: Pages) -> None:
    path = came(pages)
    post(pages, f"{path}/close")
    assert kept(pages)[0].stage is Stage.CLOSED
    assert "Open again" in pages.get(path)
    post(pages, f"{path}/reopen")
    assert kept(pages)[0].stage is Stage.OPEN


def test_it_is_given_to_a_user_of_the_console_and_to_nobody_else(pages: Pages) -> None:
    path = came(pages)
    staff = pages.app.state.door.staff
    staff.set_up(staff.set_up_token(), PAUL, PASSWORD)
    post(pages, f"{path}/assign", assignee=PAUL)
    assert kept(pages)[0].assignee == PAUL
    assert PAUL in pages.get("/conversations")
    assert "There is no user" in post(pages, f"{path}/assign", 422, assignee="stranger@x.example")
    assert kept(pages)[0].assignee == PAUL
    post(pages, f"{path}/assign", assignee="")
    assert kept(pages)[0].assignee == ""
    told, _ = pages.store.audited(Wanted(kind="conversation", what="assign"), limit=9)
    assert [(each.by, each.before, each.after) for each in told] == [
        ("user:mary@contoso.example", PAUL, ""),
        ("user:mary@contoso.example", "", PAUL),
    ]


def test_whom_a_program_has_chosen_stays_among_those_to_choose(pages: Pages) -> None:
    path = came(pages)
    pages.store.conversations.change(kept(pages)[0].id, by="test", assignee="Team 2")
    assert '<option value="Team 2" selected>' in pages.get(path)
    post(pages, f"{path}/assign", assignee="Team 2")


def test_a_viewer_looks_and_has_no_buttons(pages: Pages) -> None:
    path, pages.role = came(pages), Role.VIEWER
    text = pages.get(path)
    assert "Assigned to nobody" in text
    assert f'action="{path}' not in text


def test_an_id_that_is_none_is_said_to_be_none(pages: Pages) -> None:
    for text in ("x", "0000000000000", "zzzzzzzzzzzzz"):
        assert "There is no conversation" in pages.get(f"/conversations/{text}", 404)


def test_an_operator_works_on_it_and_a_foreign_form_does_not(site: Site) -> None:
    site.person(PAUL, Role.OPERATOR)
    browser = site.signed_in(PAUL)
    right = token(browser.get("/me"))
    for deed in ("note", "assign", "close", "reopen"):
        assert browser.post(f"/conversations/x/{deed}", data={"csrf": "0" * 64}).status_code == 403
        assert browser.post(f"/conversations/x/{deed}", data={"csrf": right}).status_code == 404
