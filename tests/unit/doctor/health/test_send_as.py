"""May we send as this address? Asked of an emulated tenant; what no tenant tells, by facts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from demo.processes import CONFIDENTIAL_CLIENT
from mailroom.cli import main
from mailroom.doctor.health.send_as import How, May, Past, SendAs, SendAsFacts, judge
from mailroom.objects import (
    Account,
    AliasDomain,
    Application,
    GraphRoute,
    OutgoingServer,
    Security,
    SinkRoute,
    SmarthostRoute,
)
from mailroom.wiring.health.send_as import send_as
from mailroom_core.errors import ConfigError
from mailroom_core.model import Failed, Held, Reply
from mailroom_core.oauth.scopes import Tier
from mailroom_core.policy.servers import Candidate, explain
from mailroom_core.providers.graph.identity import Addresses, Shown
from mailroom_core.providers.graph.probe import Rights
from tests.contract.smtp_server import Script
from tests.unit.doctor.health.house import MARY, SALES, T0, TOM, Installation
from tests.walk.sink import smtp_sink

ALIAS = "mary.major@contoso.example"
OFFICE = OutgoingServer(name="office", route=GraphRoute(account="office"))


def asked(house: Installation, address: str, application: str = "") -> SendAs:
    return asyncio.run(send_as(house.parts, address, application=application))


def test_the_primary_address_of_the_mailbox_with_the_server_and_the_applications(house: Installation) -> None:
    house.person()
    house.has(OFFICE, Application(name="erp", key="0", senders=("contoso.example",)), Application(name="shop", senders=("shop.example",)))
    found = asked(house, MARY.upper())
    assert (found.may, found.how, found.leaves_as) == (May.YES, How.PRIMARY, MARY)
    assert (found.server, found.mailbox, found.applications) == ("office", MARY, ("erp",))
    assert any(each.source == "routing" and each.said == "office" for each in found.evidence)
    assert any("can't be decoded" in each.asked for each in found.evidence)


def test_an_alias_is_known_as_one_and_the_tenants_switch_is_unchecked(house: Installation) -> None:
    house.person()
    house.has(OFFICE)
    house.ask("PATCH", f"/accounts/{MARY}", add_aliases=[ALIAS])
    found = asked(house, ALIAS)
    assert (found.may, found.how) == (May.UNKNOWN, How.ALIAS)
    assert "SendFromAliasEnabled" in found.todo
    assert [each.what for each in found.unchecked] == ["SendFromAliasEnabled"]


def test_a_mailbox_that_the_person_has_no_right_to_and_one_that_graph_says_nothing_against(house: Installation) -> None:
    house.person()
    house.has(OFFICE)
    found = asked(house, TOM)
    assert (found.may, found.how) == (May.NO, How.NOTHING)
    assert "ErrorSendAsDenied" in found.why
    assert f"Add-RecipientPermission {TOM} -Trustee {MARY} -AccessRights SendAs" in found.todo
    found = asked(house, SALES)
    assert (found.may, found.how) == (May.UNKNOWN, How.OTHER)
    assert [each.what for each in found.unchecked] == ["Send As"]


def test_asking_sends_nothing_and_changes_nothing(house: Installation) -> None:
    house.person()
    house.has(OFFICE)
    folders = [(who, folder) for who in (MARY, SALES) for folder in ("drafts", "sentitems", "inbox")]
    before = [house.ask("GET", f"/accounts/{who}/folders/{folder}") for who, folder in folders]
    asked(house, SALES)
    assert [house.ask("GET", f"/accounts/{who}/folders/{folder}") for who, folder in folders] == before
    assert house.ask("GET", "/outside")["total"] == 0


def test_each_senders_own_mailbox_by_an_app(house: Installation) -> None:
    house.app(mailbox=MARY)
    own = OutgoingServer(name="own", from_filter=("contoso.example",), route=GraphRoute(account="app", mailbox="sender"))
    house.has(AliasDomain(name="contoso.example"), own)
    found = asked(house, TOM)
    assert (found.may, found.how, found.mailbox) == (May.YES, How.PRIMARY, TOM)
    assert found.unchecked[0].what == f"aliases of {TOM}"
    nobody = asked(house, "nobody@contoso.example")
    assert (nobody.may, nobody.how) == (May.NO, How.REWRITTEN)
    house.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", only_mailboxes=[MARY])
    closed = asked(house, TOM)
    assert (closed.may, closed.why) == (May.NO, f"The account may not send from {TOM}")


def test_an_address_that_leaves_as_another_one(house: Installation) -> None:
    house.has(AliasDomain(name="contoso.example"), Account(name="office", mailbox=MARY))
    house.has(replace(OFFICE, from_filter=("notifications@contoso.example",)))
    found = asked(house, TOM)
    assert (found.may, found.how, found.leaves_as) == (May.NO, How.REWRITTEN, "notifications@contoso.example")


def test_without_a_server_and_with_one_that_delivers_nothing(house: Installation) -> None:
    assert "No outgoing server" in asked(house, MARY).why
    house.has(OutgoingServer(name="sink", route=SinkRoute()))
    assert asked(house, MARY).why == "sink takes everything and delivers nothing"
    with pytest.raises(ConfigError, match="is no address"):
        asked(house, "nonsense")
    with pytest.raises(ConfigError, match="no application"):
        asked(house, MARY, "nobody")


def test_an_account_that_can_not_sign_in_is_not_known(house: Installation) -> None:
    house.has(Account(name="office", mailbox=MARY), OFFICE)
    found = asked(house, MARY)
    assert found.may is May.UNKNOWN
    assert "is not connected" in found.why


def test_a_relay_is_asked_by_mail_from(house: Installation) -> None:
    no = Script({f"MAIL FROM:<{TOM}": b"550 5.7.1 not your sender\r\n"})
    with smtp_sink(no) as sink:
        house.has(OutgoingServer(name="relay", route=SmarthostRoute(host="127.0.0.1", port=sink.port, security=Security.NONE)))
        assert (asked(house, MARY).may, asked(house, MARY).how) == (May.YES, How.RELAY)
        refused = asked(house, TOM)
        assert (refused.may, "not your sender" in refused.why) == (May.NO, True)
    assert sink.mails == []
    gone = asked(house, MARY)
    assert (gone.may, "does not let us in" in gone.why) == (May.UNKNOWN, True)


# ---- what only mail that was sent proves

WELL = SendAsFacts(
    address=SALES,
    routing=explain([Candidate(name="office")], header_from=SALES),
    server=OFFICE,
    account=Account(name="office", mailbox=MARY),
    mailbox=MARY,
    host="graph.microsoft.com",
    rights=Rights(Tier.READ_WRITE, shared=True),
    addresses=Addresses(MARY, (ALIAS,)),
    asked=True,
)
DENIED = Reply(403, "no right", name="ErrorSendAsDenied")


@pytest.mark.parametrize(
    ("address", "past", "may", "how"),
    [
        (SALES, Past(T0, Shown(SALES, SALES)), May.YES, How.SHARED),
        (SALES, Past(T0, Shown(SALES, MARY)), May.YES, How.ON_BEHALF),
        (SALES, Past(denied_at=T0, denied=DENIED), May.NO, How.NOTHING),
        (ALIAS, Past(T0, Shown(ALIAS, ALIAS)), May.YES, How.ALIAS),
        (ALIAS, Past(T0, Shown(MARY, MARY)), May.NO, How.ALIAS),
        (ALIAS, Past(T0), May.UNKNOWN, How.ALIAS),
    ],
)
def test_mail_that_was_sent_proves_what_graph_does_not_tell(address: str, past: Past, may: May, how: How) -> None:
    found = judge(replace(WELL, address=address, past=past))
    assert (found.may, found.how) == (may, how)
    assert any("the mail of 2026-11-20" in each.asked for each in found.evidence)


def test_a_right_that_was_taken_away_since_counts_more_than_an_old_mail() -> None:
    past = Past(T0, Shown(SALES, SALES))
    assert judge(replace(WELL, past=past, objected=Failed(DENIED))).may is May.NO


def test_who_was_not_asked_for_shared_mailboxes_is_told_that_first() -> None:
    closed = Held(Reply(403, "no right", name="ErrorAccessDenied"), lane=True)
    found = judge(replace(WELL, shared_scope=False, objected=closed))
    assert found.todo.startswith("Connect the account again, as one that may use shared mailboxes")


def test_microsofts_own_mail_server_says_yes_to_every_sender_first() -> None:
    server = OutgoingServer(name="office", route=SmarthostRoute(host="smtp.office365.com", account="office"))
    facts = replace(WELL, server=server, host="smtp.office365.com", reply=Reply(250, "2.1.0 Sender OK"))
    assert judge(facts).may is May.UNKNOWN
    assert judge(replace(facts, past=Past(T0))).may is May.YES


def test_the_command_answers_people_and_programs(house: Installation) -> None:
    house.person()
    house.has(OFFICE)
    data = ["--data", str(house.parts.settings.data), "doctor", "send-as"]
    told = CliRunner().invoke(main, [*data, MARY], catch_exceptions=False)
    assert (told.exit_code, told.stdout.splitlines()[0]) == (0, f"YES: {MARY} is the mailbox's own address.")
    told = CliRunner().invoke(main, [*data, TOM, "--json"], catch_exceptions=False)
    assert (told.exit_code, json.loads(told.stdout)["may"]) == (1, "no")
