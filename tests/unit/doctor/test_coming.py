"""What would become of a mail to an address, what has come, and which reports nobody reads: each cause is told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.doctor.findings import Finding, Harm
from mailroom.doctor.mail import Seal, Verified, take_apart
from mailroom.doctor.mail_judge import judge
from mailroom.doctor.symptoms import coming, reports
from mailroom.doctor.symptoms.asking import Asked
from mailroom.objects import (
    Account,
    Alias,
    AliasDomain,
    Destination,
    Directory,
    GraphInbox,
    GraphRoute,
    InboxTarget,
    IncomingServer,
    OutgoingServer,
    Scope,
    SmarthostRoute,
    Token,
    Verp,
    Writers,
)
from mailroom.ports import Found
from mailroom.settings import MxSettings, Settings
from mailroom.wiring.parts import Parts, open_parts
from mailroom.wiring.symptoms import _returns, prospects
from mailroom_core.errors import ConfigError
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Reply, State
from mailroom_core.policy.decision import Verdict
from tests.unit.doctor.clinic import check, clinic, delivery, event, found, message, story

SALES = "sales@desk.example"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = open_parts(Settings(data=tmp_path))
    made.store.apply(
        [
            AliasDomain(name="desk.example", catchall="catchall", bounce="bounce"),
            Destination(name="desk", target=InboxTarget()),
            Alias(name=SALES, destination="desk"),
            Alias(name="board@desk.example", destination="desk", writers=Writers.KNOWN),
            Alias(name="proof@desk.example", destination="desk", authenticated=True),
            Token(name="mx", key="0" * 64, scopes=(Scope.INBOUND_WRITE,)),
        ],
        [],
        by="test",
    )
    made.directory.look()
    yield made
    made.close()


def fetched(parts: Parts, *servers: IncomingServer) -> None:
    account = Account(name="office", mailbox="info@contoso.example")
    parts.store.apply([account, *servers], [], by="test")
    parts.directory.look()


INFO = IncomingServer(name="info", source=GraphInbox(account="office", mailbox="info@contoso.example"), destination="desk")


def verdicts(parts: Parts, address: str) -> dict[str, Verdict]:
    return {each.way: each.decision.verdict for each in prospects(parts, address)}


def test_the_rules_are_asked_by_each_way_that_a_mail_could_come(parts: Parts) -> None:
    handed = "handed over by a mail server"
    assert verdicts(parts, SALES) == {handed: Verdict.ALIAS}
    assert verdicts(parts, "proof@desk.example") == {handed: Verdict.ALIAS}, "a stranger whose server proves them"
    assert verdicts(parts, "nobody@desk.example") == {handed: Verdict.QUARANTINED}
    fetched(parts, INFO, replace(INFO, name="closed", active=False))
    assert verdicts(parts, "nobody@desk.example") == {handed: Verdict.QUARANTINED, "fetched by info": Verdict.FALLBACK}
    assert verdicts(parts, "info@contoso.example") == {"fetched by info": Verdict.FALLBACK}, "it is that server's own mailbox"
    with pytest.raises(ConfigError, match="no address"):
        prospects(parts, "sales@desk.example\r\nBcc: anna@customer.example")


def test_mail_of_the_mx_listener_has_its_destination(tmp_path: Path) -> None:
    made = open_parts(Settings(data=tmp_path, mx=MxSettings(enabled=True, destination="desk")))
    made.store.apply([Destination(name="desk", target=InboxTarget())], [], by="test")
    made.directory.look()
    assert verdicts(made, "nobody@desk.example") == {"handed over by a mail server": Verdict.FALLBACK}
    made.close()


def asked_of(parts: Parts, address: str) -> list[Finding]:
    made = clinic(directory=parts.directory(), ways_in=("mx",), prospects=prospects(parts, address))
    findings = found(check(coming.rules, made, Asked(address=address)))
    assert all(each.evidence and each.todo and each.repairs for each in findings)
    return findings


def test_an_address_with_a_place_has_no_finding_and_each_other_says_which_rule_stands_in_the_way(parts: Parts) -> None:
    assert asked_of(parts, SALES) == []
    (lost,) = asked_of(parts, "nobody@desk.example")
    assert (lost.code, "no alias, no reply, no fallback" in lost.title) == ("no-alias", True)
    assert "aliases: no alias has one of its addresses" in lost.evidence[0].said
    (closed,) = asked_of(parts, "board@desk.example")
    assert (closed.code, closed.todo[:6]) == ("would-be-refused", "Change")
    assert "somebody@example.com is none" in closed.title
    for own in ("bounce@desk.example", "catchall@desk.example"):
        assert asked_of(parts, own) == [], "it opens nothing new, and need not"


def test_without_any_way_in_that_is_the_cause() -> None:
    for asked in (Asked(), Asked(address=SALES)):
        (finding,) = found(check(coming.rules, clinic(ways_in=()), asked))
        assert (finding.code, finding.evidence[0].asked) == ("no-way-in", "ways in")
    assert found(check(coming.rules, clinic(), Asked())) == []


def came(state: State, reply: Reply | None = None, recipient: str = SALES, server: str = "desk") -> Found:
    return Found(delivery(state, reply=reply, recipient=recipient, server=server), message(source="info"))


def arrived(mails: Sequence[Found], asked: Asked, stories: Sequence[Any] = ()) -> list[str]:
    made = clinic(mails=mails, stories=stories, directory=Directory(destinations={"desk": Destination(name="desk", target=InboxTarget())}))
    findings = found(check(coming.arrived, made, asked))
    assert all(each.evidence and each.todo and each.repairs for each in findings)
    return [each.code for each in findings]


DOWN = Reply(0, "no answer from desk.example:443 (connection refused)")
IGNORED = (event("routed", "Fetched by info; it is kept", verdict="IGNORED"),)
BOUNCE = (event("routed", "Fetched by info; it reports that mail of ours did not arrive", verdict="BOUNCE"),)


@pytest.mark.parametrize(
    ("state", "reply", "events", "codes"),
    [
        (State.SENT, None, (), []),
        (State.QUEUED, None, (), []),
        (State.QUEUED, DOWN, (), ["not-handed-over"]),
        (State.HELD, Reply(0, "it is for nobody: no alias"), (), ["in-quarantine"]),
        (State.IGNORED, Reply(0, "a mailing list opens nothing"), IGNORED, ["kept-and-ignored"]),
        (State.IGNORED, Reply(0, "a report"), BOUNCE, []),
    ],
)
def test_what_came_says_what_became_of_it(state: State, reply: Reply | None, events: tuple[Any, ...], codes: list[str]) -> None:
    kept = story(delivery(state, reply=reply, recipient=SALES, server="desk"), source="info", events=events)
    for asked in (Asked(), Asked(address=SALES), Asked(address="desk.example"), Asked(story=kept)):
        assert arrived([came(state, reply)], asked, [kept]) == codes
    assert arrived([came(state, reply)], Asked(address="other@desk.example"), [kept]) == []


def test_a_mail_that_was_handed_in_did_not_come_in() -> None:
    (look,) = check(coming.arrived, clinic(), Asked(story=story(delivery(State.SENT))))
    assert "did not come in: erp has handed it in" in look.check.text


def test_a_mail_that_left_can_not_be_taken_apart_and_that_is_said() -> None:
    (look,) = check(coming.taken_apart, clinic(), Asked(story=story(delivery(State.SENT))))
    assert "give the one that was received" in look.unchecked[0].why
    (gone,) = check(coming.taken_apart, clinic(), Asked(story=story(delivery(State.SENT), source="info")))
    assert "its bytes are gone" in gone.unchecked[0].why
    assert check(coming.taken_apart, clinic(), Asked()) == []


FORGED = b"From: mary@bad.test\r\nTo: anna@customer.example\r\nSubject: x\r\nMessage-ID: <1@bad.test>\r\n\r\nHello\r\n"


def test_a_mail_that_landed_in_spam_says_what_filters_mind_and_no_advice() -> None:
    strict = {"_dmarc.bad.test": ["v=DMARC1; p=reject"]}
    report = judge(take_apart(InMemory(FORGED), Verified((), Seal("none", "", "")), strict.get, "SpamAssassin is not installed"))
    kept = story(delivery(State.SENT), source="info")
    for asked in (Asked(letter=FORGED), Asked(story=kept)):
        looks = check(coming.taken_apart, clinic(apart=report), asked)
        findings = found(looks)
        assert findings[0].code == "mail-not-proven"
        assert findings[0].evidence
        assert all(each.harm is not Harm.ADVICE for each in findings)
        assert {"DMARC", "DKIM", "SPF"} <= {each.check.area for each in looks}, "all that was looked at stands there"


def test_the_command_takes_a_file_apart_and_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "spam.eml"
    file.write_bytes(FORGED.replace(b"\r\n", b"\n"))
    words = ["--data", str(tmp_path / "data"), "doctor", "ask", "spam", "--file", str(file), "--json"]
    done = CliRunner().invoke(main, words, env={"MAILROOM_DOCTOR_RESOLVER": "127.0.0.1:9"})
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["subject"]) == (1, "the mail that was given")
    assert "mail-not-proven" in {each["code"] for each in answer["findings"]} or answer["unchecked"], answer


OFFICE = Account(name="office", mailbox="mary@contoso.example", read_write=True)


def graph(account: Account = OFFICE, **route: Any) -> Directory:
    server = OutgoingServer(name="office", from_filter=("contoso.example",), route=GraphRoute(account="office", **route))
    return Directory(servers={"office": server}, accounts={"office": account})


@pytest.mark.parametrize(
    ("directory", "words"),
    [
        (graph(replace(OFFICE, read_write=False)), "its account may only send"),
        (graph(reports=False), "its server says that it shall not be read"),
        (graph(mailbox="sender"), "nobody's own mailbox is read"),
    ],
)
def test_a_mailbox_whose_reports_nobody_reads_is_said(directory: Directory, words: str) -> None:
    for asked in (Asked(), Asked(address="mary@contoso.example")):
        (finding,) = found(check(reports.read, clinic(directory=directory), asked))
        assert (finding.code, words in finding.title) == ("reports-not-read", True), finding.title
        assert finding.evidence[0].said
        assert finding.repairs


def test_a_mailbox_that_is_watched_or_fetched_is_well_and_one_whose_looks_fail_is_not() -> None:
    name = "reports of mary@contoso.example (office)"
    well = SimpleNamespace(name=name, trouble="")
    assert found(check(reports.read, clinic(directory=graph(), watched=[well]))) == []
    broken = SimpleNamespace(name=name, trouble="The account has no right to this mailbox; grant Mail.Read")
    (finding,) = found(check(reports.read, clinic(directory=graph(), watched=[broken])))
    assert (finding.harm.value, finding.todo) == ("harmful", broken.trouble)
    server = IncomingServer(name="mary", source=GraphInbox(account="office", mailbox="mary@contoso.example"))
    for each in (graph(replace(OFFICE, read_write=False)), graph(mailbox="sender")):
        fetching = replace(each, incoming={"mary": server})
        assert found(check(reports.read, clinic(directory=fetching), Asked(address="mary@contoso.example"))) == []


def test_reports_to_a_sender_of_a_smarthost_are_unchecked_unless_they_come_here(parts: Parts) -> None:
    relay = OutgoingServer(name="relay", route=SmarthostRoute(host="relay.example"))
    asked = Asked(story=story(delivery(State.SENT)))
    (look,) = check(reports.read, clinic(directory=Directory(servers={"relay": relay})), asked)
    assert look.findings == ()
    assert "they go to mary@contoso.example" in look.unchecked[0].why
    assert not _returns(parts, relay, "mary@contoso.example")
    assert _returns(parts, relay, "erp@desk.example"), "mail of this domain is handed over to us"
    parts.store.apply([], [("token", "mx")], by="test")
    parts.directory.look()
    assert not _returns(parts, relay, "erp@desk.example")
    assert _returns(parts, replace(relay, route=SmarthostRoute(host="relay.example", verp=Verp.ALWAYS)), "erp@desk.example")
