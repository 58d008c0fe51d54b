"""What is said of an incoming server: what its test finds, and what the gateway's own looks say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from demo.processes import CONFIDENTIAL_CLIENT
from mailroom.doctor.findings import Verdict
from mailroom.doctor.health.incoming import IncomingFacts, judge
from mailroom.doctor.trial import Step
from mailroom.mailboxes import lane_of
from mailroom.objects import GraphInbox, ImapInbox, IncomingServer, Security
from mailroom_core.model import After
from tests.mail_server import MailServer
from tests.unit.doctor.health.house import SALES, T0, TOM, Installation, codes, facts_of, only

INBOX = IncomingServer(name="sales", source=GraphInbox(account="app", mailbox=SALES))
WELL = IncomingFacts(server=INBOX, host="graph.microsoft.com", steps=(Step("read", "'Inbox': 3 mails, 1 unread"),), looked_at=T0, due_at=T0)


def watched(house: Installation, server: IncomingServer) -> None:
    house.has(server)
    house.parts.store.watch.over({server.name: lane_of(house.parts.directory(), server)})


def test_a_mailbox_that_can_be_fetched_gets_no_finding_and_is_not_changed(house: Installation) -> None:
    house.app()
    watched(house, INBOX)
    before = len(house.ask("GET", "/requests"))
    found = house.look("incoming", "sales")
    assert (found.look.check.verdict, codes(found), found.look.unchecked) == (Verdict.GOOD, [], ())
    assert "unread" in found.look.check.text
    changing = [each for each in house.ask("GET", "/requests")[before:] if each["method"] != "GET" and each["status"] < 400]
    assert changing == []


def test_a_folder_that_is_not_there(house: Installation) -> None:
    house.app()
    watched(house, replace(INBOX, source=GraphInbox(account="app", mailbox=SALES, folder="Invoices")))
    finding = only(house.look("incoming", "sales"))
    assert finding.code == "no-folder"
    assert "'Invoices'" in finding.todo


def test_mail_that_may_not_be_marked(house: Installation) -> None:
    house.app()
    watched(house, INBOX)
    house.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", roles=["Mail.Send", "Mail.Read"])
    house.forget_token("app")
    assert only(house.look("incoming", "sales")).code == "read-only"
    watched(house, replace(INBOX, after=After.NOTHING))
    assert codes(house.look("incoming", "sales")) == []


def test_a_mailbox_that_is_busy_and_an_account_without_a_token_are_unchecked(house: Installation) -> None:
    house.app()
    watched(house, INBOX)
    house.ask("POST", "/faults", match={"mailbox": SALES}, action={"kind": "answer", "status": 503})
    found = house.look("incoming", "sales")
    assert (codes(found), found.look.check.verdict) == ([], Verdict.UNCHECKED)
    house.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", expire_secrets=True)
    house.forget_token("app")
    found = house.look("incoming", "sales")
    assert codes(found) == []
    assert "its account app gives no token" in found.look.unchecked[0].why


def test_a_mail_server_that_does_not_let_us_in_and_one_that_is_not_there(house: Installation) -> None:
    def no(line: bytes) -> bytes:
        tag = line.split()[0]
        if b"CAPABILITY" in line:
            return b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n"
        return tag + b" NO [AUTHENTICATIONFAILED] wrong\r\n"

    with MailServer(b"* OK IMAP4rev1 ready\r\n", no) as server:
        box = IncomingServer(name="desk", source=ImapInbox(host="127.0.0.1", port=server.port, security=Security.NONE, user="desk"))
        watched(house, box)
        house.parts.vault.seal("incoming:desk", {"password": "canary-4711"})
        finding = only(house.look("incoming", "desk"))
    assert finding.code == "sign-in-refused", finding
    assert finding.repairs[0].command == "mailroom incoming password desk"
    assert "canary" not in repr(finding)
    assert only(house.look("incoming", "desk")).code == "unreachable"


def test_what_the_gateways_own_looks_say() -> None:
    assert codes(judge(WELL, T0)) == []
    failing = replace(WELL, trouble="the mailbox is full", failing_since=T0 - timedelta(hours=3))
    assert only(judge(failing, T0)).code == "not-fetched"
    late = replace(WELL, due_at=T0 - timedelta(minutes=26))
    assert only(judge(late, T0)).code == "not-looked"
    assert codes(judge(replace(late, due_at=T0 - timedelta(minutes=24)), T0)) == []


def test_who_tells_of_new_mail_and_until_when() -> None:
    told = judge(replace(WELL, told_until=T0 + timedelta(days=5)), T0)
    assert (codes(told), [each.what for each in told.ends], facts_of(told)["new mail"]) == ([], ["subscription"], "told at once")
    assert only(judge(replace(WELL, told_until=T0 - timedelta(minutes=1)), T0)).code == "subscription-ended"
    waiting = replace(WELL, server=IncomingServer(name="i", source=ImapInbox(host="h")), told_until=T0 - timedelta(minutes=1))
    assert (codes(judge(waiting, T0)), judge(waiting, T0).ends) == ([], ())


def test_the_certificate_of_a_mail_server() -> None:
    step = Step("tls", "TLSv1.3", ends=T0 + timedelta(days=3))
    found = judge(replace(WELL, steps=(step,)), T0)
    assert codes(found) == ["ends-soon"]
    assert found.ends[0].what == "certificate of the mail server"


def test_one_that_is_not_active_is_not_asked(house: Installation) -> None:
    house.app(mailbox=TOM)
    watched(house, replace(INBOX, active=False))
    assert house.look("incoming", "sales").look.check.verdict is Verdict.UNUSED
