"""Mailboxes by IMAP and POP3: from a real Dovecot to the conversation, through restarts, kills and dead passwords."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from mailroom.ports import Found, Query
from mailroom_core.model import State
from tests.contract.transports.certificates import Authority
from tests.dovecot import PASSWORD, Dovecot, needed
from tests.google_stand_in import GoogleStandIn
from tests.walk.conftest import MakeWorld
from tests.walk.test_google import connect
from tests.walk.test_smtp_by_token import ExchangeOnline, connect_app
from tests.walk.world import ANNA, TOM, World, eventually, mail, unique

INFO, ORDERS, SCANS, JANE = "info@contoso.example", "orders@contoso.example", "scans@contoso.example", "jane@fabrikam.example"
OBJECTS = """
[alias_domain."contoso.example"]

[destination.desk]
inbox = {}
"""
LONG = 60.0


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as google:
        yield google


@dataclass
class Owners:
    """Whose mailbox a token opens: Google's that of who signed in, Exchange Online's Tom's, to which the app has been given the right."""

    google: GoogleStandIn
    exchange: ExchangeOnline | None = None

    def __call__(self, token: str) -> str:
        if self.exchange and token.count(".") == 2:
            return TOM if self.exchange(TOM, token) == "" else ""
        return self.google.access_tokens.get(token, "")


@pytest.fixture(scope="module")
def owners(google: GoogleStandIn) -> Owners:
    return Owners(google)


@pytest.fixture(scope="module")
def dovecot(owners: Owners, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    needed()
    authority = Authority.make(tmp_path_factory.mktemp("authority"))
    with Dovecot(authority, owner=owners) as running:
        yield running


@pytest.fixture(scope="module")
def world(make_world: MakeWorld, dovecot: Dovecot) -> World:
    """`info` is waited at and marked; between two looks there is an hour, so that whatever comes sooner was told of."""
    world = make_world()
    world.apply(OBJECTS)
    add(world, dovecot, "info", INFO, "--every", "60")
    world.gateway.start()
    return world


def add(world: World, dovecot: Dovecot, name: str, user: str, *options: str, kind: str = "imap", word: str = PASSWORD) -> None:
    port = str(dovecot.ports[f"{kind}s" if kind == "imap" else "pop3s"])
    place = ("--host", "127.0.0.1", "--port", port, "--ca-file", str(dovecot.authority.file))
    who = options if "--account" in options else ("--user", user, *options)
    world.gateway.run("incoming", f"add-{kind}", name, *place, *who, "--destination", "desk", stdin=f"{word}\n")


def come(dovecot: Dovecot, mailbox: str, *subjects: str) -> None:
    dovecot.deliver(mailbox, *(mail(subject, sender=ANNA, to=mailbox) for subject in subjects))


def of(world: World, subject: str) -> list[Found]:
    with world.store() as store:
        return store.find(Query(text=subject), limit=1000)[0]


def taken(world: World, *subjects: str) -> None:
    """Each came in once, and was handed over."""

    def ended() -> bool:
        return all([each.delivery.state for each in of(world, subject)] == [State.SENT] for subject in subjects)

    assert eventually(ended, patience=LONG), {subject: world.story(subject) for subject in subjects}


def trouble(world: World, name: str) -> str:
    """Why a mailbox is not read at present."""
    with world.store() as store:
        held = {lane.name: lane.held for lane in store.lanes()}
        return next((held.get(each.lane) or each.trouble for each in store.watch.all() if each.name == name), "")


def told(world: World, name: str) -> bool:
    """Somebody waits at the mailbox."""

    def asked() -> bool:
        with world.store() as store:
            until = [each.subscribed_until for each in store.watch.all() if each.name == name]
        return any(each is not None and each > datetime.now(UTC) for each in until)

    return eventually(asked, patience=LONG)


def steps(world: World, name: str) -> dict[str, tuple[bool, str]]:
    try:
        said = world.gateway.run("incoming", "test", name, "--json")
    except subprocess.CalledProcessError as failed:
        said = failed.output
    return {step["step"]: (step["ok"], step["said"]) for step in map(json.loads, said.splitlines())}


def test_a_mail_is_here_as_soon_as_it_comes_and_then_marked(world: World, dovecot: Dovecot) -> None:
    assert told(world, "info")
    subject = unique("At once")
    come(dovecot, INFO, subject)
    taken(world, subject)
    assert eventually(lambda: subject not in dovecot.subjects(INFO, "UNSEEN"))


def test_a_test_shows_each_step_and_takes_nothing(world: World) -> None:
    found = steps(world, "info")
    assert list(found) == ["resolve", "connect", "tls", "sign in", "folder", "rights", "new mail"]
    assert all(ok for ok, _ in found.values()), found
    assert "Dovecot" in found["connect"][1]
    assert found["tls"][1].startswith("TLSv1.")
    assert found["new mail"][1] == "told at once (IDLE)"


def test_a_server_that_restarts_is_waited_at_again(world: World, dovecot: Dovecot) -> None:
    assert told(world, "info")
    dovecot.stop()
    dovecot.start()
    subject = unique("After a restart")
    come(dovecot, INFO, subject)
    taken(world, subject)
    assert told(world, "info")


def test_a_kill_between_storing_and_acknowledging_loses_and_doubles_nothing(world: World, dovecot: Dovecot) -> None:
    """The folder to move to is missing, so that all is stored, and nothing acknowledged, when the gateway dies."""
    add(world, dovecot, "orders", ORDERS, "--after", "move", "--move-to", "Handled", "--every", "60")
    subjects = [unique(f"Order {number}") for number in range(4)]
    come(dovecot, ORDERS, *subjects)

    def stored() -> bool:
        return "There is no folder 'Handled'" in trouble(world, "orders") and bool(of(world, subjects[0]))

    assert eventually(stored, patience=LONG)
    world.gateway.kill()
    with dovecot.opened(ORDERS) as client:
        client.create("Handled")
    world.gateway.start()
    taken(world, *subjects)
    assert eventually(lambda: sorted(dovecot.subjects(ORDERS, folder="Handled")) == subjects, patience=LONG)
    assert dovecot.subjects(ORDERS) == []


def test_a_mailbox_that_was_numbered_anew_and_forgot_what_was_read_doubles_nothing(world: World, dovecot: Dovecot) -> None:
    subjects = [unique(f"Restored {number}") for number in range(3)]
    come(dovecot, INFO, *subjects)
    taken(world, *subjects)
    assert eventually(lambda: dovecot.subjects(INFO, "UNSEEN") == [], patience=LONG)
    with dovecot.opened(INFO) as client:
        client.store("1:*", "-FLAGS", "\\Seen")
    dovecot.renumber(INFO, int(time.time()) + 1_000_000)
    new = unique("New")
    come(dovecot, INFO, new)
    world.gateway.run("incoming", "fetch", "info")
    taken(world, new, *subjects)
    assert eventually(lambda: dovecot.subjects(INFO, "UNSEEN") == [], patience=LONG)


def test_a_wrong_password_holds_the_mailbox_until_it_is_entered_anew(world: World, dovecot: Dovecot) -> None:
    subject = unique("Locked")
    come(dovecot, INFO, subject[:-1] + "x")
    taken(world, subject[:-1] + "x")
    world.gateway.run("incoming", "password", "info", stdin="wrong\n")
    held = eventually(lambda: "refuses the password" in trouble(world, "info"), patience=LONG)
    assert held, trouble(world, "info")
    assert "mailroom incoming password info" in world.gateway.run("status")
    assert steps(world, "info")["sign in"][0] is False
    come(dovecot, INFO, subject)
    assert of(world, subject) == []
    world.gateway.run("incoming", "password", "info", stdin=f"{PASSWORD}\n")
    taken(world, subject)
    assert eventually(lambda: trouble(world, "info") == "", patience=LONG)


def test_pop_deletes_what_is_safe_here(world: World, dovecot: Dovecot) -> None:
    add(world, dovecot, "scans", SCANS, kind="pop")
    subjects = [unique(f"Scan {number}") for number in range(3)]
    come(dovecot, SCANS, *subjects)
    assert "scans: " in world.gateway.run("incoming", "fetch", "scans")
    taken(world, *subjects)
    assert eventually(lambda: dovecot.subjects(SCANS) == [], patience=LONG)
    assert list(steps(world, "scans")) == ["resolve", "connect", "tls", "sign in", "mailbox", "new mail"]
    kinds = {each["name"]: (each["kind"], each["mailbox"], each["told"]) for each in world.gateway.ask("incoming", "list")}
    assert (kinds["info"], kinds["scans"]) == (("imap", INFO, "yes"), ("pop", SCANS, "no"))


def test_a_google_account_reads_with_its_token_until_it_may_not_any_more(world: World, dovecot: Dovecot, google: GoogleStandIn) -> None:
    connect(world, google, "jane", "--mailbox", JANE, "--no-server")
    add(world, dovecot, "jane", JANE, "--account", "jane", "--every", "60")
    assert told(world, "jane")
    subject = unique("By token")
    come(dovecot, JANE, subject)
    taken(world, subject)
    google.change_password(JANE)
    dovecot.kick(JANE)
    held = eventually(lambda: "mailroom connect jane" in trouble(world, "jane"), patience=LONG)
    assert held, trouble(world, "jane")
    again = unique("Connected again")
    come(dovecot, JANE, again)
    connect(world, google, "jane", "--no-server")
    taken(world, again)


def test_an_app_reads_by_itself_with_a_token_for_exchange_online(world: World, dovecot: Dovecot, owners: Owners) -> None:
    """Client credentials: nobody signs in. The permission is asked of the token, not of the app's name."""
    owners.exchange = ExchangeOnline(world.emulator.url, "IMAP.AccessAsApp")
    connect_app(world, "SMTP.SendAsApp")
    add(world, dovecot, "tom", TOM, "--account", "app", "--every", "60")
    refused = steps(world, "tom")["sign in"]
    assert not refused[0], "a token for sending opens no mailbox"
    connect_app(world, "IMAP.AccessAsApp")
    assert all(ok for ok, _ in steps(world, "tom").values())
    world.gateway.run("queue", "free", "imap:tom")
    assert told(world, "tom")
    subject = unique("By the app")
    come(dovecot, TOM, subject)
    taken(world, subject)
    assert {*owners.exchange.seen[-1]["roles"]} >= {"IMAP.AccessAsApp"}


def test_the_object_file_knows_them(world: World) -> None:
    text = world.gateway.run("export")
    assert "imap = {host = " in text
    assert "pop = {host = " in text
    assert PASSWORD not in text
    world.apply("")
    assert told(world, "info")
