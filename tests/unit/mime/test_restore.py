"""mime.restore: an answer names our mails by the ids that their author knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.index import MAX_HEAD
from mailroom_core.mime.restore import restored
from mailroom_core.mime.source import InMemory, Streamed

IDS = {"<new@prod.outlook.com>": "<ours@example.com>"}


def read(streamed: Streamed) -> bytes:
    raw = b"".join(streamed.chunks())
    assert len(raw) == streamed.length
    return raw


def test_the_providers_ids_become_ours_and_nothing_else_changes() -> None:
    raw = (
        b"Subject: Re: Offer\r\nIn-Reply-To: <new@prod.outlook.com>\r\nReferences: <x@shop.example>\r\n <new@prod.outlook.com>\r\n"
        b"X-Odd:   kept \r\n\r\nbody <new@prod.outlook.com>"
    )
    assert read(restored(InMemory(raw), IDS)) == (
        b"Subject: Re: Offer\r\nIn-Reply-To: <ours@example.com>\r\nReferences: <x@shop.example> <ours@example.com>\r\n"
        b"X-Odd:   kept \r\n\r\nbody <new@prod.outlook.com>"
    )


def test_what_names_no_mail_of_ours_stays_byte_for_byte() -> None:
    raw = b"References:  <a@b>\r\n\t<c@d>\r\nIn-Reply-To: your mail\r\n\r\nbody"
    assert read(restored(InMemory(raw), IDS)) == raw
    assert read(restored(InMemory(raw), {}, answers="<c@d>")) == raw


def test_two_names_of_one_mail_become_one() -> None:
    raw = b"References: <ours@example.com> <new@prod.outlook.com>\r\n\r\n"
    assert read(restored(InMemory(raw), IDS)) == b"References: <ours@example.com>\r\n\r\n"


def test_an_answer_found_by_its_conversation_gets_the_id_that_it_lacks() -> None:
    assert read(restored(InMemory(b"Subject: a\r\n\r\nbody"), {}, answers="<ours@example.com>")) == (
        b"Subject: a\r\nIn-Reply-To: <ours@example.com>\r\nReferences: <ours@example.com>\r\n\r\nbody"
    )


def test_a_mail_that_its_author_names_is_named_still_where_the_conversation_says_another_one() -> None:
    raw = b"In-Reply-To: <unknown@x>\r\nReferences: <unknown@x>\r\n\r\n"
    assert read(restored(InMemory(raw), {}, answers="<ours@example.com>")) == (
        b"In-Reply-To: <unknown@x>\r\nReferences: <unknown@x> <ours@example.com>\r\n\r\n"
    )
    assert read(restored(InMemory(b"References: <unknown@x>\r\n\r\n"), {}, answers="<ours@example.com>")) == (
        b"References: <unknown@x> <ours@example.com>\r\n\r\n"
    )


def test_delivered_to_says_the_envelope_and_nothing_that_somebody_has_forged() -> None:
    raw = b"Delivered-To: bounce@example.com\r\nTo: a@b.example\r\nDelivered-To: x@y.example\r\n\r\n"
    assert read(restored(InMemory(raw), {}, delivered_to=["sales@example.com", "info@example.com"])) == (
        b"Delivered-To: sales@example.com\r\nDelivered-To: info@example.com\r\nTo: a@b.example\r\n\r\n"
    )
    assert read(restored(InMemory(raw), {}, delivered_to=[])) == b"To: a@b.example\r\n\r\n"
    assert read(restored(InMemory(b"\r\nbody"), {}, delivered_to=["a@b.example"])) == b"Delivered-To: a@b.example\r\n\r\nbody"
    with pytest.raises(MimeError, match="header"):
        read(restored(InMemory(raw), {}, delivered_to=["a@b\r\nX: y"]))


def test_a_head_larger_than_anybodys_is_refused() -> None:
    with pytest.raises(MimeError, match="larger"):
        restored(InMemory(b"Subject: " + b"a" * (MAX_HEAD + 10)), {})


@given(st.lists(st.sampled_from([b"In-Reply-To: ", b"References: ", b"<a@b>", b"<c@d> ", b"\r\n", b" ", b"\xff", b"x"])).map(b"".join))
def test_any_head_is_restored_with_its_body_untouched(head: bytes) -> None:
    raw = head + b"\r\n\r\nbody"
    made = read(restored(InMemory(raw), {"<a@b>": "<ours@x>"}, answers="<c@d>"))
    assert made.endswith(b"body")
    fields = Fields(made)
    assert "<c@d>" in (fields.unfolded("References") or "") + (fields.unfolded("In-Reply-To") or "")
