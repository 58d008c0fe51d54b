"""policy.bounces and policy.verp: what failures mean, and when an address gets nothing more."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta, timezone

import pytest

from mailroom_core.inbound import Action, ReportedRecipient
from mailroom_core.model import show_id
from mailroom_core.policy.addresses import is_deliverable
from mailroom_core.policy.bounce_tables import BY_STATUS, PLAIN, VAGUE
from mailroom_core.policy.bounces import Bounce, Judgement, Settings, judge, suppression
from mailroom_core.policy.reasons import Reason
from mailroom_core.policy.verp import make, read

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


def said(diagnostic: str, status: str = "", action: Action = Action.FAILED) -> Judgement:
    return judge(ReportedRecipient("a@b.example", action, status, diagnostic))


CASES = [
    ("550 5.1.1 <a@b.example>: Recipient address rejected: User unknown in virtual mailbox table", "5.1.1", "NO_SUCH_MAILBOX", True, True),
    ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "5.1.10", "NO_SUCH_MAILBOX", True, True),
    ("550-5.1.1 The email account that you tried to reach does not exist.", "5.1.1", "NO_SUCH_MAILBOX", True, True),
    ("550 No such user here", "5.0.0", "NO_SUCH_MAILBOX", True, True),
    ("User carlos not listed in Domino Directory", "", "NO_SUCH_MAILBOX", True, True),
    ("Host or domain name not found. Name service error for name=b.example", "5.4.4", "NO_SUCH_DOMAIN", True, False),
    ("550 5.4.310 DNS domain b.example does not exist", "5.4.310", "NO_SUCH_DOMAIN", True, False),
    ("554 delivery error: This user doesn't have an account", "5.0.0", "NO_SUCH_MAILBOX", True, True),
    ("554 delivery error: This account has been disabled or discontinued", "", "MAILBOX_DISABLED", True, True),
    ("550 5.2.1 The email account that you tried to reach is disabled", "5.2.1", "MAILBOX_DISABLED", True, True),
    ("551 5.1.6 Recipient has moved", "5.1.6", "MAILBOX_MOVED", True, True),
    ("501 5.1.3 Bad recipient address syntax", "5.1.3", "BAD_ADDRESS", True, True),
    ("452 4.2.2 The email account that you tried to reach is over quota", "4.2.2", "MAILBOX_FULL", False, False),
    ("552 5.2.2 Mailbox full", "5.2.2", "MAILBOX_FULL", False, False),
    ("550 5.1.1 mailbox is full", "5.1.1", "MAILBOX_FULL", False, False),
    ("450 mailbox busy", "", "MAILBOX_BUSY", False, False),
    ("550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup", "5.7.133", "MEMBERS_ONLY", True, False),
    ("Post by non-member to a members-only list", "", "MEMBERS_ONLY", True, False),
    ("552 5.3.4 Message size exceeds fixed maximum message size", "5.3.4", "TOO_LARGE", True, False),
    ("452 4.5.3 Error", "4.5.3", "TOO_MANY_RECIPIENTS", False, False),
    ("550 5.7.1 Our system has detected that this message is likely unsolicited mail", "5.7.1", "SPAM", True, False),
    ("554 5.7.1 Virus found", "5.7.1", "VIRUS", True, False),
    (
        "552 5.7.0 This message was blocked because its content presents a potential issue; the file is not allowed",
        "5.7.0",
        "ATTACHMENT",
        True,
        False,
    ),
    ("554 5.6.0 Invalid message content", "5.6.0", "CONTENT", True, False),
    ("553 5.6.7 SMTPUTF8 required", "5.6.7", "UNICODE_ADDRESS", True, False),
    ("550 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", "5.7.1", "SENDER_BLOCKED", True, False),
    (
        "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy",
        "5.7.26",
        "NOT_AUTHENTICATED",
        True,
        False,
    ),
    ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", "5.7.60", "SENDER_REFUSED", True, False),
    ("550 5.7.1 Access denied", "5.7.1", "POLICY", True, False),
    ("550 5.7.129 RESOLVER.RST.RestrictedToRecipientsPermission; not authorized", "5.7.129", "MEMBERS_ONLY", True, False),
    ("554 5.7.1 <a@b.example>: Relay access denied", "5.7.1", "RELAY_DENIED", True, False),
    ("530 5.7.57 Client not authenticated to send mail", "5.7.57", "NOT_AUTHENTICATED", True, False),
    ("530 Authentication required", "", "SIGN_IN_WANTED", True, False),
    ("TLS is required, but was not offered by host mx", "4.7.4", "ENCRYPTION_WANTED", False, False),
    ("451 4.7.1 Greylisted, please try again in 300 seconds", "4.7.1", "GREYLISTED", False, False),
    ("421 4.7.28 mail flood", "4.7.28", "TOO_MANY_MAILS", False, False),
    ("550 5.7.233 Tenant exceeded the external recipient rate limit", "5.7.233", "OUR_LIMIT", True, False),
    ("connect to mx.b.example[192.0.2.1]:25: Connection timed out", "4.4.1", "UNREACHABLE", False, False),
    ("connect to b.example[192.0.2.1]:25: Connection refused", "", "UNREACHABLE", False, False),
    ("451 4.3.0 Temporary lookup failure", "4.3.0", "SERVER_TROUBLE", False, False),
    ("554 5.4.14 Hop count exceeded - possible mail loop", "5.4.14", "LOOP", True, False),
    ("retry timeout exceeded", "", "EXPIRED", False, False),
    ("550 4.4.7 QUEUE.Expired; message expired", "4.4.7", "EXPIRED", False, False),
    ("550 this recipient is blocked by the recipient", "5.7.9", "MAILBOX_DISABLED", True, True),
    ("mail was refused by the recipient", "", "RECIPIENT_REFUSES", True, False),
    ("550 5.4.1 Recipient address rejected: Access denied", "5.4.1", "NO_SUCH_MAILBOX", True, True),
    ("550 Requested action not taken: mailbox unavailable", "5.5.0", "NO_SUCH_MAILBOX", True, True),
    ("550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents", "5.2.1", "TOO_MANY_MAILS", True, False),
    ("550 5.1.1 <a@b.example> has sent to too many recipients this hour", "5.1.1", "TOO_MANY_MAILS", True, False),
    ("5.1.0 - Unknown address error 550-'5.7.1 Access denied'", "5.0.0", "POLICY", True, False),
    ("host mx.b.example said: 550 User unknown", "", "NO_SUCH_MAILBOX", True, True),
    ("Name service error for domain b.example: Host not found, try again", "", "NO_SUCH_DOMAIN", True, False),
    ("550 5.7.1 Fix reverse DNS for 192.0.2.1", "5.7.1", "REVERSE_DNS", True, False),
    ("550 Mailbox is frozen", "", "MAILBOX_DISABLED", True, True),
    ("553 b.example does not like you", "", "POLICY", True, False),
    ("whatever", "5.7.99", "POLICY", True, False),
    ("whatever", "5.4.1", "UNREACHABLE", True, False),
    ("whatever", "5.9.9", "UNKNOWN", True, False),
    ("554 whatever", "", "POLICY", True, False),
    ("552 whatever", "", "MAILBOX_FULL", False, False),
    ("599 whatever", "", "UNKNOWN", True, False),
    ("", "", "UNKNOWN", True, False),
]


@pytest.mark.parametrize(("diagnostic", "status", "reason", "permanent", "hard"), CASES)
def test_what_servers_say_has_a_reason(diagnostic: str, status: str, reason: str, permanent: bool, hard: bool) -> None:
    assert said(diagnostic, status) == Judgement(Reason[reason], permanent, hard)


def test_the_remote_servers_own_code_counts_before_the_reports() -> None:
    assert said("450 4.7.99 whatever", "5.0.0").permanent is False
    assert said("550 5.0.0 whatever", "5.1.1").reason is Reason.NO_SUCH_MAILBOX


def test_a_delay_is_never_permanent_and_a_complaint_always_hard() -> None:
    assert said("550 5.1.1 unknown user", "5.1.1", Action.DELAYED) == Judgement(Reason.NO_SUCH_MAILBOX, False, False)
    assert said("", action=Action.COMPLAINED) == Judgement(Reason.COMPLAINT, True, True)


def test_reasons_have_words_that_end_as_sentences_and_differ() -> None:
    assert 28 <= len(Reason) <= 36
    assert len({reason.words for reason in Reason}) == len(Reason)
    for reason in Reason:
        assert re.fullmatch(r"[A-Z].*\. .*\.", reason.words), reason.words
    assert Reason.MAILBOX_FULL.words == "The mailbox is full. Please try again in some days, or reach the recipient in another way."


def test_every_reason_can_be_found() -> None:
    named = {reason for reason, _ in (*PLAIN, *VAGUE)} | set(BY_STATUS.values())
    assert set(Reason) - named == {Reason.COMPLAINT, Reason.UNKNOWN, Reason.MAILBOX_BUSY}


# Suppression


def bounce(days_ago: float, diagnostic: str) -> Bounce:
    return Bounce(NOW - timedelta(days=days_ago), said(diagnostic))


GONE, FULL, SPAM = "550 5.1.1 no such user", "552 5.2.2 full", "550 5.7.1 spam"


def test_one_hard_bounce_suppresses() -> None:
    assert suppression([bounce(1, GONE)], NOW) == "there is no such mailbox (a bounce of 2026-11-19 said so)"
    assert suppression([bounce(100, GONE)], NOW) == "", "not after 13 weeks"
    assert suppression([bounce(-1, GONE)], NOW) == "", "nor before it has happened"
    assert suppression([bounce(1, GONE)], NOW, Settings(hard=2)) == ""
    assert suppression([bounce(1, GONE)], NOW, Settings(hard=0)) == ""


def test_five_soft_bounces_that_span_more_than_a_week_suppress() -> None:
    weeks = [bounce(day, FULL) for day in (8, 6, 4, 2, 0.5)]
    assert suppression(weeks, NOW) == "5 mails came back since 2026-11-12, the last one because the mailbox is full"
    assert suppression(weeks[1:], NOW) == "", "four are not enough"
    assert suppression([bounce(day, FULL) for day in (7, 6, 4, 2, 0)], NOW) == "", "a week is not more than a week"
    assert suppression(weeks, NOW, Settings(soft=0)) == ""
    assert suppression(weeks, NOW, Settings(soft=6)) == ""
    assert suppression([bounce(day, FULL) for day in (100, 6, 4, 2, 0)], NOW) == "", "the window is 13 weeks"


def test_what_is_not_the_addresss_fault_never_suppresses() -> None:
    assert suppression([bounce(day, SPAM) for day in range(60)], NOW) == ""
    assert suppression([], NOW) == ""


# VERP


def mac(data: bytes) -> bytes:
    return hmac.digest(b"key", data, hashlib.sha256)


def test_a_verp_address_names_its_delivery() -> None:
    name = show_id(2**62 + 12345)
    address = make("Bounce@Example.com", name, mac)
    assert re.fullmatch(rf"bounce\+{name}-[0-9a-z]{{8}}@example\.com", address)
    assert is_deliverable(address)
    assert read(address, ["bounce@example.com"], mac) == name
    assert read(f" {address.upper()} ", ["other@example.org", "BOUNCE@example.com"], mac) == name


def test_a_forged_or_foreign_verp_address_names_nothing() -> None:
    address = make("bounce@example.com", "abc", mac)
    other = "0" if address.rpartition("@")[0][-1] != "0" else "1"
    forged = address.rpartition("@")[0][:-1] + other + "@example.com"
    for wrong in (forged, address.replace("abc", "abd"), "bounce@example.com", "", "x+y@z", address + "x"):
        assert read(wrong, ["bounce@example.com"], mac) == ""
    assert read(address, ["bounce@example.org"], mac) == ""
    assert read(address.replace("example.com", "example.org"), ["bounce@example.org"], mac) == ""
    assert read(address, ["bounce@example.com"], lambda data: mac(data + b"other key")) == ""


def test_a_name_that_no_address_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="lower-case"):
        make("bounce@example.com", "A-b", mac)
