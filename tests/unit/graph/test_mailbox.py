"""Addresses and requests of a mailbox, and the marker in a draft."""

from __future__ import annotations

import base64
import email
import json
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.flow import Streamed
from mailroom_core.providers.graph.mailbox import Mailbox, quoted
from mailroom_core.providers.graph.marker import HEADER, PROPERTY, mark_json, mark_mime, marker_of
from tests.unit.scripted import body_of

ME = Mailbox.of("https://graph.test/")


def test_who_signed_in_is_me_and_others_go_by_their_address() -> None:
    assert Mailbox("https://graph.test/v1.0", "/me") == ME
    assert Mailbox.of("http://127.0.0.1:8025", "sales@lab.example").url("sendMail") == (
        "http://127.0.0.1:8025/v1.0/users/sales%40lab.example/sendMail"
    )


def test_a_guest_with_a_hash_in_the_name_keeps_it() -> None:
    assert Mailbox.of("https://g", "a_b.example#EXT#@lab.example").path == "/users/a_b.example%23EXT%23%40lab.example"


def test_ids_and_filters_are_percent_encoded() -> None:
    assert ME.url("messages", "AAk/+=", "send") == "https://graph.test/v1.0/me/messages/AAk%2F%2B%3D/send"
    url = ME.url("messages", query={"$filter": "internetMessageId eq '<a+b@x>'", "$top": "1"})
    assert url.endswith("/me/messages?$filter=internetMessageId%20eq%20%27%3Ca%2Bb%40x%3E%27&$top=1")


def test_quotes_inside_of_a_filter_are_doubled() -> None:
    assert quoted("<o'neil@x>") == "'<o''neil@x>'"


def test_every_request_wants_immutable_ids() -> None:
    for request in (ME.get("messages", query={}), ME.post("sendMail"), ME.delete("messages", "1"), ME.post_json("messages", fields={})):
        assert request.headers["prefer"] == 'IdType="ImmutableId"'
        assert request.auth


def test_a_post_without_a_body_says_its_length() -> None:
    assert ME.post("messages", "1", "send").headers["content-length"] == "0"
    with_body = ME.post("sendMail", body=b"QQ==", content_type="text/plain").headers
    assert ("content-length" in with_body, with_body["content-type"]) == (False, "text/plain")


def test_json_is_plain_ascii() -> None:
    assert body_of(ME.post_json("messages", fields={"subject": "Grüße"})) == b'{"subject": "Gr\\u00fc\\u00dfe"}'


@given(st.text("0123456789abcdef-", min_size=1), st.binary())
def test_a_marked_mime_is_the_same_mail_with_one_more_header(marker: str, mail: bytes) -> None:
    encoded = base64.b64encode(mail)
    marked = mark_mime(encoded, marker)
    assert isinstance(marked, bytes)
    decoded = base64.b64decode(marked, validate=True)
    assert decoded.endswith(b"\r\n" + mail)
    head = email.message_from_bytes(decoded[: len(decoded) - len(mail)] + b"\r\n", policy=policy.default)
    assert head.items() == [(HEADER, marker)]


def test_a_streamed_mime_is_marked_without_being_read_and_can_be_sent_twice() -> None:
    parts = [base64.b64encode(b"Subject: x\r\n"), base64.b64encode(b"\r\nbody\r\n")]
    marked = mark_mime(Streamed(sum(map(len, parts)), lambda: iter(parts)), "m1")
    for _ in range(2):
        raw = base64.b64decode(body_of(ME.post("messages", body=marked)))
        assert raw == b"x-mailroom-attempt: m1\r\nSubject: x\r\n\r\nbody\r\n"


def test_a_marked_json_draft_keeps_its_other_properties() -> None:
    reply_to = {"id": "String 0x1042", "value": "<a@x>"}
    draft = {"subject": "x", "singleValueExtendedProperties": [reply_to]}
    marked = mark_json(draft, "m1")
    assert marked == {"subject": "x", "singleValueExtendedProperties": [reply_to, {"id": PROPERTY, "value": "m1"}]}
    assert draft["singleValueExtendedProperties"] == [reply_to]
    assert mark_json({}, "m1") == {"singleValueExtendedProperties": [{"id": PROPERTY, "value": "m1"}]}


@pytest.mark.parametrize(
    ("properties", "marker"),
    [
        ([{"id": PROPERTY, "value": "m1"}], "m1"),
        ([{"id": "String 0x1042", "value": "no"}, {"id": PROPERTY.upper(), "value": " m1 "}], "m1"),
        ([{"id": "String 0x1042", "value": "no"}], ""),
        (["text", {"value": "m1"}], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_marker_of_a_message_is_read(properties: object, marker: str) -> None:
    assert marker_of({"singleValueExtendedProperties": properties}) == marker


def test_marker_header_and_property_have_one_name() -> None:
    assert json.dumps(PROPERTY).endswith(f' Name {HEADER}"')
    assert HEADER.lower() == HEADER
