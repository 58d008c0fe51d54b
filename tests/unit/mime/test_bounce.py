"""mime.bounce: reports by the standards, Exchange's, and those in words; and what only looks like one."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from mailroom_core.inbound import Action, Original, Report, ReportKind
from mailroom_core.mime.bounce import may_be_a_report, read_report
from mailroom_core.mime.dsn import Report as DsnReport
from mailroom_core.mime.dsn import dsn
from mailroom_core.mime.incoming import head
from mailroom_core.mime.index import index, read_head
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Reply
from tests.unit.mime.builder import mail, multipart, part

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
DAEMON = "From: MAILER-DAEMON@shop.example"
FAILURE = "Subject: Undelivered Mail Returned to Sender"
HEAD = (
    b"Message-ID: <1@ours>\r\nX-Microsoft-Original-Message-ID: <0@ours>\r\nTo: lost@shop.example\r\n"
    b"Subject: Offer\r\nx-mailroom-attempt: abc\r\n"
)
RETURNED = part(HEAD + b"\r\nbody", "message/rfc822")
WORDS = part(b"It did not arrive.")


def read(raw: bytes) -> Report | None:
    source = InMemory(raw)
    root = index(source)
    return read_report(source, root, head(read_head(source, root)))


def found(raw: bytes) -> Report:
    report = read(raw)
    assert report is not None
    return report


def status(*groups: bytes, kind: str = "message/delivery-status", encoding: str = "") -> bytes:
    return part(b"Reporting-MTA: dns; mx.shop.example\r\n\r\n" + b"\r\n\r\n".join(groups) + b"\r\n", kind, encoding)


def standard(*parts: bytes, fields: tuple[str, ...] = (DAEMON, FAILURE)) -> bytes:
    return mail(multipart(*parts, subtype='report; report-type="delivery-status"'), *fields)


def told(words: str, *fields: str) -> Report | None:
    return read(mail(part(words.encode()), *(fields or (DAEMON, FAILURE, "To: us@example.com"))))


def failed(words: str, *fields: str) -> list[tuple[str, Action]]:
    report = told(words, *fields)
    return [(each.address, each.action) for each in report.recipients] if report else []


# RFC 3464


def test_a_standard_report_says_everything() -> None:
    group = (
        b"Original-Recipient: rfc822; lost@shop.example\r\nFinal-Recipient: rfc822; <moved@else.example>\r\nAction: failed (no luck)\r\n"
        b"Status: 5.1.1\r\nRemote-MTA: dns; mx.else.example\r\nDiagnostic-Code: smtp; 550 5.1.1 No such\r\n user"
    )
    raw = standard(
        WORDS,
        status(group),
        RETURNED,
        fields=(DAEMON, "To: bounce+x@example.com", "Delivered-To: box@example.com", "In-Reply-To: <9@ours>"),
    )
    report = found(raw)
    assert (report.kind, report.reporting_mta, report.text) == (ReportKind.STANDARD, "mx.shop.example", "It did not arrive.")
    assert report.sent_to == ("box@example.com", "bounce+x@example.com")
    (one,) = report.recipients
    assert (one.address, one.final_address, one.action) == ("lost@shop.example", "moved@else.example", Action.FAILED)
    assert (one.status, one.diagnostic, one.remote_mta) == ("5.1.1", "550 5.1.1 No such user", "mx.else.example")
    assert report.failures == (one,)
    assert report.original == Original(
        ids=("<1@ours>", "<0@ours>", "<9@ours>"), recipients=("lost@shop.example",), marker="abc", subject="Offer"
    )


@pytest.mark.parametrize(
    ("lines", "action"),
    [
        (b"Action: delayed\r\nStatus: 4.4.1", Action.DELAYED),
        (b"Action: delivered\r\nStatus: 2.0.0", Action.DELIVERED),
        (b"Action: relayed", Action.RELAYED),
        (b"Action: expanded", Action.EXPANDED),
        (b"Action: FAILED\r\nStatus: 4.4.7", Action.FAILED),
        (b"Status: 4.4.7", Action.DELAYED),
        (b"Status: 2.1.5", Action.DELIVERED),
        (b"Action: \xff", Action.FAILED),
    ],
)
def test_actions_are_what_they_say_or_what_the_status_says(lines: bytes, action: Action) -> None:
    report = found(standard(status(b"Final-Recipient: rfc822;lost@shop.example\r\n" + lines)))
    assert [each.action for each in report.recipients] == [action]
    assert bool(report.failures) is (action is Action.FAILED)


def test_groups_without_a_recipient_and_doubles_are_left_out() -> None:
    one = b"Final-Recipient: rfc822;lost@shop.example\r\nAction: failed"
    report = found(
        standard(status(one, b"", b"X-Nothing: here", one.upper(), b"Original-Recipient: rfc822;b@shop.example", b"Action: failed"))
    )
    assert [each.address for each in report.recipients] == ["lost@shop.example", "b@shop.example", ""]


def test_the_envelope_id_and_a_status_in_the_diagnostic_are_read() -> None:
    raw = part(
        b"Original-Envelope-Id: env-1\r\n\r\nFinal-Recipient: a@b.example\r\nDiagnostic-Code: 550-5.7.1 no", "message/delivery-status"
    )
    report = found(standard(raw))
    assert (report.original.envelope_id, report.recipients[0].status, report.recipients[0].diagnostic) == ("env-1", "5.7.1", "550-5.7.1 no")


def test_a_final_recipient_that_is_no_address_is_kept_as_it_is() -> None:
    report = found(standard(status(b"Final-Recipient: X400; c=us;a=x\r\nAction: failed")))
    assert report.recipients[0].address == "c=us;a=x"


def test_addresses_outside_of_ascii_are_read_by_rfc_6533() -> None:
    group = rb"Final-Recipient: utf-8; m\x{E4}x@b\x{FC}ro.example" + b"\r\nAction: failed"
    for kind in ("message/global-delivery-status", "message/delivery-status"):
        report = found(standard(status(group, kind=kind), part(b"Message-ID: <1@ours>\r\n", "message/global-headers")))
        assert (report.recipients[0].address, report.original.ids) == ("mäx@büro.example", ("<1@ours>",))
    hostile = rb"Final-Recipient: utf-8; a\x{0A}b\x{D800}\x{FFFFFF}@x.example"
    assert found(standard(status(hostile))).recipients[0].address == "ab@x.example"


def test_our_own_reports_are_read() -> None:
    for retry, action in ((None, Action.FAILED), (NOW + timedelta(days=1), Action.DELAYED)):
        raw = dsn(
            reports=[DsnReport("mäx@shop.example", Reply(550, "no", enhanced="5.1.1"), "mx.shop.example", retry)],
            original=HEAD,
            arrived=NOW,
            reporting_mta="mail.example.com",
            from_address="MAILER-DAEMON@mail.example.com",
            to="mary@example.com",
            message_id="<2@mail.example.com>",
            now=NOW,
        )
        report = found(raw)
        assert (report.recipients[0].address, report.recipients[0].action) == ("mäx@shop.example", action)
        assert report.original.ids[0] == "<1@ours>"


@pytest.mark.parametrize("kind", ["message/rfc822", "text/rfc822-headers", "text/rfc822-header"])
def test_the_returned_mail_is_found_in_every_form(kind: str) -> None:
    group = b"Final-Recipient: rfc822;a@b.example\r\nAction: failed"
    assert found(standard(WORDS, status(group), part(HEAD + b"\r\n", kind))).original.marker == "abc"
    encoded = part(b"TWVzc2FnZS1JRDogPDFAb3Vycz4NCg0K", "message/rfc822", "base64")
    assert found(standard(WORDS, status(group), encoded)).original.ids == ("<1@ours>",)


def test_the_parts_of_a_report_that_a_person_sends_are_no_report() -> None:
    group = b"Final-Recipient: rfc822;a@b.example\r\nAction: failed"
    person = ("From: bob@shop.example", "Subject: what is this?")
    assert read(mail(multipart(WORDS, status(group)), *person)) is None
    assert read(mail(multipart(WORDS, part(standard(WORDS, status(group)), "message/rfc822")), *person)) is None
    assert found(mail(multipart(WORDS, status(group)), DAEMON)).failures


def test_a_report_that_a_server_has_packed_up_is_unpacked() -> None:
    inner = standard(WORDS, status(b"Final-Recipient: rfc822;a@b.example\r\nAction: failed"))
    note = part(b"This is confidential.")
    report = found(mail(multipart(part(inner, "message/rfc822"), note), DAEMON, FAILURE, "To: us@example.com"))
    assert (report.kind, report.recipients[0].address, report.sent_to) == (ReportKind.STANDARD, "a@b.example", ("us@example.com",))
    assert read(mail(multipart(part(part(b"x"), "message/rfc822"), note), DAEMON, FAILURE)) is None
    nothing = mail(multipart(part(b"", "message/delivery-status"), subtype="report"))
    assert read(mail(multipart(part(nothing, "message/rfc822"), note), DAEMON, FAILURE)) is None


def test_a_report_without_recipients_may_say_them_in_words() -> None:
    words = part(b"The following recipients did not receive this message:\r\n\r\n<a@b.example>")
    report = found(standard(words, part(b"Reporting-MTA: dns; x\r\n", "message/delivery-status")))
    assert (report.kind, report.recipients[0].address) == (ReportKind.INFORMAL, "a@b.example")


# RFC 5965, RFC 8098


def complaint(*lines: str, returned: bytes = RETURNED) -> Report:
    feedback = part("\r\n".join(["Version: 1", *lines, ""]).encode(), "message/feedback-report")
    return found(mail(multipart(WORDS, feedback, returned, subtype="report; report-type=feedback-report"), "From: fbl@provider.example"))


def test_a_spam_complaint_names_who_complained() -> None:
    report = complaint("Feedback-Type: abuse", "User-Agent: Loop/1", "Original-Rcpt-To: <angry@shop.example>", "Reporting-MTA: dns; fbl")
    assert (report.kind, report.reporting_mta, report.original.ids) == (ReportKind.COMPLAINT, "fbl", ("<1@ours>", "<0@ours>"))
    assert [(each.address, each.action, each.diagnostic) for each in report.failures] == [
        ("angry@shop.example", Action.COMPLAINED, "abuse, reported by Loop/1")
    ]


def test_a_complaint_without_a_name_is_about_who_the_mail_was_to_or_about_nobody_known() -> None:
    assert complaint("Feedback-Type: fraud").failures[0].address == "lost@shop.example"
    assert [each.address for each in complaint(returned=b"\r\n").failures] == [""]


def test_other_feedback_is_no_complaint() -> None:
    assert complaint("Feedback-Type: not-spam", "Original-Rcpt-To: a@b.example").recipients == ()
    assert complaint("Feedback-Type: auth-failure").failures == ()


def test_outlook_com_reports_junk_mail_in_a_form_of_its_own() -> None:
    subject = ("From: staff@hotmail.com", "Subject: complaint about message from 192.0.2.1")
    returned = part(b"X-HmXmrOriginalRecipient: <angry@outlook.example>\r\nMessage-ID: <1@ours>\r\n\r\n", "message/rfc822")
    report = found(mail(multipart(returned), *subject))
    assert [(each.address, each.action) for each in report.failures] == [("angry@outlook.example", Action.COMPLAINED)]
    assert report.original.ids == ("<1@ours>",)
    assert read(mail(multipart(part(b"\r\n", "message/rfc822")), *subject)) is None


def receipt(disposition: str, words: str) -> Report:
    notification = f"Final-Recipient: rfc822;a@b.example\r\nOriginal-Message-ID: <1@ours>\r\nDisposition: {disposition}\r\n".encode()
    parts = (part(words.encode()), part(notification, "message/disposition-notification"))
    return found(mail(multipart(*parts, subtype="report; report-type=disposition-notification"), "From: a@b.example"))


def test_a_read_receipt_is_none_of_anybodys_failures() -> None:
    report = receipt("manual-action/MDN-sent-manually; displayed", "It was read and nothing was rejected.")
    assert (report.kind, report.recipients, report.original.ids) == (ReportKind.RECEIPT, (), ("<1@ours>",))
    assert receipt("automatic-action/MDN-sent-automatically; deleted", "It was deleted.").kind is ReportKind.RECEIPT
    broken = mail(multipart(WORDS, subtype="report; report-type=disposition-notification"), "From: a@b.example")
    assert found(broken).kind is ReportKind.RECEIPT
    nameless = part(b"Disposition: x\r\n", "message/disposition-notification")
    assert found(mail(multipart(nameless, subtype="report"))).original.recipients == ()


def test_a_sieve_filter_rejects_with_a_receipt() -> None:
    report = receipt("automatic-action/MDN-sent-automatically; deleted", "Your message was automatically rejected:\r\nQuota exceeded")
    assert [(each.address, each.diagnostic) for each in report.failures] == [
        ("a@b.example", "Your message was automatically rejected: Quota exceeded")
    ]


# In words


def test_exim_names_the_failed_in_the_head() -> None:
    words = "could not be delivered to one or more of\n its recipients:\n\n  lost@shop.example\n    host mx said: 550 5.1.1 unknown\n\nmore"
    fields = (DAEMON, "Subject: x", "X-Failed-Recipients: Lost@shop.example, other@shop.example", "Auto-Submitted: auto-replied")
    report = told(words, *fields)
    assert report is not None
    assert [(each.address, each.status) for each in report.recipients] == [("Lost@shop.example", "5.1.1"), ("other@shop.example", "")]
    assert report.recipients[0].diagnostic == "lost@shop.example host mx said: 550 5.1.1 unknown"


def test_exchange_reports_in_html_are_read() -> None:
    html = (
        b"<html><body><p>Your message to lost@shop.example couldn't be delivered.</p>"
        b"<p>Delivery has failed to these recipients or groups:</p>"
        b"<p><a href='mailto:lost@shop.example'>Lost</a> (lost@shop.example)</p>"
        b"<p>Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound'</p><p>Message-ID: &lt;1@ours&gt;</p></body></html>"
    )
    sender = "From: MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@shop.example"
    report = found(mail(part(html, "text/html"), sender, "X-MS-Exchange-Message-Is-Ndr:"))
    assert (report.kind, [each.address for each in report.recipients]) == (ReportKind.EXCHANGE, ["lost@shop.example"])
    assert report.recipients[0].status == "5.1.10"
    assert report.original.ids == ("<1@ours>",)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("<a@b.example>: host mx said: 550 no such user", ["a@b.example"]),
        (
            "We could not deliver to:\n\na@b.example\nc@d.example\n\nOriginal message follows:\nx@y.example failed",
            ["a@b.example", "c@d.example"],
        ),
        ("The user a@b.example does not exist.", ["a@b.example"]),
        ("Failed. For help contact help-desk@b.example or postmaster@b.example", []),
        ("Failed. For help, e.g. with an error, please write to\nus2@b.example", []),
        ("From: me@b.example\nid <x@y.example>\nDelivery failed", []),
        (
            "Your message\nTo: list@b.example\nSubject: x\ndid not reach the following recipient(s):\n\na@b.example on Friday\nunknown",
            ["a@b.example"],
        ),
        ("Could not be delivered:\nc@d.example\n  (expanded from: a@b.example)", ["c@d.example", "a@b.example"]),
        ("To us@example.com: delivery failed", []),
        ("-----\n", []),
        ("Hello a@b.example, how are you?", []),
        ("c@d.example: unknown user\n----- The original message -----\n<a@b.example>: failed", ["c@d.example"]),
        ("It failed for\n<a@b.example>\nbut also wrote to somebody,\nc@d.example, who exists", ["a@b.example"]),
    ],
)
def test_words_name_the_failed_by_what_stands_around_them(words: str, expected: list[str]) -> None:
    assert failed(words) == [(address, Action.FAILED) for address in expected]


def test_a_warning_is_a_delay() -> None:
    words = "The message has not yet been delivered to:\n\n  a@b.example\n\nNo action is required on your part."
    assert failed(words) == [("a@b.example", Action.DELAYED)]
    assert failed(words + "\nThis is a permanent error.") == [("a@b.example", Action.FAILED)]


def test_what_the_address_line_does_not_say_the_opening_does() -> None:
    report = told("Your mailbox quota is exceeded, so nothing arrived at\n\n<a@b.example>\n\nGoodbye")
    assert report is not None
    assert "quota is exceeded" in report.recipients[0].diagnostic


def test_a_returned_head_in_words_names_the_mail() -> None:
    report = told("<a@b.example>: unknown user\n\n--- Below is the original message.\nMessage-ID: <1@ours>\nx-mailroom-attempt: abc\n")
    assert report is not None
    assert (report.original.ids, report.original.marker) == (("<1@ours>",), "abc")


PERSON = "From: bob@shop.example"
LOST = "<a@b.example>: unknown user"


@pytest.mark.parametrize(
    ("fields", "is_report"),
    [
        ((DAEMON, "Subject: hello"), True),
        (("Return-Path: <>", PERSON, "Subject: hello"), True),
        ((PERSON, FAILURE), True),
        (("Subject: hello",), True),
        ((PERSON, "Subject: hello"), False),
        ((PERSON, FAILURE, "In-Reply-To: <1@ours>"), False),
        ((PERSON, FAILURE, "Auto-Submitted: auto-replied"), False),
        ((PERSON, FAILURE, "List-Id: <x>"), False),
        ((DAEMON, FAILURE, "Auto-Submitted: auto-replied"), True),
        ((DAEMON, "Subject: Absent", "Auto-Submitted: auto-replied"), False),
    ],
)
def test_only_a_system_or_a_subject_that_says_so_makes_a_bounce(fields: tuple[str, ...], is_report: bool) -> None:
    assert (told(LOST, *fields) is not None) is is_report


@pytest.mark.parametrize(
    "piece", ["a@b.example failed ", "-=", "> ", "<", "@", "failed\n", "a@b\n", "1.1.1.1@", " \n", "user unknown " * 3 + "\n"]
)
def test_hostile_words_take_no_longer_than_their_length_says(piece: str) -> None:
    started = time.process_time()
    told(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 5


def test_where_a_report_gives_no_diagnostic_its_words_do() -> None:
    words = part(b"Hello.\n\nc@d.example:\n  550 other\n\na@b.example:\n\n  quota exceeded\n\n--- Below is the original message.\n")
    group = b"Final-Recipient: rfc822;a@b.example\r\nAction: failed"
    one, two = found(standard(words, status(group, group.replace(b"a@b", b"e@f") + b"\r\nDiagnostic-Code: smtp; 550 no"))).recipients
    assert (one.diagnostic, two.diagnostic) == ("a@b.example: quota exceeded", "550 no")


def test_each_of_several_has_its_own_reason() -> None:
    report = told("<a@b.example>:\n550 5.1.1 unknown\n<c@d.example>:\n552 5.2.2 full")
    assert report is not None
    assert [(each.address, each.status) for each in report.recipients] == [("a@b.example", "5.1.1"), ("c@d.example", "5.2.2")]


def test_a_report_without_boundaries_is_read_as_text() -> None:
    report = found(mail(part(b"--x\n\n<a@b.example>: user unknown", "multipart/odd"), DAEMON, FAILURE))
    assert [each.address for each in report.recipients] == ["a@b.example"]


def test_gmail_names_the_mail_in_the_status() -> None:
    raw = part(b"X-Original-Message-ID: <1@ours>\r\nReporting-MTA: x\r\n\r\nFinal-Recipient: a@b.example\r\n", "message/delivery-status")
    assert found(standard(raw)).original.ids == ("<1@ours>",)


def test_the_to_of_an_ndr_may_be_who_failed() -> None:
    fields = ("From: postmaster@us.example", "To: lost@shop.example", "Subject: Undeliverable: x", "X-MS-Exchange-Message-Is-Ndr:")
    assert failed("Your message to lost@shop.example couldn't be delivered.", *fields) == [("lost@shop.example", Action.FAILED)]


def test_a_postmaster_may_fail_as_well() -> None:
    assert failed("<postmaster@b.example>: user unknown") == [("postmaster@b.example", Action.FAILED)]


def test_a_mail_without_any_text_is_no_bounce() -> None:
    assert read(mail(part(b"x", "application/pdf"), DAEMON, FAILURE)) is None
    assert read(b"") is None


@pytest.mark.parametrize(
    ("sender", "subject", "may"),
    [
        ("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.example", "", True),
        ("postmaster@contoso.example", "Hello", True),
        ("", "Hello", True),
        ("anna@customer.example", "Unzustellbar: Angebot", True),
        ("anna@customer.example", "Angebot", False),
        ("daemonic@customer.example", "", False),
    ],
)
def test_what_may_be_a_report_is_seen_in_a_list(sender: str, subject: str, may: bool) -> None:
    assert may_be_a_report(sender, subject) is may
