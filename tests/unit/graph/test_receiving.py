"""Mail that has arrived: what is new, its bytes, and what becomes of it in the mailbox."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from mailroom_core.flow import Response
from mailroom_core.model import After, Arrived, Deferred, Held, NotConvertible, NotThere, Remote
from mailroom_core.providers.graph.receiving import (
    Changes,
    CursorLost,
    Folder,
    acknowledge,
    changes,
    fetch,
    folder_id,
    look_into,
    unread,
)
from tests.unit.graph.mailbox import GONE, ME, listing, message, refused
from tests.unit.scripted import answer, body_of, lost, play

SINCE = datetime(2026, 11, 20, 13, tzinfo=timezone(timedelta(hours=1)))
FIELDS = "id,internetMessageId,conversationId,receivedDateTime,isDraft,from,subject"
UNREAD = (
    "GET /v1.0/me/mailFolders/inbox/messages?$filter=receivedDateTime ge 2000-01-01T00:00:00Z and isRead eq false"
    f"&$orderby=receivedDateTime asc&$select={FIELDS}&$top=50"
)
DELTA = f"GET /v1.0/me/mailFolders/inbox/messages/delta?$select={FIELDS}&$filter=receivedDateTime ge 2026-11-20T12:00:00Z"
NEXT = "https://graph.test/v1.0/me/mailFolders/inbox/messages/delta?$skiptoken=x"
LINK = "https://graph.test/v1.0/me/mailFolders/inbox/messages/delta?$deltatoken=y"
VALUE = "GET /v1.0/me/messages/AAk=/$value"
MARY = Arrived(Remote("AAk=", "<d@graph.test>", "conv"), datetime(2026, 11, 20, 12, 30, tzinfo=timezone.utc))
NO_MAILBOX = refused(404, "MailboxNotEnabledForRESTAPI")


def arrived(id: str = "AAk=", received: object = "2026-11-20T12:30:00Z") -> dict[str, object]:
    return {**message(id), "receivedDateTime": received}


# ---- folders


def children(parent: str, name: str) -> str:
    return f"GET /v1.0/me/mailFolders/{parent}/childFolders?$filter=displayName eq '{name}'&$select=id"


@pytest.mark.parametrize(("path", "known"), [("", "inbox"), ("Inbox", "inbox"), ("Deleted Items", "deleteditems"), ("/inbox/", "inbox")])
def test_a_well_known_folder_costs_no_request(path: str, known: str) -> None:
    assert play(folder_id(ME, path)).result == known


def test_a_folder_is_found_by_its_path() -> None:
    script = [(children("inbox", "Invoices"), listing({"id": "F1"})), (children("F1", "O''Hara"), listing({"id": "F2"}))]
    assert play(folder_id(ME, "Inbox/Invoices/O'Hara"), *script).result == "F2"


def test_a_path_that_begins_with_no_known_name_begins_at_the_top() -> None:
    assert play(folder_id(ME, "Projekte"), (children("msgfolderroot", "Projekte"), listing({"id": "F1"}))).result == "F1"


def test_a_folder_that_is_not_there_is_told() -> None:
    for reply in (listing(), GONE):
        assert play(folder_id(ME, "Projekte"), (children("msgfolderroot", "Projekte"), reply)).result == NotThere()


# ---- unread


def test_unread_mail_comes_oldest_first_with_all_its_names() -> None:
    assert play(unread(ME, "inbox"), (UNREAD, listing(arrived(), arrived("B", None), arrived("C", "yesterday")))).result == (
        MARY,
        Arrived(Remote("B", "<d@graph.test>", "conv"), None),
        Arrived(Remote("C", "<d@graph.test>", "conv"), None),
    )


@pytest.mark.parametrize(
    ("box", "sender"),
    [
        ({"emailAddress": {"name": "A", "address": "a@b.example"}}, "a@b.example"),
        ({"emailAddress": {"name": "A"}}, ""),
        ({"emailAddress": None}, ""),
        (None, ""),
    ],
)
def test_who_has_written_and_about_what_is_told_where_the_mailbox_says(box: object, sender: str) -> None:
    result = play(unread(ME, "inbox"), (UNREAD, listing({**arrived(), "from": box, "subject": "Undeliverable"}))).result
    assert isinstance(result, tuple)
    (found,) = result
    assert (found.sender, found.subject) == (sender, "Undeliverable")


def test_drafts_and_what_makes_no_sense_are_no_arrivals() -> None:
    assert play(unread(ME, "inbox"), (UNREAD, listing(message("A", draft=True), "nonsense", {"subject": "no id"}))).result == ()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(GONE, NotThere), (NO_MAILBOX, Held), (answer(503), Deferred), (answer(200, {"value": 1}), Deferred), (lost(sent=True), Deferred)],
)
def test_trouble_while_listing_is_told(reply: Response, kind: type) -> None:
    assert isinstance(play(unread(ME, "inbox"), (UNREAD, reply)).result, kind)


# ---- delta


def test_changes_are_followed_by_the_links_that_graph_gives() -> None:
    first = answer(200, {"value": [arrived()], "@odata.nextLink": NEXT})
    assert play(changes(ME, "inbox", "", SINCE), (DELTA, first)).result == Changes((MARY,), NEXT, more=True)
    last = answer(200, {"value": [{"id": "Z", "@removed": {"reason": "deleted"}}], "@odata.deltaLink": LINK})
    played = play(changes(ME, "inbox", NEXT, SINCE), (f"GET {NEXT.removeprefix('https://graph.test')}", last))
    assert played.result == Changes((), LINK, more=False)
    assert played.requests[0].headers["prefer"] == 'IdType="ImmutableId", odata.maxpagesize=50'


@pytest.mark.parametrize("reply", [answer(410), refused(400, "SyncStateNotFound"), refused(400, "resyncRequired")])
def test_a_cursor_that_graph_has_forgotten_is_told(reply: Response) -> None:
    assert play(changes(ME, "inbox", LINK, SINCE), (f"GET {LINK.removeprefix('https://graph.test')}", reply)).result == CursorLost()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (GONE, NotThere),
        (NO_MAILBOX, Held),
        (answer(429), Deferred),
        (lost(sent=False), Deferred),
        (answer(200, {"value": []}), Deferred),
        (answer(200, {"@odata.deltaLink": LINK}), Deferred),
    ],
)
def test_trouble_while_following_changes_is_told(reply: Response, kind: type) -> None:
    assert isinstance(play(changes(ME, "inbox", "", SINCE), (DELTA, reply)).result, kind)


# ---- bytes


def test_a_message_is_written_to_a_file() -> None:
    played = play(fetch(ME, "AAk=", "/spool/1"), (VALUE, Response(200)))
    assert played.result is None
    assert played.requests[0].into == "/spool/1"


def test_an_item_that_can_not_be_converted_is_told_apart() -> None:
    for name in ("ErrorMimeContentConversionFailed", "ErrorContentConversionFailed"):
        assert isinstance(play(fetch(ME, "AAk=", "f"), (VALUE, refused(500, name))).result, NotConvertible)


@pytest.mark.parametrize(("reply", "kind"), [(GONE, NotThere), (NO_MAILBOX, Held), (answer(504), Deferred), (lost(sent=True), Deferred)])
def test_trouble_while_fetching_is_told(reply: Response, kind: type) -> None:
    assert isinstance(play(fetch(ME, "AAk=", "f"), (VALUE, reply)).result, kind)


# ---- afterwards


def test_a_message_is_marked_as_read_moved_deleted_or_left_alone() -> None:
    played = play(acknowledge(ME, "AAk=", After.READ), ("PATCH /v1.0/me/messages/AAk=", answer(200, {})))
    assert (played.result, json.loads(body_of(played.requests[0]))) == (None, {"isRead": True})
    played = play(acknowledge(ME, "AAk=", After.MOVE, "F1"), ("POST /v1.0/me/messages/AAk=/move", answer(201, {})))
    assert (played.result, json.loads(body_of(played.requests[0]))) == (None, {"destinationId": "F1"})
    assert play(acknowledge(ME, "AAk=", After.DELETE), ("DELETE /v1.0/me/messages/AAk=", answer(204))).result is None
    assert play(acknowledge(ME, "AAk=", After.NOTHING)).result is None


@pytest.mark.parametrize(("reply", "kind"), [(GONE, type(None)), (NO_MAILBOX, Held), (answer(503), Deferred), (lost(sent=True), Deferred)])
def test_what_is_gone_already_needs_no_forgetting_and_other_trouble_is_told(reply: Response, kind: type) -> None:
    assert isinstance(play(acknowledge(ME, "AAk=", After.DELETE), ("DELETE /v1.0/me/messages/AAk=", reply)).result, kind)


# ---- how much is there

LOOK = "GET /v1.0/me/mailFolders/inbox?$select=displayName,totalItemCount,unreadItemCount"


def test_a_folder_says_how_much_is_in_it() -> None:
    found = {"displayName": "Posteingang", "totalItemCount": 312, "unreadItemCount": 14}
    assert play(look_into(ME, "inbox"), (LOOK, answer(200, found))).result == Folder("Posteingang", 312, 14)


def test_a_folder_that_cant_be_looked_into_says_why() -> None:
    assert play(look_into(ME, "inbox"), (LOOK, GONE)).result == NotThere()
    assert isinstance(play(look_into(ME, "inbox"), (LOOK, refused(403, "ErrorAccessDenied"))).result, Held)
    assert isinstance(play(look_into(ME, "inbox"), (LOOK, lost(sent=False))).result, Deferred)
    assert isinstance(play(look_into(ME, "inbox"), (LOOK, answer(200, {"displayName": "x"}))).result, Deferred)
