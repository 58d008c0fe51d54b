"""The pages about the mailboxes that mail is fetched from."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mailroom.objects import Account, Destination, GraphInbox, ImapInbox, InboxTarget, IncomingServer, PopInbox, Role, Security
from mailroom_core.model import After, LaneName
from tests.unit.console.conftest import Pages
from tests.unit.console.test_object_pages import MARY, beside, post, put

LANE = LaneName("graph:office:info@example.com")
SERVER = IncomingServer(name="info", source=GraphInbox(account="office"))
FORM: dict[str, Any] = {
    "name": "info",
    "account": "office",
    "mailbox": "",
    "folder": "inbox",
    "after": "move",
    "move_to": "Done",
    "destination": "desk",
    "every_minutes": "7",
    "authserv_id": "",
    "active": "on",
}


def account(pages: Pages) -> None:
    put(pages, Account(name="office", mailbox="info@example.com"), Destination(name="desk", target=InboxTarget()))


def looked(pages: Pages, trouble: str = "") -> None:
    """A look at the mailbox has ended."""
    pages.store.watch.over({"info": LANE})
    (lane,) = pages.store.claim("me", want=1, ttl=timedelta(minutes=1))
    (seen,) = pages.store.watch.due(lane)
    pages.store.watch.looked(lane, seen, next_at=pages.clock() + timedelta(minutes=5), trouble=trouble)
    pages.store.release("me", [lane])


def test_an_empty_list_says_what_it_is_for(pages: Pages) -> None:
    assert "No mail is fetched yet" in pages.get("/incoming")
    pages.role = Role.VIEWER
    assert "An administrator can add" in pages.get("/incoming")


def test_one_is_added_changed_and_removed(pages: Pages) -> None:
    account(pages)
    form = pages.get("/incoming/new")
    assert "Everything unread in this mailbox will be taken" in form
    post(pages, "/incoming/save", **FORM)
    made = pages.store.directory().incoming["info"]
    assert made == IncomingServer(
        name="info",
        source=GraphInbox(account="office"),
        after=After.MOVE,
        move_to="Done",
        destination="desk",
        every_minutes=7,
    )
    assert "There is an incoming server" in beside(post(pages, "/incoming/save", 422, **FORM), "name")
    text = pages.get("/incoming/of/info")
    assert 'value="Done"' in text
    assert '<option value="move" selected>' in text
    post(pages, "/incoming/save?old=info", **{**FORM, "folder": "Inbox/New", "active": ""})
    assert pages.store.directory().incoming["info"].source == GraphInbox(account="office", folder="Inbox/New")
    post(pages, "/incoming/remove", name="info")
    assert pages.store.directory().incoming == {}
    pages.get("/incoming/of/info", 404)
    post(pages, "/incoming/save?old=info", 404, **FORM)


IMAP: dict[str, Any] = {
    "name": "support",
    "host": "mail.example.com",
    "port": "143",
    "security": "starttls",
    "account": "",
    "user": "support",
    "password": "s3cr3t-w0rd",
    "folder": "INBOX",
    "idle": "on",
    "after": "delete",
    "move_to": "",
    "destination": "desk",
    "every_minutes": "5",
    "authserv_id": "",
    "active": "on",
}


def test_a_mailbox_by_imap_is_added_with_its_password_and_changed_without(pages: Pages) -> None:
    account(pages)
    assert 'href="/incoming/new?kind=imap"' in pages.get("/incoming")
    assert 'value="imap.gmail.com"' in pages.get("/incoming/new?kind=imap&preset=gmail")
    post(pages, "/incoming/save?kind=imap", **IMAP)
    imap = ImapInbox(host="mail.example.com", port=143, security=Security.STARTTLS, user="support")
    assert pages.store.directory().incoming["support"].source == imap
    assert "new password" in pages.get("/audit")
    text = pages.get("/incoming/of/support")
    assert '<option value="starttls" selected>' in text
    assert "s3cr3t-w0rd" not in text
    post(pages, "/incoming/save?old=support", **{key: value for key, value in IMAP.items() if key not in ("password", "idle")})
    assert pages.store.directory().incoming["support"].source == replace(imap, idle=False)
    assert "mail.example.com" in pages.get("/incoming")
    refused = post(pages, "/incoming/save?old=support", 422, **{**IMAP, "account": "office"})
    assert "leave the password empty" in beside(refused, "account")
    assert "s3cr3t-w0rd" not in refused
    assert "say who signs in" in beside(post(pages, "/incoming/save?old=support", 422, **{**IMAP, "user": "", "password": ""}), "user")


def test_the_file_of_a_ca_is_shown_where_there_is_one_and_can_be_left_out(pages: Pages) -> None:
    assert all('name="ca_file"' not in pages.get(f"/incoming/new?kind={kind}") for kind in ("imap", "pop"))
    put(pages, IncomingServer(name="own", source=ImapInbox(host="mail.example.com", user="support", ca_file="/own-ca.pem")))
    assert 'value="/own-ca.pem"' in pages.get("/incoming/of/own")
    form = {**IMAP, "destination": "", "security": "tls", "port": "993"}
    for ca_file in ("/own-ca.pem", ""):
        post(pages, "/incoming/save?old=own", **form, ca_file=ca_file)
        source = pages.store.directory().incoming["own"].source
        assert isinstance(source, ImapInbox)
        assert source.ca_file == ca_file


def test_a_mailbox_by_pop_has_no_folders_and_marks_nothing(pages: Pages) -> None:
    account(pages)
    form = pages.get("/incoming/new?kind=pop")
    assert "Everything in this mailbox will be taken" in form
    assert 'value="read"' not in form
    assert 'name="folder"' not in form
    pop = {key: value for key, value in IMAP.items() if key not in ("folder", "idle", "move_to")}
    post(pages, "/incoming/save?kind=pop", **{**pop, "port": "995", "security": "tls"})
    assert pages.store.directory().incoming["support"].source == PopInbox(host="mail.example.com", user="support")
    assert "POP3" in pages.get("/incoming")
    pages.get("/incoming/new?kind=news", 404)


def test_a_look_into_the_mailbox_shows_each_step(pages: Pages) -> None:
    account(pages)
    put(pages, SERVER)
    text = pages.client.post("/incoming/test", data={"name": "info"}).text
    assert re.findall(r"<li><strong>([\w ]+)</strong>", text) == ["connect", "sign in"]
    assert "&lt;refused&gt;" in text
    assert text.rstrip().endswith("</html>")
    pages.role = Role.VIEWER
    post(pages, "/incoming/test", 403, name="info")


def test_what_is_wrong_is_said_beside_its_field(pages: Pages) -> None:
    account(pages)
    assert "write digits" in beside(post(pages, "/incoming/save", 422, **{**FORM, "every_minutes": "often"}), "every_minutes")
    text = post(pages, "/incoming/save", 422, **{**FORM, "move_to": ""})
    assert "move_to names the folder" in text or "move_to-error" in text
    assert "does not exist" in post(pages, "/incoming/save", 422, **{**FORM, "account": "nobody"})
    assert pages.store.directory().incoming == {}


def test_the_list_says_when_it_was_looked_at_and_what_is_wrong(pages: Pages) -> None:
    account(pages)
    put(pages, SERVER)
    text = pages.get("/incoming")
    assert "info@example.com" in text
    assert "not yet" in text
    looked(pages)
    text = pages.get("/incoming")
    assert "Ready" in text
    assert "every 5 min" in text
    assert "can&#39;t fetch" not in text
    pages.clock.go_on(minutes=6)
    assert "a look is due" in pages.get("/incoming")
    looked(pages, "there is no folder 'Inbox/Nowhere'")
    text = pages.get("/incoming")
    assert "Inbox/Nowhere" in text
    assert "Nothing is lost" in text


def test_the_list_says_whether_the_provider_tells_of_new_mail(pages: Pages) -> None:
    account(pages)
    put(pages, SERVER)
    pages.store.watch.over({"info": LANE})
    (lane,) = pages.store.claim("me", want=1, ttl=timedelta(minutes=1))
    pages.store.watch.subscribed(lane, "info", "one", pages.clock() + timedelta(hours=1))
    assert "told by the provider" in pages.get("/incoming")
    pages.clock.go_on(hours=2)
    assert "told by the provider" not in pages.get("/incoming")


def test_look_now_makes_a_look_due(pages: Pages) -> None:
    account(pages)
    put(pages, SERVER)
    looked(pages)
    pages.clock.go_on(seconds=1)
    pages.role = Role.OPERATOR
    post(pages, "/incoming/look", name="info")
    (seen,) = pages.store.watch.all()
    assert seen.due_at <= pages.clock()
    assert pages.nudges == ["nudge"]
    post(pages, "/incoming/look", 404, name="other")
    put(pages, IncomingServer(name="info", source=GraphInbox(account="office"), active=False))
    assert "not in use" in post(pages, "/incoming/look", 409, name="info")


def test_only_administrators_change_them(pages: Pages) -> None:
    account(pages)
    put(pages, SERVER)
    pages.role = Role.OPERATOR
    text = pages.get("/incoming")
    assert "Look now" in text
    assert "/incoming/remove" not in text
    pages.get("/incoming/new", 403)
    pages.get("/incoming/of/info", 403)
    post(pages, "/incoming/save", 403, **FORM)
    post(pages, "/incoming/remove", 403, name="info")
    pages.role = Role.VIEWER
    assert "Look now" not in pages.get("/incoming")
    post(pages, "/incoming/look", 403, name="info")


def test_who_has_changed_it_is_written_down(pages: Pages) -> None:
    account(pages)
    post(pages, "/incoming/save", **FORM)
    assert MARY.removeprefix("user:") in pages.get("/audit")
