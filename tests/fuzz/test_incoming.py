"""Received mail: any bytes give values or MimeError, never another error."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import WITHOUT_ID, digest, head
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory
from mailroom_core.mime.texts import attached, texts
from mailroom_core.policy.aliases import Alias, Domain, Tables, Target
from mailroom_core.policy.bounces import judge
from mailroom_core.policy.decision import Arrival, Facts
from mailroom_core.policy.routing import questions, route

_CRUMBS = [
    b"From: ", b"To: ", b"Subject: ", b"References: ", b"In-Reply-To: ", b"Delivered-To: ", b"Received: by x for <a@b.example>; ",
    b"Authentication-Results: ", b"dmarc=pass header.from=b.example", b"(((", b")", b";", b"=?utf-8?b?", b"?=", b"<a@b.example>", b"<",
    b">", b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n", b"Content-Type: message/rfc822\r\n",
    b"Content-Type: message/delivery-status\r\n", b"Content-Type: text/html; charset=utf-7\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b"\xff\xfe",
    b"+AGE-", b"Final-Recipient: rfc822; a@b.example\r\n", b"Action: failed\r\n", b"Status: 5.1.1\r\n",
    b"Diagnostic-Code: smtp; 550 no\r\n", b"Feedback-Type: abuse\r\n", b"X-Failed-Recipients: a@b.example\r\n", b"<html><style>",
    b"<blockquote>", b"&#99999999999;", b"> quoted", b"On 1 Jan a@b.example wrote:\r\n", b"-- \r\n",
    b"550 5.1.1 <a@b.example> unknown user\r\n", b"Auto-Submitted: auto-replied\r\n",
]  # fmt: skip

MAILS = st.lists(st.sampled_from(_CRUMBS) | st.binary(max_size=8), max_size=60).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(MAILS, st.sampled_from(["", "mx", WITHOUT_ID]))
def test_any_bytes_are_read_or_refused(raw: bytes, server: str) -> None:
    head(Fields(raw), authserv_id=server)
    source = InMemory(raw)
    with suppress(MimeError):
        root = index(source)
        digest(source, root)
        found = texts(source, root)
        for value in (found.text, found.html, found.reply, *(each.name for each in found.attachments)):
            value.encode("utf-8")
        for each in found.attachments:
            attached(root, each)


_TABLES = Tables([Alias(name="a", domain="b.example", target=Target("inbox"), local_part=True)], [Domain(name="b.example")])


@settings(max_examples=300, deadline=None)
@given(MAILS)
def test_any_bytes_are_reported_judged_and_routed(raw: bytes) -> None:
    mail = head(Fields(raw))
    source = InMemory(raw)
    with suppress(MimeError):
        report = read_report(source, index(source), mail)
        for each in report.recipients if report else ():
            judge(each)
        questions(mail, Arrival(), _TABLES)
        assert route(mail, Arrival(), _TABLES, Facts(), report=report).lines()
