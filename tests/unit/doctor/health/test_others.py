"""Destinations, applications, alias domains, webhooks and the house itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mailroom.doctor.findings import Harm, Verdict
from mailroom.doctor.health.destinations import DestinationFacts
from mailroom.doctor.health.destinations import judge as judge_destination
from mailroom.doctor.health.installation import HouseFacts
from mailroom.doctor.health.installation import judge as judge_house
from mailroom.doctor.health.looking import HOUSE
from mailroom.doctor.health.programs import WebhookFacts, judge_webhook
from mailroom.doctor.trial import Step
from mailroom.objects import (
    Alias,
    AliasDomain,
    Application,
    Destination,
    ForwardTarget,
    InboxTarget,
    MiB,
    OdooTarget,
    OutgoingServer,
    Scope,
    SinkRoute,
    Token,
    Webhook,
    WebhookTarget,
)
from mailroom.settings import ListenerSettings
from mailroom.vault.expiry import Expiry
from mailroom.wiring.parts import utc_now
from tests.contract.smtp_server import Script
from tests.contract.transports.fake_odoo import DATABASE, KEY, USER, fake_odoo
from tests.unit.doctor.health.house import T0, Installation, codes, facts_of, installation, only
from tests.walk.sink import smtp_sink

# ---- destinations


def test_what_is_built_in_needs_nothing(house: Installation) -> None:
    house.has(Destination(name="desk", target=InboxTarget()), Alias(name="desk@contoso.example", destination="desk"))
    found = house.look("destination", "desk")
    assert (found.look.check.verdict, facts_of(found)["used by"]) == (Verdict.GOOD, "alias desk@contoso.example")


def test_an_odoo_with_no_key_a_wrong_one_and_a_good_one(house: Installation) -> None:
    with fake_odoo() as odoo:
        house.has(Destination(name="odoo", target=OdooTarget(url=odoo.url, database=DATABASE, user=USER)))
        assert only(house.look("destination", "odoo")).code == "no-key"
        house.parts.vault.seal("destination:odoo", {"key": "canary-4711"})
        finding = only(house.look("destination", "odoo"))
        assert finding.code == "refused"
        assert finding.repairs[0].command == "mailroom destination key odoo"
        assert "canary" not in repr(finding)
        house.parts.vault.seal("destination:odoo", {"key": KEY})
        well = house.look("destination", "odoo")
        assert (codes(well), well.ends, facts_of(well)["the key's end"]) == ([], (), "never")
        odoo.key_ends = f"{utc_now() + timedelta(days=7):%Y-%m-%d %H:%M:%S}"
        ending = house.look("destination", "odoo")
        assert (codes(ending), ending.ends[0].what) == (["ends-soon"], "API key")
        assert odoo.taken == []
    assert only(house.look("destination", "odoo")).code == "unreachable"


def test_the_end_of_an_odoos_key_is_told_a_month_before() -> None:
    destination = Destination(name="odoo", target=OdooTarget(url="https://odoo.example", database="x", user="admin"))
    facts = DestinationFacts(destination=destination, steps=(Step("rights", "an administrator"),))
    end = Expiry("odoo", "API key", T0 + timedelta(days=20), "Make a new one")
    assert codes(judge_destination(facts, T0)) == []
    finding = only(judge_destination(replace(facts, ends=(end,)), T0))
    assert (finding.code, finding.harm) == ("ends-soon", Harm.RISKY)


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(405)

    def do_POST(self) -> None:
        raise AssertionError("nothing is sent")

    def log_message(self, *_: object) -> None:
        pass


def test_a_program_is_only_connected_to(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with installation(tmp_path, webhooks={"private_networks": ("127.0.0.0/8",)}) as house:
        house.has(Destination(name="shop", target=WebhookTarget(url=f"http://127.0.0.1:{server.server_port}/")))
        assert only(house.look("destination", "shop")).code == "no-key"
        house.parts.vault.seal("destination:shop", {"secret": "whsec_x"})
        assert codes(house.look("destination", "shop")) == []
        server.shutdown()
        server.server_close()
        assert only(house.look("destination", "shop")).code == "unreachable"


def test_forwarding_needs_a_domain_and_a_server(house: Installation) -> None:
    house.has(Destination(name="boss", target=ForwardTarget(to=("boss@customer.example",))))
    assert only(house.look("destination", "boss")).code == "unreachable"
    house.has(AliasDomain(name="contoso.example"), OutgoingServer(name="out", route=SinkRoute()))
    assert codes(house.look("destination", "boss")) == []


# ---- programs

OUT = OutgoingServer(name="out", route=SinkRoute())
ERP = Application(name="erp", key="00", senders=("contoso.example", "boss@other.example"))


def test_an_application_whose_senders_have_a_server_and_one_whose_kind_of_mail_nobody_carries(house: Installation) -> None:
    house.has(ERP, OUT)
    found = house.look("application", "erp")
    assert (codes(found), found.look.check.verdict) == ([], Verdict.GOOD)
    assert facts_of(found)["from boss@other.example"] == "out, as boss@other.example"
    house.has(replace(OUT, transactional=False))
    finding = only(house.look("application", "erp"))
    assert (finding.code, finding.harm) == ("no-server", Harm.HARMFUL)


def test_an_application_that_nothing_can_submit_as(house: Installation) -> None:
    house.has(replace(ERP, key=""), OUT)
    assert only(house.look("application", "erp")).code == "nobody-can-sign-in"
    house.has(Token(name="shop", key="00", scopes=(Scope.SEND,), application="erp"))
    assert codes(house.look("application", "erp")) == []


def test_a_domain_whose_notification_address_has_a_server(house: Installation) -> None:
    house.has(AliasDomain(name="contoso.example"))
    assert only(house.look("alias_domain", "contoso.example")).code == "no-server"
    house.has(OUT)
    found = house.look("alias_domain", "contoso.example")
    assert (codes(found), facts_of(found)["notification address"]) == ([], "notifications@contoso.example by out")


def test_an_alias_that_nothing_brings_mail_to(house: Installation) -> None:
    house.has(AliasDomain(name="contoso.example"), OUT, Destination(name="desk", target=InboxTarget()))
    house.has(Alias(name="desk@contoso.example", destination="desk"))
    assert only(house.look("alias_domain", "contoso.example")).code == "nothing-comes-in"
    house.has(Token(name="mta", key="00", scopes=(Scope.INBOUND_WRITE,)))
    assert codes(house.look("alias_domain", "contoso.example")) == []


def test_a_webhook_that_takes_nothing(house: Installation) -> None:
    hook = Webhook(name="hook", url="https://hook.example/")
    house.has(hook)
    assert house.look("webhook", "hook").look.check.verdict is Verdict.GOOD
    assert only(judge_webhook(WebhookFacts(webhook=hook, waiting=3, failing_since=T0))).code == "not-told"
    assert judge_webhook(WebhookFacts(webhook=replace(hook, active=False))).look.check.verdict is Verdict.UNUSED


# ---- the house

WELL = HouseFacts(servers=1, applications=1, free=9000 * MiB, total=10_000 * MiB, folder="/data")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"servers": 0}, ["no-way-out"]),
        ({"servers": 0, "applications": 0}, []),
        ({"free": 2000 * MiB}, ["disk-fills"]),
        ({"free": 200 * MiB}, ["disk-full"]),
        ({"listeners": (Step("127.0.0.1:2525", "refused", ok=False),)}, ["not-listening"]),
        ({"ends": (Expiry("this gateway", "TLS certificate", T0 + timedelta(days=13), "Renew it"),)}, ["ends-soon"]),
        ({"ends": (Expiry("this gateway", "TLS certificate", T0 + timedelta(days=15), "Renew it"),)}, []),
    ],
)
def test_what_can_be_wrong_with_the_house(changes: dict[str, object], expected: list[str]) -> None:
    found = judge_house(replace(WELL, **changes), T0)  # type: ignore[arg-type]  # fields by name
    assert codes(found) == expected
    if expected:
        only(found)


def test_the_ports_are_asked_as_a_client_would(tmp_path: Path) -> None:
    with smtp_sink() as well, smtp_sink(Script({"GREETING": b"421 4.3.2 going\r\n"})) as going:
        ports = tuple(ListenerSettings(port=each) for each in (well.port, going.port, 0))
        with installation(tmp_path, listener=ports) as house:
            found = house.look(HOUSE.kind, HOUSE.name)
    finding = only(found)
    assert (finding.code, str(going.port) in finding.title, str(well.port) in finding.title) == ("not-listening", True, False)
    assert [each.what for each in found.look.unchecked] == ["the listener at 127.0.0.1"]
