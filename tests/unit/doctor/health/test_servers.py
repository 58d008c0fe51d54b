"""What is said of an outgoing server: as far as the envelope sender, and no mail is begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from demo.processes import CONFIDENTIAL_CLIENT
from mailroom.doctor.findings import Harm, Verdict
from mailroom.doctor.health.looking import Usage
from mailroom.doctor.health.servers import Held, ServerFacts, judge
from mailroom.objects import Account, AliasDomain, Application, GraphRoute, OutgoingServer, Security, SinkRoute, SmarthostRoute
from mailroom.vault.expiry import Expiry
from tests.contract.smtp_server import Act, Script
from tests.unit.doctor.health.house import MARY, SALES, T0, TOM, Installation, codes, facts_of, only
from tests.walk.sink import smtp_sink

HOUSE = "notifications@contoso.example"


def relay(port: int, **fields: Any) -> OutgoingServer:
    route = SmarthostRoute(host="127.0.0.1", port=port, security=Security.NONE, **fields)
    return OutgoingServer(name="relay", from_filter=(MARY,), route=route)


def test_a_smarthost_that_takes_our_mail_gets_no_finding_and_no_mail(house: Installation) -> None:
    house.has(Application(name="erp", senders=("contoso.example",)))
    with smtp_sink() as sink:
        house.has(relay(sink.port))
        found = house.look("server", "relay")
        assert (found.look.check.verdict, codes(found), found.look.unchecked) == (Verdict.GOOD, [], ())
        assert found.look.check.text == f"lets us in, and takes mail from {MARY}"
        assert next(each.asked for each in found.look.check.evidence) == "connect"
        assert facts_of(found)["applications that may use it"] == "erp"
        assert [each.split(":")[0].split()[0].upper() for each in sink.commands if each.strip()] == ["EHLO", "MAIL", "RSET", "QUIT"]
        assert sink.mails == []


@pytest.mark.parametrize(
    ("script", "route", "code"),
    [
        (Script({"GREETING": b"554 5.7.1 you are not welcome\r\n"}), {}, "unreachable"),
        (Script({"MAIL FROM": b"550 5.7.60 may not send as this sender\r\n"}), {}, "sender-refused"),
        (Script(), {"security": Security.STARTTLS}, "no-tls"),
    ],
)
def test_what_a_smarthost_refuses(house: Installation, script: Script, route: dict[str, Any], code: str) -> None:
    with smtp_sink(script) as sink:
        server = relay(sink.port)
        assert isinstance(server.route, SmarthostRoute)
        house.has(replace(server, route=replace(server.route, **route)))
        finding = only(house.look("server", "relay"))
    assert finding.code == code
    assert finding.harm is (Harm.RISKY if code == "sender-refused" else Harm.HARMFUL)


def test_a_smarthost_that_is_not_there(house: Installation) -> None:
    with smtp_sink() as sink:
        port = sink.port
    house.has(relay(port))
    finding = only(house.look("server", "relay"))
    assert (finding.code, finding.title) == ("unreachable", f"127.0.0.1:{port} can't be reached")


def test_a_smarthost_that_is_busy_is_unchecked(house: Installation) -> None:
    with smtp_sink(Script({"GREETING": b"421 4.3.2 try later\r\n"})) as sink:
        house.has(relay(sink.port))
        found = house.look("server", "relay")
    assert codes(found) == []
    assert [each.what for each in found.look.unchecked] == ["connect"]


def test_a_smarthost_that_is_silent_is_given_up(house: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailroom.wiring.health.servers.PATIENCE", 0.2)
    with smtp_sink(Script({"GREETING": Act.SILENCE})) as sink:
        house.has(relay(sink.port))
        finding = only(house.look("server", "relay"))
    assert finding.code == "unreachable"
    assert "did not answer in time" in finding.todo


def test_a_password_that_is_missing_and_one_that_is_wrong(house: Installation) -> None:
    no = Script(offered=("AUTH PLAIN",), auth={"PLAIN": b"535 5.7.8 bad credentials\r\n"})
    with smtp_sink(no) as sink:
        house.has(relay(sink.port, user="joe"))
        assert only(house.look("server", "relay")).code == "no-password"
        house.parts.vault.seal("server:relay", {"password": "canary-4711"})
        finding = only(house.look("server", "relay"))
    assert finding.code == "sign-in-refused"
    assert finding.repairs[0].command == "mailroom server password relay"
    assert "canary-4711" not in repr(finding)


def test_a_shared_mailbox_that_the_person_may_open_is_well_and_another_is_not(house: Installation) -> None:
    house.person()
    route = GraphRoute(account="office", mailbox=SALES)
    house.has(OutgoingServer(name="sales", route=route), OutgoingServer(name="tom", route=replace(route, mailbox=TOM)))
    assert codes(house.look("server", "sales")) == []
    finding = only(house.look("server", "tom"))
    assert (finding.code, finding.title) == ("may-not-send", f"The server tom may not send from {TOM}")


def test_each_senders_own_mailbox_is_asked_where_senders_are_named(house: Installation) -> None:
    house.app(mailbox=HOUSE)
    house.has(AliasDomain(name="contoso.example"))
    sender = GraphRoute(account="app", mailbox="sender")
    house.has(OutgoingServer(name="own", from_filter=(TOM, MARY), route=sender), OutgoingServer(name="all", route=sender))
    house.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", only_mailboxes=[MARY, HOUSE])
    assert TOM in only(house.look("server", "own")).title
    found = house.look("server", "all")
    assert codes(found) == []
    assert [each.what for each in found.look.unchecked] == ["sending"]


@pytest.mark.parametrize("mailbox", [SALES, ""])
def test_what_the_account_is_to_blame_for_is_said_once(house: Installation, mailbox: str) -> None:
    house.has(Account(name="office", client_id="x", mailbox=MARY))
    house.has(OutgoingServer(name="sales", route=GraphRoute(account="office", mailbox=mailbox)))
    found = house.look("server", "sales")
    assert (codes(found), found.look.unchecked[0].why) == ([], "its account office can't sign in")


def test_what_is_not_active_or_delivers_nothing(house: Installation) -> None:
    house.has(OutgoingServer(name="off", route=SinkRoute(), active=False), OutgoingServer(name="sink", route=SinkRoute()))
    assert house.look("server", "off").look.check.verdict is Verdict.UNUSED
    assert house.look("server", "sink").look.check.text == "takes everything and delivers nothing"


SINK = ServerFacts(server=OutgoingServer(name="sink", route=SinkRoute()))


def test_a_lane_that_is_held_is_told_with_its_reason() -> None:
    finding = only(judge(replace(SINK, held=(Held("sink:sink", "a person held it", 3),)), T0))
    assert (finding.code, finding.todo) == ("held", "a person held it")
    assert finding.repairs[0].command == "mailroom queue free sink:sink"


@pytest.mark.parametrize(("days", "expected"), [(8, []), (6, ["ends-soon"]), (-1, ["ended"])])
def test_the_certificate_of_a_server_is_told_a_week_before_its_end(days: int, expected: list[str]) -> None:
    end = Expiry("sink", "certificate of the server", T0 + timedelta(days=days), "Tell them")
    assert codes(judge(replace(SINK, theirs=(end,)), T0)) == expected


def test_a_days_recipients_that_are_nearly_used_up() -> None:
    assert codes(judge(replace(SINK, usage=(Usage("recipients", 9_000, 10_000),)), T0)) == ["limit-near"]
    assert codes(judge(replace(SINK, usage=(Usage("recipients", 7_000, 10_000),)), T0)) == []


def test_more_connections_than_microsoft_takes() -> None:
    route = SmarthostRoute(host="smtp.office365.com", user="x")
    for connections, expected in ((8, ["too-many-connections"]), (3, [])):
        server = OutgoingServer(name="m", route=replace(route, connections=connections))
        assert codes(judge(ServerFacts(server=server), T0)) == expected
