"""mime.incoming: the head of a received mail as a value, and nothing of it trusted."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.inbound import Automatic, Head
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import WITHOUT_ID, digest, head, message_ids, read_head_of, thread_of
from mailroom_core.mime.index import MAX_HEAD, index
from mailroom_core.mime.source import InMemory
from tests.unit.mime.builder import multipart, part


def read(*fields: str, authserv_id: str = "") -> Head:
    return head(Fields("\r\n".join([*fields, "", "body"]).encode()), authserv_id=authserv_id)


def test_addresses_and_ids_of_a_head() -> None:
    found = read(
        "Return-Path: <bob@shop.example>",
        "Delivered-To: sales@example.com",
        "X-Original-To: Sales@Example.com",
        "Envelope-To: sales+eu@example.com",
        "Received: from a (a [192.0.2.1]) by b with ESMTP id 1",
        " for <hidden@example.com>; Fri, 20 Nov 2026 12:00:00 +0000",
        "Received: by c",
        "From: =?utf-8?q?B=C3=B6b?= <bob@shop.example>, second@shop.example",
        "Reply-To: desk@shop.example",
        "To: Sales <sales@example.com>, info@example.com",
        "Cc: boss@shop.example",
        "Resent-To: one@example.com",
        "Resent-Cc: two@example.com",
        "Message-ID: <1@shop.example>",
        "In-Reply-To: <a@example.com>",
        "References: <a@example.com> <b@exa",
        " mple.com> <c@example.com>",
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        "Date: Fri, 20 Nov 2026 12:00:00 +0000",
        "X-Mailroom-Loop: house ",
        'Content-Type: multipart/report; report-type="Delivery-Status"',
    )
    assert found.return_path == "bob@shop.example"
    assert found.delivered_to == ("sales@example.com", "sales+eu@example.com")
    assert found.received_for == ("hidden@example.com",)
    assert found.from_ == (("Böb", "bob@shop.example"), ("", "second@shop.example"))
    assert found.sender == "bob@shop.example"
    assert found.reply_to == (("", "desk@shop.example"),)
    assert [address for _, address in found.to] == ["sales@example.com", "info@example.com"]
    assert [address for _, address in found.cc] == ["boss@shop.example"]
    assert [address for _, address in found.resent] == ["one@example.com", "two@example.com"]
    assert found.message_id == "<1@shop.example>"
    assert found.references == ("<a@example.com>", "<b@example.com>", "<c@example.com>")
    assert found.ids == ("<a@example.com>", "<c@example.com>", "<b@example.com>")
    assert (found.subject, found.date) == ("Grüße", "Fri, 20 Nov 2026 12:00:00 +0000")
    assert (found.hops, found.loop_marks) == (2, ("house",))
    assert (found.content_type, found.report_type) == ("multipart/report", "delivery-status")


def test_a_mail_that_says_nothing_is_a_value_too() -> None:
    assert head(Fields(b"")) == Head(answerable="it has no sender")
    assert Head().sender == ""


def test_a_null_return_path_is_told_from_none() -> None:
    assert read("Return-Path: <>").return_path == ""
    assert read("From: a@b.example").return_path is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<a@b>", ("<a@b>",)),
        ("<a @ b> <a@b>", ("<a@b>",)),
        ("a@b", ("<a@b>",)),
        ("your mail of Friday", ()),
        ("Mary's message <a@b> of Friday", ("<a@b>",)),
        ("< >", ()),
        ("", ()),
    ],
)
def test_ids_are_found_however_they_are_written(value: str, expected: tuple[str, ...]) -> None:
    assert message_ids(value) == expected


def test_only_the_newest_references_count() -> None:
    found = read("References: " + " ".join(f"<{number}@b>" for number in range(100)))
    assert len(found.references) == 32
    assert found.references[-1] == "<99@b>"


def test_all_mails_of_an_exchange_thread_have_one_thread_index() -> None:
    first = base64.b64encode(bytes(range(22))).decode()
    answer = base64.b64encode(bytes(range(27))).decode()
    assert thread_of(first) == thread_of(answer) == first
    assert read(f"Thread-Index: {answer}").thread_index == first
    assert thread_of("short") == thread_of("AAAA") == thread_of("") == ""


@pytest.mark.parametrize(
    ("fields", "kind", "why"),
    [
        (("Auto-Submitted: auto-replied",), Automatic.REPLY, "Auto-Submitted: auto-replied"),
        (("Auto-Submitted: auto-replied; owner-email=a@b",), Automatic.REPLY, "Auto-Submitted"),
        (("X-Autoreply: yes",), Automatic.REPLY, "X-Autoreply"),
        (("X-Autoreply: no",), Automatic.NO, ""),
        (("Precedence: auto_reply",), Automatic.REPLY, "auto_reply"),
        (("In-Reply-To: <1@a>", "Subject: Automatische Antwort: Rechnung"), Automatic.REPLY, "Automatische"),
        (("Subject: Out of office for ever?",), Automatic.NO, ""),
        (("References: <1@a>", "Auto-Submitted: auto-generated", "X-Auto-Response-Suppress: All"), Automatic.REPLY, "Exchange"),
        (("References: <1@a>", "Auto-Submitted: auto-generated"), Automatic.GENERATED, "auto-generated"),
        (("List-Id: <l.example>",), Automatic.LIST, "List-Id"),
        (("Precedence: bulk",), Automatic.LIST, "bulk"),
        (("List-Unsubscribe: <https://a.example>",), Automatic.NO, ""),
        (("Auto-Submitted: auto-generated",), Automatic.GENERATED, "auto-generated"),
        (("Auto-Submitted: no",), Automatic.NO, ""),
    ],
)
def test_automatic_answers_lists_and_programs_are_recognised(fields: tuple[str, ...], kind: Automatic, why: str) -> None:
    found = read(*fields)
    assert found.automatic is kind
    assert why in found.automatic_why


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("Return-Path: <>", "null"),
        ("Auto-Submitted: auto-generated", "a program"),
        ("X-Auto-Response-Suppress: DR, AutoReply", "X-Auto-Response-Suppress"),
        ("List-Unsubscribe: <https://a.example>", "List-Unsubscribe"),
        ("Content-Type: multipart/report", "report"),
        ("From: no-reply@a.example", "nobody reads"),
        ("X-Mailroom-Loop: somebody", "mark"),
        ("X-Auto-Response-Suppress: DR", ""),
        ("Subject: hello", ""),
    ],
)
def test_nobody_is_answered_who_must_not_be(field: str, why: str) -> None:
    fields = [field] if field.startswith("From") else [field, "From: bob@shop.example"]
    assert why in read(*fields).answerable
    assert bool(why) == bool(read(*fields).answerable)


# Authentication-Results

FORGED = "Authentication-Results: mx.example.com; dmarc=pass header.from=bank.example"


def proves(*fields: str, address: str = "bob@shop.example", server: str = "mx.example.com") -> bool:
    found = read(*fields, authserv_id=server).authentication
    return found is not None and found.proves(address)


@pytest.mark.parametrize(
    ("result", "proven"),
    [
        ("dmarc=pass (p=REJECT sp=(x) dis=NONE) header.from=shop.example", True),
        ("dmarc=pass header.from=other.example", False),
        ("dmarc=fail header.from=shop.example; dkim=pass header.d=shop.example", False),
        ("dkim=pass header.d=shop.example header.s=a", True),
        ("dkim=pass header.i=@mail.shop.example", True),
        ('dkim=pass header.d="SHOP.example"', True),
        ("dkim=pass header.d=example", False),
        ("dkim=pass header.d=other.example", False),
        ("dkim=pass", False),
        ("dkim=fail header.d=shop.example", False),
        ("spf=pass smtp.mailfrom=bounce@shop.example", True),
        ("spf=pass smtp.mailfrom=shop.example", True),
        ("spf=softfail smtp.mailfrom=shop.example", False),
        ("arc=pass header.d=shop.example", False),
        ('dkim=pass reason="a ; b" header.d=shop.example', True),
        ('spf=pass (google.com: domain of prvs=1=a@shop.example (really)) smtp.mailfrom="prvs=1=a@shop.example"', True),
        ("none", False),
        ("garbage", False),
        ("", False),
    ],
)
def test_a_sender_is_proven_by_dmarc_or_by_an_aligned_method(result: str, proven: bool) -> None:
    assert proves(f"Authentication-Results: mx.example.com 1; {result}") is proven


def test_only_the_topmost_results_of_our_server_count() -> None:
    ours = "Authentication-Results: MX.example.com; dmarc=fail header.from=bank.example"
    assert not proves(ours, FORGED, address="boss@bank.example")
    assert not proves("Authentication-Results: elsewhere.example; dmarc=pass", address="boss@bank.example")
    assert not proves("Subject: nothing")
    assert read(FORGED).authentication is None, "without an authserv-id nothing is believed"


def test_exchange_online_names_itself_in_none_of_its_results() -> None:
    results = "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=shop.example; dmarc=pass action=none header.from=shop.example"
    field = f"Authentication-Results: {results}"
    assert proves(field, server=WITHOUT_ID)
    assert not proves(field)


@pytest.mark.parametrize(
    "results",
    [
        "spf=pass smtp.mailfrom==?utf-8?q?x=3B=20dmarc=3Dpass=20header.from=3Dshop.example=20?=@evil.example",
        'spf=pass smtp.mailfrom="x; dmarc=pass header.from=shop.example y"@evil.example',
        'spf=pass smtp.mailfrom="\\"; dmarc=pass header.from=shop.example y"@evil.example',
        'spf=pass smtp.mailfrom="x@shop.example"@evil.example',
        'dkim=pass reason="for header.d=shop.example" header.d=evil.example',
        'spf=pass (domain of "x) ; dmarc=pass header.from=shop.example (y"@evil.example) smtp.mailfrom=evil.example',
        "spf=pass (helo=x) ; dmarc=pass header.from=shop.example) smtp.mailfrom=evil.example",
        "spf=pass (helo=x) ; dmarc=pass header.from=shop.example (y) smtp.mailfrom=evil.example; dmarc=fail header.from=shop.example",
        "dmarc=pass header.from=shop.example; spf=none (helo=(",
        'dmarc=pass header.from=shop.example; spf=none smtp.helo="',
        "dmarc=pass header.from=shop.example; spf=none smtp.helo=" + "x" * 9000,
    ],
)
def test_what_a_stranger_wrote_into_the_results_proves_nobody(results: str) -> None:
    assert not proves(f"Authentication-Results: mx.example.com; {results}")
    assert not proves(f"Authentication-Results: {results}", server=WITHOUT_ID)


def test_broken_results_of_our_server_hide_those_that_a_stranger_has_put_below() -> None:
    broken = 'Authentication-Results: mx.example.com (our "own"); spf=none'
    assert not proves(broken, "Authentication-Results: mx.example.com; dmarc=pass header.from=shop.example")


# Content


def test_the_digest_is_that_of_the_content_and_not_of_its_wrapping() -> None:
    def of(raw: bytes) -> str:
        source = InMemory(raw)
        return digest(source, index(source))

    plain = multipart(part(b"hello"), part(b"aGVsbG8=", "application/pdf", "base64"), boundary="one")
    other = b"Received: by us\r\n" + multipart(part(b"aGVsbG8=", "text/plain", "base64"), part(b"hello", "application/pdf"), boundary="two")
    assert of(plain) == of(other)
    assert of(plain) != of(plain.replace(b"hello", b"hullo"))


def test_a_head_is_read_without_the_body() -> None:
    assert read_head_of(InMemory(b"Subject: a\r\n\r\nbody")).subject == "a"
    with pytest.raises(MimeError, match="larger"):
        read_head_of(InMemory(b"Subject: " + b"a" * (MAX_HEAD + 10) + b"\r\n\r\n"))


@given(st.binary(max_size=300), st.sampled_from(["", "mx.example.com", WITHOUT_ID]))
def test_any_bytes_give_a_head(raw: bytes, server: str) -> None:
    found = head(Fields(raw), authserv_id=server)
    assert isinstance(found.ids, tuple)
