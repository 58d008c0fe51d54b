"""The doctor beside a running gateway: all that is well gets no finding, and each thing that breaks gets its own and no other."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from demo.processes import TENANT
from mailroom.cli import main
from mailroom.settings import Settings
from mailroom.vault.certificates import make_certificate, shown
from mailroom.wiring.parts import open_parts, utc_now
from tests.contract.smtp_server import OFFERED, Script, SmtpServer
from tests.contract.transports.certificates import Authority
from tests.contract.transports.fake_odoo import DATABASE, KEY, USER, FakeOdoo, fake_odoo
from tests.dns.world import healthy, microsoft
from tests.dns_server import dns_server
from tests.dovecot import PASSWORD, Dovecot, needed
from tests.walk.listener import Told, told
from tests.walk.sink import smtp_sink
from tests.walk.world import MARY, SALES, TOM, World, eventually, mail, unique

ROBOT, ROBOT_SECRET = "0d00cccc-0000-0000-0000-0000000000ee", "the-robots-secret"
LONG = 400
"""Days that everything is valid for which is well."""
OBJECTS = """
[server."office"]
from_filter = ["contoso.example"]
graph = {{ account = "office" }}
[server."robot"]
from_filter = ["tom@contoso.example"]
graph = {{ account = "robot" }}
[server."relay"]
from_filter = ["news.contoso.example"]
recipients_per_day = 1000
smarthost = {{ host = "127.0.0.1", port = {relay}, security = "starttls", ca_file = "{ca}", user = "joe" }}
[alias_domain."contoso.example"]
[destination."desk"]
inbox = {{}}
[destination."erp"]
odoo = {{ url = "{odoo}", database = "{database}", user = "{user}" }}
[destination."shop"]
webhook = {{ url = "http://127.0.0.1:{shop}/mail" }}
[alias."leads@contoso.example"]
destination = "erp"
[alias."orders@contoso.example"]
destination = "shop"
[incoming."sales"]
destination = "desk"
graph = {{ account = "office" }}
[incoming."info"]
destination = "desk"
imap = {{ host = "127.0.0.1", port = {imap}, user = "info@contoso.example", ca_file = "{ca}" }}
"""
Found = set[tuple[str, str, str]]
"""Kind and name of an object, and the code of what was found in it."""


@dataclass
class Town:
    """A company that uses all that there is, and what it relies on."""

    world: World
    authority: Authority
    relay: SmtpServer
    odoo: FakeOdoo
    hook: Told
    shop: ExitStack
    """Ends the program that mail for orders@ goes to."""
    shop_port: int
    certificate: Path
    """Of the gateway itself."""

    def doctor(self, *words: str) -> tuple[int, str]:
        """As the command line does beside a running gateway, without a process of its own."""
        return _invoked(self.world, "doctor", *words)

    def run(self, *words: str, stdin: str = "") -> str:
        """Another command, which does its work."""
        code, said = _invoked(self.world, *words, stdin=stdin)
        assert code == 0, said
        return said

    def look(self) -> dict[str, Any]:
        code, said = self.doctor("--json")
        body: dict[str, Any] = json.loads(said)
        assert code == int(body["harmful"]), said
        assert all(each["evidence"] and each["todo"] and each["why"] for each in body["findings"]), said
        return body

    def found(self) -> Found:
        return {(each["kind"], each["name"], each["code"]) for each in self.look()["findings"]}

    @contextmanager
    def edited(self, old: str, new: str) -> Iterator[None]:
        """Objects with something else in their TOML, or more of it."""
        before = self.run("export")
        assert old in before, before
        self.apply(before.replace(old, new))
        try:
            yield
        finally:
            self.apply(before)

    def apply(self, text: str) -> None:
        file = self.world.folder / "edited.toml"
        file.write_text(text)
        self.run("apply", str(file))

    @contextmanager
    def sealed(self, name: str, **values: str) -> Iterator[None]:
        """A secret with other values."""
        before = self._seal(name, values)
        try:
            yield
        finally:
            self._seal(name, before)

    def _seal(self, name: str, values: dict[str, str]) -> dict[str, str]:
        parts = open_parts(Settings(data=self.world.gateway.data))
        try:
            kept = parts.vault.open(name) or {}
            parts.vault.seal(name, {**kept, **values})
        finally:
            parts.close()
        return kept

    def forget_token(self) -> None:
        """The robot's, as when its hour is over."""
        parts = open_parts(Settings(data=self.world.gateway.data))
        try:
            kept = parts.vault.open("account:robot") or {}
            stays = {key: value for key, value in kept.items() if not key.endswith(("access_token", "expires_at"))}
            parts.vault.seal("account:robot", stays)
        finally:
            parts.close()

    @contextmanager
    def robot(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[None]:
        """Its app registration at Microsoft is changed."""
        self.world.emulator.ask("PATCH", f"/apps/{ROBOT}", json=before)
        self.forget_token()
        try:
            yield
        finally:
            self.world.emulator.ask("PATCH", f"/apps/{ROBOT}", json=after)
            self.forget_token()


def _invoked(world: World, *words: str, stdin: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(main, [*world.gateway.words[3:], *words], input=stdin, env=world.gateway.environment)
    assert done.stdout, (words, done.stderr, done.exception)
    return done.exit_code, done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    needed()
    authority = Authority.make(tmp_path_factory.mktemp("authority"), days=LONG)
    folder = tmp_path_factory.mktemp("own")
    own = folder / "own.pem"
    own.write_bytes(authority.issue("localhost").read_bytes())
    web, listener, shop_port = free_port(), free_port(), free_port()
    config = f"""
public_url = "http://127.0.0.1:{web}"
[web]
port = {web}
[[listener]]
port = {listener}
[tls]
certificate = "{own}"
key = "{own}"
[webhooks]
private_networks = ["127.0.0.0/8"]
[doctor]
every = "0s"
resolver = ["{{resolver}}"]
"""
    with ExitStack() as end:
        relay = end.enter_context(smtp_sink(WELL))
        relay.starttls = authority.server_context()
        odoo = end.enter_context(fake_odoo())
        hook = end.enter_context(told())
        dovecot = end.enter_context(Dovecot(authority))
        shop = end.enter_context(ExitStack())
        shop.enter_context(told(shop_port))
        records = "\n".join([*microsoft(), *healthy("contoso.example")])
        names = end.enter_context(dns_server(tmp_path_factory.mktemp("dns"), records))
        world = World(tmp_path_factory.mktemp("world"), config=config.format(resolver=names.address))
        end.callback(world.stop)
        made = Town(world, authority, relay, odoo, hook, shop, shop_port, own)
        odoo.key_ends = _in(LONG)
        objects = OBJECTS.format(
            relay=relay.port, ca=authority.file, odoo=odoo.url, database=DATABASE, user=USER, shop=shop_port,
            imap=dovecot.ports["imaps"],
        )  # fmt: skip
        _set_up(made, objects)
        yield made


WELL = Script(offered=(*OFFERED, "AUTH PLAIN"), auth={"PLAIN": b"235 2.7.0 come in\r\n"})


def _in(days: int) -> str:
    """As Odoo writes times."""
    return f"{utc_now() + timedelta(days=days):%Y-%m-%d %H:%M:%S}"


def _set_up(town: Town, objects: str) -> None:
    world = town.world
    gateway, emulator = world.gateway, world.emulator
    roles = ["Mail.Send", "Mail.ReadWrite"]
    emulator.ask("POST", "/apps", json={"client_id": ROBOT, "secret": ROBOT_SECRET, "roles": roles})
    gateway.connect(emulator, "office", MARY, "--no-server")
    expires = f"{datetime.now(UTC) + timedelta(days=LONG):%Y-%m-%d}"
    place = ("--login-url", emulator.url, "--graph-url", emulator.url, "--no-browser", "--no-server")
    app = ("connect", "robot", "--mailbox", TOM, "--client-id", ROBOT, "--tenant", TENANT, "--app-only")
    town.run(*app, "--secret", "--secret-expires", expires, *place, stdin=f"{ROBOT_SECRET}\n")
    badge = world.folder / "badge.pem"
    badge.write_text(make_certificate("badge", now=utc_now()))
    proof = shown(badge.read_text())
    assert proof is not None
    emulator.ask("POST", f"/apps/{ROBOT}/certificates", content=proof.public)
    app = ("connect", "badge", "--mailbox", SALES, "--client-id", ROBOT, "--tenant", TENANT, "--app-only")
    town.run(*app, "--certificate", str(badge), *place)
    town.apply(town.run("export") + objects)
    counted = town.run("export").replace(
        'mailbox = "tom@contoso.example"', 'mailbox = "tom@contoso.example"\nexternal_recipients_per_day = 900'
    )
    town.apply(counted)
    town.run("server", "password", "relay", stdin="secret\n")
    town.run("incoming", "password", "info", stdin=f"{PASSWORD}\n")
    town.run("destination", "key", "erp", stdin=f"{KEY}\n")
    town.run("destination", "secret", "shop")
    town.run("webhook", "add", "hook", town.hook.url)
    world.add_application("erp", "contoso.example", "news.contoso.example")
    (gateway.data / "tls.crt").write_bytes(town.authority.file.read_bytes())  # what a client trusts
    gateway.start()
    for sender in (TOM, "letter@news.contoso.example"):
        subject = unique("To nine people")
        world.submit(mail(subject, sender=sender), *(f"p{number}@customer.example" for number in range(9)), sender=sender)
        world.wait_until_sent(subject)
    gateway.run("incoming", "fetch", "--all")


def test_what_is_well_gets_no_finding_and_all_that_ends_is_named(town: Town) -> None:
    assert eventually(lambda: town.world.emulator.ask("GET", "/subscriptions")["subscriptions"])
    body = town.look()
    assert (body["findings"], body["unchecked"]) == ([], []), body
    named = {"office", "robot", "badge", "relay", "sales", "info", "desk", "erp", "shop", "contoso.example", "hook"}
    assert named <= {each["name"] for each in body["objects"] if each["verdict"] == "good"}
    assert {(each["what"], each["owner"]) for each in body["ends"]} >= {
        ("sign-in", "office"),
        ("client secret", "robot"),
        ("certificate", "badge"),
        ("certificate of the server", "relay"),
        ("subscription", "sales"),
        ("certificate of the mail server", "info"),
        ("API key", "erp"),
        ("TLS certificate", "this gateway"),
    }
    sign_in = next(datetime.fromisoformat(each["at"]) for each in body["ends"] if each["what"] == "sign-in")
    assert timedelta(days=89) < sign_in - utc_now() <= timedelta(days=90)


def test_each_question_is_answered_without_a_finding_where_all_is_well(town: Town) -> None:
    _, said = town.doctor("ask", "--json")
    questions = [each["name"] for each in json.loads(said)]
    assert len(questions) == 10
    for each in questions:
        code, said = town.doctor("ask", each, "--json")
        assert (code, json.loads(said)["findings"]) == (0, []), each


@pytest.mark.parametrize(("address", "may"), [(MARY, "yes"), (TOM, "yes"), ("letter@news.contoso.example", "yes"), (SALES, "not known")])
def test_as_whom_we_may_send(town: Town, address: str, may: str) -> None:
    _, said = town.doctor("send-as", address, "--json")
    body = json.loads(said)
    assert body["may"] == may, body
    assert body["evidence"]


Break = Callable[[Town], AbstractContextManager[None]]


@contextmanager
def set_to(thing: object, name: str, value: object) -> Iterator[None]:
    before = getattr(thing, name)
    setattr(thing, name, value)
    try:
        yield
    finally:
        setattr(thing, name, before)


@contextmanager
def shop_closed(town: Town) -> Iterator[None]:
    town.shop.close()
    try:
        yield
    finally:
        town.shop.enter_context(told(town.shop_port))


@contextmanager
def relay_shows(town: Town, host: str, days: int) -> Iterator[None]:
    assert town.relay.starttls is not None
    town.relay.starttls.load_cert_chain(replace(town.authority, days=days).issue(host))
    try:
        yield
    finally:
        town.relay.starttls.load_cert_chain(town.authority.issue("127.0.0.1"))


@contextmanager
def own_certificate_ends(town: Town) -> Iterator[None]:
    before = town.certificate.read_bytes()
    town.certificate.write_bytes(replace(town.authority, days=10).issue("localhost").read_bytes())
    try:
        yield
    finally:
        town.certificate.write_bytes(before)


@contextmanager
def wrong_password(town: Town) -> Iterator[None]:
    try:
        with town.sealed("incoming:info", password="wrong"):
            yield
    finally:
        town.run("incoming", "fetch", "info")  # the gateway may have looked meanwhile


def relay_says(reply: bytes) -> Break:
    return lambda town: set_to(town.relay, "scripts", [replace(WELL, replies={"MAIL FROM:": reply})])


TROUBLES: dict[str, tuple[Break, tuple[str, str, str]]] = {
    "an Odoo that is gone": (lambda town: set_to(town.odoo, "drop", lambda: True), ("destination", "erp", "unreachable")),
    "an Odoo whose key ends in a week": (lambda town: set_to(town.odoo, "key_ends", _in(7)), ("destination", "erp", "ends-soon")),
    "a program that nobody runs": (shop_closed, ("destination", "shop", "unreachable")),
    "a smarthost that refuses the sender": (relay_says(b"550 5.7.60 not as this sender\r\n"), ("server", "relay", "sender-refused")),
    "a smarthost's certificate of another host": (lambda town: relay_shows(town, "127.0.0.2", LONG), ("server", "relay", "no-tls")),
    "a smarthost's certificate that ends": (lambda town: relay_shows(town, "127.0.0.1", 5), ("server", "relay", "ends-soon")),
    "a smarthost's day that is nearly over": (
        lambda town: town.edited("recipients_per_day = 1000", "recipients_per_day = 10"),
        ("server", "relay", "limit-near"),
    ),
    "a tenant's day that is nearly over": (
        lambda town: town.edited("external_recipients_per_day = 900", "external_recipients_per_day = 50"),
        ("account", "robot", "limit-near"),
    ),
    "a secret that ends": (lambda town: town.sealed("app:robot", expires_on=_in(20)[:10]), ("account", "robot", "ends-soon")),
    "a certificate that proves an app and ends": (
        lambda town: town.sealed("app:badge", certificate=replace(town.authority, days=10).issue("badge").read_text()),
        ("account", "badge", "ends-soon"),
    ),
    "a secret that has ended": (
        lambda town: town.robot({"secrets": [{"value": ROBOT_SECRET, "expires": "2026-01-01T00:00:00Z"}]}, {"secret": ROBOT_SECRET}),
        ("account", "robot", "sign-in-refused"),
    ),
    "a permission that was taken away": (
        lambda town: town.robot({"roles": ["Mail.Send"]}, {"roles": ["Mail.Send", "Mail.ReadWrite"]}),
        ("account", "robot", "may-only-send"),
    ),
    "a mailbox that was closed to the app": (
        lambda town: town.robot({"only_mailboxes": [MARY]}, {"only_mailboxes": None}),
        ("account", "robot", "may-not-send"),
    ),
    "a sign-in that nobody has used for two months": (
        lambda town: town.sealed("account:office", used_at=(utc_now() - timedelta(days=62)).isoformat()),
        ("account", "office", "ends-soon"),
    ),
    "a mailbox with another password": (wrong_password, ("incoming", "info", "sign-in-refused")),
    "a program that can't sign in": (
        lambda town: town.edited('[alias_domain."contoso.example"]', '[application."old"]\n[alias_domain."contoso.example"]'),
        ("application", "old", "nobody-can-sign-in"),
    ),
    "a certificate of our own that ends": (own_certificate_ends, ("installation", "", "ends-soon")),
}


@pytest.mark.parametrize("what", TROUBLES)
def test_what_breaks_is_found_and_nothing_else(town: Town, what: str) -> None:
    spoil, expected = TROUBLES[what]
    with spoil(town):
        assert town.found() == {expected}


def test_a_webhook_that_takes_nothing_and_then_a_gateway_that_is_gone(town: Town) -> None:
    """The last test: the gateway does not run any more."""
    assert town.found() == set()
    town.hook.status = 500
    town.world.submit(mail(unique("Untold")))
    assert eventually(lambda: town.found() == {("webhook", "hook", "not-told")}), town.found()
    town.run("webhook", "remove", "hook")
    town.world.gateway.stop()
    assert town.found() == {("installation", "", "not-listening")}
    town.world.emulator.ask("POST", f"/accounts/{MARY}/revoke", json={"code": 65001, "access_tokens": True})
    body = town.look()
    assert {each["code"] for each in body["findings"]} == {"not-listening", "sign-in-refused"}
    refused = next(each for each in body["findings"] if each["code"] == "sign-in-refused")
    assert "AADSTS65001" in refused["evidence"][0]["said"]
    assert {each["name"] for each in body["unchecked"]} == {"sales"}
