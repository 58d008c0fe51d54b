"""The pages about servers, applications, domains, tokens, suppressed addresses, and who has changed them."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from mailroom.audit import Wanted
from mailroom.objects import (
    OBJECT_KINDS,
    Account,
    Alias,
    AliasDomain,
    Application,
    Destination,
    GraphRoute,
    ImapInbox,
    InboxTarget,
    IncomingServer,
    OnUnsure,
    OutgoingServer,
    Role,
    Scope,
    Security,
    SinkRoute,
    SmarthostRoute,
    Suppression,
    Token,
    Verp,
)
from mailroom.vault import credentials
from tests.unit.console.conftest import Pages

MARY = "user:mary@contoso.example"
ODD = 'a/b "c" <d>'
RELAY: dict[str, Any] = {
    "host": "relay.example",
    "port": "465",
    "security": "tls",
    "user": "us",
    "account": "",
    "connections": "4",
    "verp": "always",
}
SERVER: dict[str, Any] = {
    "priority": "5",
    "per_minute": "30",
    "recipients_per_day": "0",
    "max_size": "25",
    "transactional": "on",
    "active": "on",
}
APPLICATION: dict[str, Any] = {
    "senders": "example.com\nboss@other.example\n",
    "kind": "transactional",
    "per_minute": "0",
    "max_size": "10",
    "active": "on",
}


def post(pages: Pages, path: str, status: int = 303, **form: Any) -> str:
    answer: Any = pages.client.post(path, data=form)
    assert answer.status_code == status, answer.text
    return unescape(answer.text)


def put(pages: Pages, *objects: Any) -> None:
    pages.store.apply(objects, [], by="test")


def beside(text: str, field: str) -> str:
    """What is said to be wrong with a field."""
    assert f'aria-describedby="{field}-error' in text
    (said,) = re.findall(rf'id="{field}-error"[^>]*>([^<]*)<', text)
    return str(said)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/servers", "No way out yet"),
        ("/applications", "No application yet"),
        ("/domains", "No alias domain yet"),
        ("/suppressions", "No address is suppressed"),
        ("/tokens", "No token yet"),
        ("/audit", "Nobody has changed anything yet"),
    ],
)
def test_an_empty_list_says_what_it_is_for(pages: Pages, path: str, words: str) -> None:
    text = pages.get(path)
    assert words in text
    assert "<table" not in text


# ---- outgoing servers


def test_a_smarthost_is_added_and_changed(pages: Pages) -> None:
    post(pages, "/servers/save/smarthost", name=ODD, from_filter="example.com\n\n boss@b.example ", **RELAY, **SERVER)
    made = pages.store.directory().servers[ODD]
    assert made == OutgoingServer(
        name=ODD,
        priority=5,
        from_filter=("example.com", "boss@b.example"),
        route=SmarthostRoute(host="relay.example", port=465, security=Security.TLS, user="us", connections=4, verp=Verp.ALWAYS),
        bulk=False,
        per_minute=30,
        max_size=25 * 1024 * 1024,
    )
    text = pages.get("/servers/of/a/b%20%22c%22%20%3Cd%3E")
    assert 'value="relay.example"' in text
    assert '<option value="always" selected>' in text
    assert "<d>" not in text
    post(pages, f"/servers/save/smarthost?old={ODD}", **{**RELAY, "host": "other.example"}, **SERVER)
    changed = pages.store.directory().servers[ODD]
    assert isinstance(changed.route, SmarthostRoute)
    assert (changed.route.host, changed.from_filter) == ("other.example", ())
    (latest, first), _ = pages.store.audited(Wanted(kind="server"), limit=9)
    assert (latest.by, latest.what, first.what) == (MARY, "change", "add")
    assert pages.nudges


def test_what_the_form_does_not_show_stays(pages: Pages) -> None:
    put(pages, OutgoingServer(name="relay", route=SmarthostRoute(host="relay.example", ca_file="/ca.pem", helo="us.example")))
    post(pages, "/servers/save/smarthost?old=relay", **RELAY, **SERVER)
    route = pages.store.directory().servers["relay"].route
    assert isinstance(route, SmarthostRoute)
    assert (route.ca_file, route.helo, route.port) == ("/ca.pem", "us.example", 465)


def test_a_folder_of_the_machine_is_shown_where_there_is_one_and_can_be_left_out(pages: Pages) -> None:
    assert 'name="directory"' not in pages.get("/servers/new?way=sink")
    post(pages, "/servers/save/sink", name="bin", **SERVER)
    assert pages.store.directory().servers["bin"].route == SinkRoute()
    put(pages, OutgoingServer(name="bin", route=SinkRoute(directory="/kept")))
    assert 'value="/kept"' in field(pages.get("/servers/of/bin"), "directory")
    post(pages, "/servers/save/sink?old=bin", directory="/kept", **SERVER)
    assert pages.store.directory().servers["bin"].route == SinkRoute(directory="/kept")
    post(pages, "/servers/save/sink?old=bin", directory="", **SERVER)
    assert pages.store.directory().servers["bin"].route == SinkRoute()


def test_a_graph_server_names_an_account_that_is_there(pages: Pages) -> None:
    put(pages, Account(name="office", mailbox="mary@contoso.example"))
    form: dict[str, Any] = {"account": "office", "mailbox": "sender", "on_unsure": "retry", **SERVER}
    post(pages, "/servers/save/graph", name="m365", **form)
    quiet = GraphRoute(account="office", mailbox="sender", on_unsure=OnUnsure.RETRY, reports=False)
    assert pages.store.directory().servers["m365"].route == quiet
    assert "checked" not in field(pages.get("/servers/of/m365"), "reports")
    post(pages, "/servers/save/graph?old=m365", reports="on", **form)
    assert pages.store.directory().servers["m365"].route == replace(quiet, reports=True)
    assert all("checked" in field(pages.get(where), "reports") for where in ("/servers/of/m365", "/servers/new?way=graph"))
    assert '<option value="auto" selected>' in pages.get("/servers/new?way=smarthost")
    text = post(pages, "/servers/save/graph", 422, name="other", **{**form, "account": "gone"})
    assert "names the account 'gone', which does not exist" in text


def field(text: str, name: str) -> str:
    """The tag of a field of a form."""
    found = re.search(rf'<input[^>]* name="{name}"[^>]*>', text)
    assert found is not None, f"there is no field {name!r}"
    return found[0]


def test_mistakes_stand_beside_their_fields_and_what_was_entered_stays(pages: Pages) -> None:
    text = post(
        pages, "/servers/save/smarthost", 422, name="relay", **{**RELAY, "port": "many", "host": "", "password": "hunter2"}, **SERVER
    )
    assert "is no number" in beside(text, "port")
    assert "needed" in beside(text, "host")
    assert 'value="us"' in text
    assert "hunter2" not in text
    assert "ports are 1 to 65535" in beside(
        post(pages, "/servers/save/smarthost", 422, name="r", **{**RELAY, "port": "0"}, **SERVER), "port"
    )
    userless = {**RELAY, "user": "", "password": "hunter2"}
    assert "needs its user" in beside(post(pages, "/servers/save/smarthost", 422, name="r", **userless, **SERVER), "user")
    assert not pages.store.directory().servers
    put(pages, OutgoingServer(name="relay", route=SinkRoute()))
    assert "already" in beside(post(pages, "/servers/save/smarthost", 422, name="relay", **RELAY, **SERVER), "name")


def test_who_would_send_a_mail_is_explained(pages: Pages) -> None:
    put(
        pages,
        OutgoingServer(name="ours", from_filter=("contoso.example",), route=SinkRoute()),
        OutgoingServer(name="rest", priority=20, route=SinkRoute()),
        Application(name="shop", senders=("shop.example",)),
    )
    text = unescape(pages.get("/servers?address=mary@contoso.example"))
    assert "leaves through 'ours', whose FROM filter names contoso.example" in text
    assert "a FROM filter that names mary@contoso.example (its sender)" in text
    assert "may not send as" in pages.get("/servers?address=mary@contoso.example&application=shop")
    assert "no address" in pages.get("/servers?address=mary")


def test_a_server_is_removed(pages: Pages) -> None:
    put(pages, OutgoingServer(name="relay", route=SinkRoute()))
    post(pages, "/servers/remove", name="relay")
    assert not pages.store.directory().servers
    assert "no outgoing server" in post(pages, "/servers/remove", 404, name="relay")
    assert "no way out that is called" in pages.get("/servers/new?way=pigeon", 404)


# ---- applications


def test_a_new_applications_password_is_shown_once_with_what_to_enter(pages: Pages) -> None:
    text = post(pages, "/applications/save", 200, name="it's erp", networks="", certificates="", alias_domain="", **APPLICATION)
    (password,) = re.findall(r'id="password" value="([^"]+)"', text)
    made = pages.store.directory().applications["it's erp"]
    assert credentials.matches(b"k" * 32, password, made.key)
    assert made.senders == ("example.com", "boss@other.example")
    assert made.max_size == 10 * 1024 * 1024
    for words in (
        "SMTP Server: mail.contoso.example",
        "Connection Encryption: TLS (STARTTLS)",
        "$mail->Username = 'it\\'s erp'",
        "tls_starttls on",
    ):
        assert words in text
    assert text.count(password) >= 5
    later = pages.get("/applications/of/it's%20erp")
    assert password not in later + pages.get("/audit")
    assert "SMTP Server: mail.contoso.example" in later
    assert "What to enter" not in pages.get("/applications/new")


def test_a_changed_application_keeps_its_password_and_a_new_one_ends_it(pages: Pages) -> None:
    put(pages, Application(name="erp", key="old"))
    post(pages, "/applications/save?old=erp", **APPLICATION)
    assert pages.store.directory().applications["erp"].key == "old"
    post(pages, "/applications/credential", 200, name="erp")
    assert pages.store.directory().applications["erp"].key != "old"


def test_an_applications_mistakes_stand_beside_their_fields(pages: Pages) -> None:
    text = post(pages, "/applications/save", 422, name="erp", **{**APPLICATION, "senders": "", "networks": "here"})
    assert "Name at least one" in beside(text, "senders")
    assert "is no network" in beside(post(pages, "/applications/save", 422, name="erp", **APPLICATION, networks="here"), "networks")
    assert not pages.store.directory().applications


def test_what_is_still_needed_is_not_removed(pages: Pages) -> None:
    put(pages, AliasDomain(name="contoso.example"), Application(name="erp", alias_domain="contoso.example"))
    assert "still needed" in post(pages, "/domains/remove", 409, name="contoso.example")
    post(pages, "/applications/remove", name="erp")
    post(pages, "/domains/remove", name="contoso.example")
    assert not pages.store.directory().alias_domains


# ---- alias domains


def test_a_domain_is_added_and_changed(pages: Pages) -> None:
    form: dict[str, Any] = {"company": "Contoso", "default_from": "hello", "bounce": "bounce", "catchall": "catchall"}
    post(pages, "/domains/save", name="Contoso.example", **form)
    assert "hello@contoso.example" in pages.get("/domains")
    post(pages, "/domains/save?old=contoso.example", **{**form, "default_from": "all@contoso.example"})
    assert pages.store.directory().alias_domains["contoso.example"].default_from == "all@contoso.example"
    assert "Write a domain" in beside(post(pages, "/domains/save", 422, name="mary@contoso.example", **form), "name")
    assert "already" in beside(post(pages, "/domains/save", 422, name="contoso.example", **form), "name")


# ---- suppressed addresses


def test_an_address_is_suppressed_found_and_let_through_again(pages: Pages) -> None:
    pages.role = Role.OPERATOR
    post(pages, "/suppressions/add", address=" Anna@Example.org ", reason="asked <b>twice</b>")
    put(pages, Suppression(address="tom@example.org", reason="550 5.1.1", source="delivery"))
    text = pages.get("/suppressions?text=ANNA")
    assert "anna@example.org" in text
    assert "asked &lt;b&gt;twice" in text
    assert "tom@" not in text
    assert "tom@" in pages.get("/suppressions?text=5.1.1")
    assert "No such address" in pages.get("/suppressions?text=nobody")
    post(pages, "/suppressions/remove", name="anna@example.org")
    assert [each.address for each in pages.store.suppressions()] == ["tom@example.org"]
    assert "write local@domain" in beside(post(pages, "/suppressions/add", 422, address="anna", reason=""), "address")


# ---- tokens


def test_a_token_is_shown_once(pages: Pages) -> None:
    put(pages, Application(name="shop"))
    text = post(
        pages, "/tokens/add", 200, name="web", application="shop", days="90", per_minute="60", scope=["messages:send", "messages:read"]
    )
    (secret,) = re.findall(r'id="secret" value="([^"]+)"', text)
    made = pages.store.directory().tokens["web"]
    assert made.key == credentials.digest(b"k" * 32, secret)
    assert (made.scopes, made.application, made.per_minute) == ((Scope.SEND, Scope.READ), "shop", 60)
    assert made.expires_at is not None
    assert (made.expires_at - pages.clock()).days == 90
    assert secret not in pages.get("/tokens") + pages.get("/audit")
    post(pages, "/tokens/remove", name="web")
    assert not pages.store.directory().tokens


def test_a_tokens_mistakes_stand_beside_their_fields(pages: Pages) -> None:
    form: dict[str, Any] = {"name": "web", "application": "", "days": "", "per_minute": "60"}
    assert "say what it may do" in beside(post(pages, "/tokens/add", 422, **form), "scopes")
    text = post(pages, "/tokens/add", 422, **form, scope=["messages:send"])
    assert "belongs to an application" in beside(text, "application")
    assert re.search(r'value="messages:send"[^>]*checked', text)
    assert "is no number" in beside(post(pages, "/tokens/add", 422, **{**form, "per_minute": "x"}), "per_minute")
    assert "no token" in post(pages, "/tokens/remove", 404, name="web")


def test_a_token_that_has_expired_says_so(pages: Pages) -> None:
    put(pages, Token(name="old", key="k", scopes=(Scope.READ,), expires_at=pages.clock()))
    assert "expired" in pages.get("/tokens")


# ---- the audit log


def test_the_log_tells_who_has_changed_what_and_can_be_narrowed(pages: Pages) -> None:
    post(pages, "/suppressions/add", address="anna@example.org", reason="<i>asked</i>")
    pages.store.audit(by="cli:root", what="free", kind="lane", name="graph:office:x")
    text = pages.get("/audit")
    assert "mary@contoso.example" in text
    assert "root (command line)" in text
    assert "&lt;i&gt;asked" in text
    assert "root" not in pages.get("/audit?kind=suppression")
    assert "No such change" in pages.get("/audit?by=nobody")


def test_older_changes_are_on_the_next_page(pages: Pages) -> None:
    for number in range(60):
        pages.store.audit(by=MARY, what="add", kind="server", name=f"server-{number:02}")
    first = pages.get("/audit?kind=server")
    assert "server-59" in first
    assert "server-09" not in first
    (rest,) = re.findall(r'href="(/audit\?[^"]*after=[^"]*)"', first)
    assert "server-09" in pages.get(unescape(rest))
    pages.get("/audit?after=x", 422)


# ---- roles


@pytest.mark.parametrize("path", ["/applications", "/domains", "/tokens", "/audit", "/servers/new", "/applications/new"])
@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_what_only_administrators_may_see_is_for_them(pages: Pages, path: str, role: Role) -> None:
    pages.role = role
    pages.get(path, 403)


def test_a_viewer_sees_servers_and_suppressions_and_changes_none(pages: Pages) -> None:
    put(pages, OutgoingServer(name="relay", route=SinkRoute()), Suppression(address="anna@example.org", reason="asked"))
    pages.role = Role.VIEWER
    for path in ("/servers", "/suppressions"):
        assert "<table" in pages.get(path)
        assert 'method="post" action="' + path not in pages.get(path)
    post(pages, "/suppressions/remove", 403, name="anna@example.org")
    post(pages, "/servers/remove", 403, name="relay")
    pages.role = Role.OPERATOR
    post(pages, "/servers/save/sink", 403, name="x", **SERVER)
    assert pages.store.suppressions()


def test_a_size_that_is_no_whole_mebibyte_stays_what_it_is(pages: Pages) -> None:
    put(pages, OutgoingServer(name="relay", route=SmarthostRoute(host="relay.example"), max_size=35_000_000))
    shown = re.search(r'name="max_size"[^>]* value="([^"]*)"', pages.get("/servers/of/relay"))
    assert shown
    post(pages, "/servers/save/smarthost?old=relay", **RELAY, **{**SERVER, "max_size": shown[1]})
    assert pages.store.directory().servers["relay"].max_size == 35_000_000


@pytest.mark.parametrize("size", ["inf", "-inf", "nan", "1e999"])
def test_a_size_that_is_none_is_told_beside_its_field(pages: Pages, size: str) -> None:
    text = post(pages, "/servers/save/smarthost", status=422, name="relay", **RELAY, **{**SERVER, "max_size": size})
    assert "is no number" in beside(text, "max_size")


def test_who_saves_what_somebody_else_has_changed_meanwhile_is_told_before(pages: Pages) -> None:
    """The last one would win, and nobody would know that the other one's change is gone."""
    put(pages, OutgoingServer(name="relay", route=SmarthostRoute(host="relay.example"), per_minute=10))
    seen = re.search(r'name="seen" value="([^"]+)"', pages.get("/servers/of/relay"))
    assert seen
    put(pages, OutgoingServer(name="relay", route=SmarthostRoute(host="relay.example"), per_minute=10, active=False))
    form = {**RELAY, **SERVER, "user": "", "max_size": "0"}
    text = post(pages, "/servers/save/smarthost?old=relay", status=422, **form, seen=seen[1])
    assert "Somebody has changed it since you opened this page" in text
    assert "In use: no" in text
    assert 'value="30"' in text, "what was entered stays"
    assert not pages.store.directory().servers["relay"].active
    again = re.search(r'name="seen" value="([^"]+)"', text)
    assert again
    post(pages, "/servers/save/smarthost?old=relay", **form, seen=again[1])
    assert pages.store.directory().servers["relay"].per_minute == 30


@pytest.mark.parametrize(
    ("first", "other", "page", "save", "form"),
    [
        (
            Application(name="erp", senders=("example.com",)),
            Application(name="erp", senders=("example.com",), active=False),
            "/applications/of/erp",
            "/applications/save?old=erp",
            APPLICATION,
        ),
        (
            AliasDomain(name="example.com"),
            AliasDomain(name="example.com", catchall="all"),
            "/domains/of/example.com",
            "/domains/save?old=example.com",
            {"company": "", "default_from": "news", "bounce": "bounce", "catchall": "catchall"},
        ),
        (
            Destination(name="desk", target=InboxTarget()),
            Destination(name="desk", target=InboxTarget(followers=("paul@example.com",))),
            "/destinations/of/desk",
            "/destinations/save/inbox?old=desk",
            {"followers": "", "active": "on"},
        ),
        (
            Alias(name="sales@example.com", destination="desk"),
            Alias(name="sales@example.com", destination="desk", authenticated=True),
            "/aliases/of/sales@example.com",
            "/aliases/save?old=sales@example.com",
            {"destination": "desk", "writers": "everyone", "active": "on"},
        ),
        (
            IncomingServer(name="box", source=ImapInbox(host="imap.example.com", user="us")),
            IncomingServer(name="box", source=ImapInbox(host="imap.example.com", user="us"), authserv_id="mx.example.com"),
            "/incoming/of/box",
            "/incoming/save?old=box",
            {"host": "imap.example.com", "port": "993", "security": "tls", "user": "us", "folder": "INBOX", "after": "read",
             "every_minutes": "5", "active": "on"},
        ),
    ],
)  # fmt: skip
def test_no_form_writes_over_what_it_has_not_shown(
    pages: Pages, first: Any, other: Any, page: str, save: str, form: dict[str, Any]
) -> None:
    put(pages, Destination(name="desk", target=InboxTarget()))
    put(pages, first)
    seen = re.search(r'name="seen" value="([^"]+)"', pages.get(page))
    assert seen
    put(pages, other)
    text = post(pages, save, status=422, **form, seen=seen[1])
    assert "Somebody has changed it since you opened this page" in text
    again = re.search(r'name="seen" value="([^"]+)"', text)
    assert again
    post(pages, save, **form, seen=again[1])


def test_the_audit_log_can_be_narrowed_to_every_kind_of_thing(pages: Pages) -> None:
    text = pages.get("/audit")
    assert [kind for kind in (*OBJECT_KINDS, "conversation", "user") if f'<option value="{kind}">' not in text] == []
