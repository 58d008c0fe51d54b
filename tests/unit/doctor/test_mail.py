"""A received mail, taken apart: what proves it, how it came, and what would make it better."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mailroom.doctor import spam
from mailroom.doctor.findings import Harm, Verdict
from mailroom.doctor.mail import Mail, Seal, Signature, Unanswered, Verified, take_apart
from mailroom.doctor.mail_judge import MailReport, judge, mail_body
from mailroom.doctor.spam import Opinion
from mailroom_core.errors import MimeError
from mailroom_core.mime.source import InMemory

NO_SEAL = Seal("none", "", "")
SIGNED = Verified((Signature("pass", "example.com", "s1", ""),), NO_SEAL)
UNSIGNED = Verified((), NO_SEAL)
HAM = Opinion(0.4, 5.0, ((0.4, "RULE", "words"),))
HEAD = """Received: from mx.receiver.test ([203.0.113.5]) by box.receiver.test with ESMTPS id 3; Fri, 20 Nov 2026 10:00:07 +0000
Received: from out.example.com (out.example.com [192.0.2.1]) by mx.receiver.test with ESMTPS (TLS1.3) id 2; Fri, 20 Nov 2026 10:00:05 +0000
Received: from erp.example.com by out.example.com with ESMTPSA id 1; Fri, 20 Nov 2026 12:00:02 +0200
Authentication-Results: mx.receiver.test; spf=pass smtp.mailfrom=bounce@example.com; dkim=pass header.d=example.com;
 dmarc=pass header.from=example.com
From: "Mary" <mary@example.com>
To: anna@receiver.test
Subject: Order 7
Date: Fri, 20 Nov 2026 10:00:00 +0000
Message-ID: <7@example.com>
Content-Type: text/plain

Thank you for your order.
"""
RECORDS = {"_dmarc.example.com": ["v=DMARC1; p=reject"]}


def texts(name: str) -> Sequence[str] | None:
    return RECORDS.get(name)


def mail(head: str = HEAD, verified: Verified = SIGNED, opinion: Opinion | str = HAM) -> Mail:
    return take_apart(InMemory(head.replace("\n", "\r\n").encode()), verified, texts, opinion)


def report(head: str = HEAD, verified: Verified = SIGNED, opinion: Opinion | str = HAM) -> MailReport:
    return judge(mail(head, verified, opinion))


def codes(made: MailReport) -> dict[str, Harm]:
    return {each.code: each.harm for each in made.findings}


def test_a_mail_that_is_proven_has_ten_of_ten_and_nothing_unchecked() -> None:
    made = report()
    assert (codes(made), made.score, made.unchecked, made.harmful) == ({}, 10.0, (), False)
    assert {each.area: each.verdict for each in made.checks}["ARC"] is Verdict.UNUSED
    assert all(each.verdict in (Verdict.GOOD, Verdict.UNUSED) for each in made.checks)


def test_its_way_is_told_from_the_first_server_on_with_each_delay() -> None:
    hops = mail().hops
    assert [(each.came_from, each.by, each.protocol) for each in hops] == [
        ("erp.example.com", "out.example.com", "ESMTPSA"),
        ("out.example.com", "mx.receiver.test", "ESMTPS"),
        ("mx.receiver.test", "box.receiver.test", "ESMTPS"),
    ]
    assert [each.delay for each in hops] == [None, timedelta(seconds=3), timedelta(seconds=2)]
    assert all(each.encrypted for each in hops)


def test_neither_spf_nor_dkim_of_its_from_is_harmful_where_the_domain_is_strict() -> None:
    foreign = HEAD.replace("bounce@example.com", "bounce@esp.test")
    made = report(foreign, Verified((Signature("pass", "esp.test", "s", ""),), NO_SEAL))
    assert codes(made) == {"mail-dmarc": Harm.HARMFUL}
    assert (made.score, "reject" in made.findings[0].why) == (6.0, True)
    assert mail_body(made)["findings"][0]["raises"] == 4.0


def test_without_any_proof_it_says_where_such_a_mail_may_be_from() -> None:
    bare = "From: mary@example.com\nDate: Fri, 20 Nov 2026 10:00:00 +0000\nMessage-ID: <7@x>\n\nHello\n"
    made = report(bare, UNSIGNED)
    assert codes(made) == {"mail-not-proven": Harm.HARMFUL}
    assert "Sent Items" in made.findings[0].todo
    assert [each.what for each in made.unchecked] == ["SPF"]


def test_spf_alone_is_told_to_be_weak() -> None:
    assert codes(report(verified=UNSIGNED)) == {"mail-no-dkim": Harm.RISKY}


@pytest.mark.parametrize(
    ("why", "head", "words"),
    [
        ("the body was changed", HEAD, "when a server on the way looked"),
        ("the body was changed", HEAD.replace("dkim=pass", "dkim=fail"), "after it was signed"),
        ("there is no key at s1._domainkey.example.com", HEAD, "can't be verified"),
    ],
)
def test_a_signature_that_does_not_hold_says_where_it_broke(why: str, head: str, words: str) -> None:
    made = report(head, Verified((Signature("fail", "example.com", "s1", why),), NO_SEAL))
    assert codes(made) == {"mail-dkim": Harm.ADVICE}, "SPF still proves it"
    assert words in made.findings[0].why


def test_spf_that_failed_counts_less_where_dkim_proves_the_mail() -> None:
    failed = HEAD.replace("spf=pass", "spf=softfail")
    assert codes(report(failed)) == {"mail-spf": Harm.ADVICE}
    assert codes(report(failed, UNSIGNED))["mail-spf"] is Harm.RISKY


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("12:00:02 +0200", "11:40:02 +0200", "mail-slow"),
        ("with ESMTPS (TLS1.3) id 2", "with ESMTP id 2", "mail-clear-text"),
        ("Message-ID: <7@example.com>\n", "", "mail-no-id"),
        ("Date: Fri, 20 Nov 2026 10:00:00 +0000", "Date: yesterday", "mail-no-date"),
        ("Date: Fri, 20 Nov 2026", "Date: Fri, 13 Nov 2026", "mail-date"),
        ("Content-Type: text/plain", "Content-Type: text/html", "mail-html-only"),
        ("Content-Type: text/plain", "List-Id: <news.example.com>", "mail-unsubscribe"),
        ('"Mary" <mary@example.com>', "mary@example.com, paul@example.com, x@esp.test", "mail-authors"),
    ],
)
def test_each_weakness_of_a_mail_is_told(old: str, new: str, code: str) -> None:
    assert old in HEAD
    assert code in codes(report(HEAD.replace(old, new)))


def test_a_mailing_with_both_fields_is_good() -> None:
    both = "List-Unsubscribe: <https://example.com/u>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n"
    fields = f"List-Id: <n.example.com>\n{both}Content-Type:"
    assert codes(report(HEAD.replace("Content-Type:", fields))) == {}


def test_a_domain_without_dmarc_is_risky() -> None:
    other = HEAD.replace("example.com", "other.test")
    assert codes(report(other, Verified((Signature("pass", "other.test", "s", ""),), NO_SEAL))) == {"mail-no-dmarc": Harm.RISKY}


def test_a_silent_name_server_leaves_what_it_should_tell_unchecked() -> None:
    def silence(name: str) -> Sequence[str] | None:
        raise Unanswered("no answer")

    unsure = Verified((Signature("temperror", "example.com", "s1", "no answer"),), NO_SEAL)
    made = judge(take_apart(InMemory(HEAD.replace("\n", "\r\n").encode()), unsure, silence, HAM))
    assert codes(made) == {}
    assert {each.what for each in made.unchecked} == {"DMARC", "DKIM of example.com"}


def test_what_forwarders_vouch_for_is_shown() -> None:
    made = report(verified=replace(SIGNED, seal=Seal("pass", "google.com", "")))
    assert "by google.com" in next(each.text for each in made.checks if each.area == "ARC")


def test_what_is_no_mail_is_refused() -> None:
    with pytest.raises(MimeError, match="no From"):
        mail("hello\n")


# ---- SpamAssassin ---------------------------------------------------------------------------------------------------

SAID = b"""X-Spam-Checker-Version: SpamAssassin 4.0.1
X-Spam-Status: Yes, score=7.3 required=5.0 tests=FIRST,SECOND,
\tTHIRD autolearn=no

Content analysis details:   (7.3 points, 5.0 required)

 pts rule name              description
---- ---------------------- --------------------------------------------------
-0.1 FIRST                  A good sign
 5.4 SECOND                 A bad sign
 2.0 THIRD                  BODY: Another one
"""


def test_the_opinion_of_spamassassin_is_read_and_its_worst_rules_are_evidence() -> None:
    found = spam.read(SAID)
    assert found == Opinion(7.3, 5.0, ((5.4, "SECOND", "A bad sign"), (2.0, "THIRD", "BODY: Another one"), (-0.1, "FIRST", "A good sign")))
    made = report(opinion=found)
    assert codes(made) == {"mail-spam": Harm.HARMFUL}
    assert made.findings[0].evidence[0].said.startswith("+5.4 SECOND")


def test_no_opinion_is_unchecked_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "no opinion" in str(spam.read(b"nonsense"))
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = spam.opinion(b"x")
    assert "not installed" in str(missing)
    assert [each.what for each in report(opinion=missing).unchecked] == ["SpamAssassin"]
    program = tmp_path / "spamassassin"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(spam, "PATIENCE", 0.1)
    assert "did not end" in str(spam.opinion(b"x"))
    assert "larger" in str(spam.opinion(b"x" * (spam.MOST + 1)))
