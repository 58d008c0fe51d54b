"""mime.dsn: reports that people understand and programs can read."""

from __future__ import annotations

import email
import email.policy
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage, Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.mime.dsn import Report, dsn
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Reply

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
ARRIVED = NOW - timedelta(hours=2)
ORIGINAL = b"Message-ID: <1@example.com>\r\nSubject: Invoice 17\r\nFrom: mary@example.com\r\n\r\nthe body stays here\r\n"
UNKNOWN_USER = Reply(550, "No such user here", enhanced="5.1.1")


def report(*reports: Report, original: bytes = ORIGINAL, to: str = "mary@example.com") -> bytes:
    return dsn(
        reports=reports,
        original=original,
        arrived=ARRIVED,
        reporting_mta="mail.example.com",
        from_address="MAILER-DAEMON@mail.example.com",
        to=to,
        message_id="<2@mail.example.com>",
        now=NOW,
    )


def test_a_whole_report() -> None:
    assert report(Report("bob@example.org", UNKNOWN_USER, remote_mta="mx.example.org")).decode() == (
        'From: "Mail Delivery System" <MAILER-DAEMON@mail.example.com>\r\n'
        "To: mary@example.com\r\n"
        "Subject: Not delivered: Invoice 17\r\n"
        "Date: Fri, 20 Nov 2026 12:00:00 +0000\r\n"
        "Message-ID: <2@mail.example.com>\r\n"
        "References: <1@example.com>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        ' boundary="=_2mailexamplecom"\r\n'
        "\r\n"
        "--=_2mailexamplecom\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "\r\n"
        "This is the mail system at mail.example.com.\r\n"
        "\r\n"
        'Your mail "Invoice 17", which mail.example.com received on Fri, 20 Nov 2026\r\n'
        "10:00:00 +0000, could not be delivered to:\r\n"
        "\r\n"
        "  bob@example.org\r\n"
        "    mx.example.org said: 550 5.1.1 No such user here\r\n"
        "    Please check the address: it may be misspelt, or no longer exist.\r\n"
        "\r\n"
        "It will not be tried again. Recipients that are not named here are not affected.\r\n"
        "\r\n"
        "--=_2mailexamplecom\r\n"
        "Content-Type: message/delivery-status\r\n"
        "\r\n"
        "Reporting-MTA: dns; mail.example.com\r\n"
        "Arrival-Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
        "\r\n"
        "Final-Recipient: rfc822; bob@example.org\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx.example.org\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"
        "\r\n"
        "--=_2mailexamplecom\r\n"
        "Content-Type: text/rfc822-headers\r\n"
        "\r\n"
        "Message-ID: <1@example.com>\r\n"
        "Subject: Invoice 17\r\n"
        "From: mary@example.com\r\n"
        "\r\n"
        "--=_2mailexamplecom--\r\n"
    )


def parts(raw: bytes) -> tuple[str, list[dict[str, str]], str]:
    """Text, status groups and the original head, as Python reads them."""
    message = email.message_from_bytes(raw, policy=email.policy.SMTP)
    assert message.get_content_type() == "multipart/report"
    text, status, head = message.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(head, EmailMessage)
    groups = status.get_payload()
    assert isinstance(groups, list)
    return (
        text.get_content(),
        [dict(group.items()) for group in groups if isinstance(group, Message)],
        bytes(head.get_payload(decode=True)).decode(),
    )


def test_a_delay_says_how_long_it_is_tried() -> None:
    raw = report(Report("bob@example.org", Reply(451, "Try later", enhanced="4.3.0"), retry_until=NOW + timedelta(days=5)))
    text, (_, status), _ = parts(raw)
    assert "Subject: Delayed: Invoice 17\r\n" in raw.decode()
    assert "has not been delivered yet" in text
    assert "tried again until Wed, 25 Nov 2026" in " ".join(text.split())
    assert "will not be tried again" not in text
    assert status == {
        "Final-Recipient": "rfc822; bob@example.org",
        "Action": "delayed",
        "Status": "4.3.0",
        "Diagnostic-Code": "smtp; 451 4.3.0 Try later",
        "Will-Retry-Until": "Wed, 25 Nov 2026 12:00:00 +0000",
    }


def test_failures_and_delays_can_share_a_report() -> None:
    late = Report("ann@example.org", Reply(421, "busy"), retry_until=NOW)
    text, (_, first, second), _ = parts(report(Report("bob@example.org", Reply(554, "no")), late))
    assert text.index("bob@example.org") < text.index("It will not be tried again") < text.index("ann@example.org")
    assert (first["Status"], second["Status"]) == ("5.0.0", "4.0.0")


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (UNKNOWN_USER, "check the address"),
        (Reply(552, "full", enhanced="5.2.2"), "mailbox is full"),
        (Reply(552, "big", enhanced="5.2.3"), "too large for this recipient"),
        (Reply(552, "off", enhanced="5.2.1"), "takes no mail"),
        (Reply(552, "big", enhanced="5.3.4"), "too large for the next server"),
        (Reply(0, "no connection", enhanced="4.4.7"), "could not be reached"),
        (Reply(550, "policy", enhanced="5.7.1"), "refused by a rule"),
        (Reply(554, "nonsense", enhanced="x"), "do not help you"),
    ],
)
def test_people_are_told_what_to_do(reply: Reply, advice: str) -> None:
    text, _, _ = parts(report(Report("bob@example.org", reply)))
    assert advice in " ".join(text.split())


def test_what_is_no_smtp_reply_is_not_called_one() -> None:
    graph = Report("bob@example.org", Reply(403, "You may not", name="ErrorSendAsDenied"))
    ours = Report("ann@example.org", Reply(0, "Its lifetime of 5 days is over", enhanced="4.4.7"))
    text, (_, first, second), _ = parts(report(graph, ours))
    assert first["Diagnostic-Code"] == "X-Mailroom; 403 ErrorSendAsDenied You may not"
    assert second["Diagnostic-Code"] == "X-Mailroom; 4.4.7 Its lifetime of 5 days is over"
    assert "The next server said: 403 ErrorSendAsDenied You may not" in text
    assert "The reason: Its lifetime of 5 days is over" in text


def test_text_outside_of_ascii_is_readable_for_people_and_harmless_for_programs() -> None:
    raw = report(Report("müller@example.org", Reply(550, "Schlüssel\r\nX: y")), original="Subject: Grüße\r\n\r\n".encode())
    assert raw.isascii()
    text, (_, status), head = parts(raw)
    assert Fields(raw).get("Subject") == "Not delivered: Grüße"
    assert "müller@example.org" in text
    assert "Schlüssel X: y" in text
    assert status["Final-Recipient"] == r"utf-8; m\x{FC}ller@example.org"
    assert status["Diagnostic-Code"] == "smtp; 550 Schl?ssel X: y"
    assert head == "Subject: Grüße\r\n"


def test_a_mail_without_subject_and_id_is_just_your_mail() -> None:
    raw = report(Report("bob@example.org", UNKNOWN_USER), original=b"Message-ID: <no id>\r\n\r\n")
    assert b"Subject: Not delivered: your mail\r\n" in raw
    assert b"References" not in raw
    assert "Your mail, which mail.example.com received" in parts(raw)[0]


def test_a_huge_head_is_cut_at_a_field() -> None:
    raw = report(Report("bob@example.org", UNKNOWN_USER), original=(b"X: " + b"y" * 995 + b"\r\n") * 100)
    assert parts(raw)[2] == ("X: " + "y" * 995 + "\r\n") * 65


def test_endless_words_are_cut() -> None:
    raw = report(Report("b" * 5000, Reply(550, "x" * 5000)))
    assert max(len(line) for line in raw.split(b"\r\n")) < 998


def test_nobody_can_be_reported_to_without_an_address() -> None:
    with pytest.raises(MimeError):
        report(Report("bob@example.org", UNKNOWN_USER), to="")


@given(st.text(), st.text(), st.binary(max_size=200), st.integers(0, 999))
def test_whatever_is_reported_the_report_has_its_three_parts(recipient: str, words: str, original: bytes, code: int) -> None:
    raw = report(Report(recipient, Reply(code, words)), original=original)
    root = index(InMemory(raw))
    assert [part.content_type for part in root.parts] == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    assert raw.isascii()
    assert Fields(raw).defect == ""
    assert max(len(line) for line in raw.split(b"\r\n")) < 998
