"""mime.rewrite: the envelope's recipients and nobody else, nothing but ASCII, and every other byte as it was."""

from __future__ import annotations

import base64
import email
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import Fields, address_key
from mailroom_core.mime.index import decoded_pieces, index
from mailroom_core.mime.rewrite import for_envelope, for_smtp, hides_somebody, to_7bit
from mailroom_core.mime.source import InMemory, Streamed
from mailroom_core.model import Envelope
from tests.unit.mime.builder import entities, mail, multipart, part

BOB = Envelope("mary@example.com", ("bob@example.org",))


def read(streamed: Streamed) -> bytes:
    raw = b"".join(streamed.chunks())
    assert len(raw) == streamed.length
    assert raw == b"".join(streamed.chunks())
    return raw


def for_bob(raw: bytes, rewrite_from: str = "") -> bytes:
    return read(for_envelope(InMemory(raw), BOB, rewrite_from=rewrite_from))


def contents(raw: bytes) -> list[bytes]:
    source = InMemory(raw)
    return [b"".join(decoded_pieces(source, leaf)) for leaf in index(source).walk() if leaf.content]


# Recipients


def to_graph(head: str, *recipients: str) -> Fields:
    raw = read(for_envelope(InMemory(head.encode() + b"\r\nbody"), Envelope("mary@example.com", recipients)))
    return Fields(raw)


def shown(fields: Fields) -> dict[str, list[tuple[str, str]]]:
    return {name: fields.addresses(name) for name in ("To", "Cc", "Bcc") if name in fields}


def test_headers_that_equal_the_envelope_stay() -> None:
    fields = to_graph("To: Bob <bob@example.org>\r\nCc: =?utf-8?b?SsO2cmc=?= <j@example.org>\r\n", "j@example.org", "bob@example.org")
    assert shown(fields) == {"To": [("Bob", "bob@example.org")], "Cc": [("Jörg", "j@example.org")]}


def test_who_is_in_no_rcpt_to_goes_out_of_the_headers() -> None:
    fields = to_graph("To: bob@example.org, eve@example.org\r\nCc: eve@example.org\r\nBcc: mallory@example.org\r\n", "bob@example.org")
    assert shown(fields) == {"To": [("", "bob@example.org")]}


def test_who_is_in_no_header_becomes_bcc() -> None:
    fields = to_graph("To: bob@example.org\r\nBcc: Ann <ann@example.org>\r\n", "bob@example.org", "ann@example.org", "zoe@example.org")
    assert shown(fields) == {"To": [("", "bob@example.org")], "Bcc": [("Ann", "ann@example.org"), ("", "zoe@example.org")]}


def test_an_empty_group_goes() -> None:
    assert shown(to_graph("To: undisclosed-recipients:;\r\n", "bob@example.org")) == {"Bcc": [("", "bob@example.org")]}


def test_addresses_are_compared_by_meaning_and_appear_once() -> None:
    fields = to_graph("To: Bob <Bob@Example.ORG>\r\nTO: bob@example.org\r\nCc: BOB@example.org\r\n", "bob@example.org", "bob@EXAMPLE.org")
    assert shown(fields) == {"To": [("Bob", "Bob@Example.ORG")]}


def test_a_name_that_looks_like_an_address_adds_nobody() -> None:
    fields = to_graph("To: =?utf-8?q?eve=40example=2Eorg=2C?= <bob@example.org>\r\n", "bob@example.org")
    assert shown(fields) == {"To": [("eve@example.org,", "bob@example.org")]}
    assert fields.unfolded("To") == '"eve@example.org," <bob@example.org>'


def test_a_recipient_that_no_header_can_hold_is_refused() -> None:
    with pytest.raises(MimeError, match="can't be written"):
        to_graph("To: bob@example.org\r\n", "bob@example.org\r\nX: y")


ADDRESSES = [
    "bob@example.org",
    "Bob@Example.org",
    "ann@example.org",
    "eve@example.org",
    '"a, b"@example.org',
    "müller@example.org",
    "Zoe@b.c",
]
TEXTS = [
    *ADDRESSES,
    "Bob <bob@example.org>",
    '"x, y" <eve@example.org>',
    "Team:",
    ";",
    ",",
    "(",
    ")",
    '"',
    "<",
    ">",
    "=?utf-8?q?eve=40b=2Ec?=",
    "\r\n ",
]


@given(
    st.lists(st.tuples(st.sampled_from(["To", "Cc", "Bcc", "to", "CC"]), st.lists(st.sampled_from(TEXTS), max_size=6)), max_size=5),
    st.lists(st.sampled_from(ADDRESSES), max_size=5),
)
def test_no_recipient_is_added_and_none_is_lost(headers: list[tuple[str, list[str]]], recipients: list[str]) -> None:
    head = "".join(f"{name}: {' '.join(texts).strip() or 'x'}\r\n" for name, texts in headers).encode()
    raw = read(for_envelope(InMemory(head + b"\r\nbody"), Envelope(None, tuple(recipients))))
    message = email.message_from_bytes(raw)
    assert message.defects == []
    theirs = [_text(value) for name, value in message.raw_items() if name in ("To", "Cc", "Bcc")]
    found = Counter(address_key(address) for _, address in getaddresses(theirs))
    assert found == Counter({address_key(address) for address in recipients})


def _text(value: str) -> str:
    return value.encode("ascii", "surrogateescape").decode("utf-8")


# From


def test_a_new_from_makes_the_old_one_reply_to() -> None:
    raw = b"From: Mary <mary@example.com>\r\nSender: boss@example.com\r\nSubject: x\r\n\r\nbody"
    fields = Fields(for_bob(raw, rewrite_from='"Mary" <notifications@example.net>'))
    assert fields.unfolded("From") == '"Mary" <notifications@example.net>'
    assert fields.unfolded("Reply-To") == '"Mary" <mary@example.com>'
    assert "Sender" not in fields


def test_a_reply_to_that_is_there_stays() -> None:
    raw = b"From: mary@example.com\r\nReply-To: Team <team@example.com>\r\n\r\nbody"
    assert Fields(for_bob(raw, rewrite_from="n@example.net")).raw("Reply-To") == b" Team <team@example.com>"


def test_an_empty_reply_to_is_none() -> None:
    raw = b"From: mary@example.com\r\nReply-To: \r\n\r\nbody"
    assert Fields(for_bob(raw, rewrite_from="n@example.net")).all("Reply-To") == ["mary@example.com"]


@pytest.mark.parametrize("raw", [b"Subject: x\r\n\r\nbody", b"From: <a b@example.com>\r\n\r\nbody"])
def test_without_a_usable_old_from_there_is_no_reply_to(raw: bytes) -> None:
    fields = Fields(for_bob(raw, rewrite_from="n@example.net"))
    assert fields.all("From") == ["n@example.net"]
    assert "Reply-To" not in fields


@pytest.mark.parametrize("rewrite_from", ["Mary", "a@b.c, d@e.f"])
def test_a_new_from_is_one_address(rewrite_from: str) -> None:
    with pytest.raises(MimeError, match="must be one address"):
        for_smtp(InMemory(b"\r\n"), rewrite_from)


def test_only_the_from_changes() -> None:
    raw = b"X-A: \xfc\r\nFrom: mary@example.com\r\nX-B: b\r\n c\r\n\r\nbody \xfc"
    assert read(for_smtp(InMemory(raw), '"Mary" <n@example.net>')) == (
        b'X-A: \xfc\r\nFrom: "Mary" <n@example.net>\r\nX-B: b\r\n c\r\nReply-To: mary@example.com\r\n\r\nbody \xfc'
    )


HIDING = (
    b"To: a@example.org\r\nbCC: eve@example.org,\r\n mallory@example.org\r\nX: 1\nresent-bcc : trent@example.org\r\nBcc:\r\n"
    b"X: \xfc\r\n\r\nBcc: body@example.org\r\n"
)
SHOWING = b"To: a@example.org\r\nX: 1\nX: \xfc\r\n\r\nBcc: body@example.org\r\n"


def test_no_smtp_server_learns_of_a_bcc_and_everything_else_stays() -> None:
    assert read(for_smtp(InMemory(HIDING))) == SHOWING
    assert read(for_smtp(InMemory(SHOWING))) == SHOWING
    assert b"eve" not in read(for_smtp(InMemory(HIDING), "n@example.net"))
    assert hides_somebody(InMemory(HIDING))
    assert not hides_somebody(InMemory(SHOWING))


def test_a_bcc_goes_out_of_a_mail_that_is_made_7_bit_too() -> None:
    assert read(to_7bit(InMemory(HIDING))) == SHOWING
    assert read(to_7bit(InMemory(b"X: 1\n\nbody"))) == b"X: 1\n\nbody"


def test_graph_learns_of_nobody_by_a_resent_bcc() -> None:
    assert "Resent-Bcc" not in to_graph("To: bob@example.org\r\nResent-Bcc: eve@example.org\r\n", "bob@example.org")


def test_a_head_without_end_is_refused() -> None:
    with pytest.raises(MimeError, match="larger than"):
        for_smtp(InMemory(b"X: y\r\n" * 200_000 + b"\r\n"), "n@example.net")


# Bodies for Exchange


def test_quoted_printable_becomes_base64() -> None:
    raw = part(b"Gr=C3=BC=C3=9Fe=\r\n!\r\n", 'text/plain; charset="utf-8"', "quoted-printable", "Subject: x", "MIME-Version: 1.0")
    assert for_bob(raw) == (
        b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\nSubject: x\r\nMIME-Version: 1.0\r\n'
        b"Bcc: bob@example.org\r\n\r\n" + base64.b64encode("Grüße!\r\n".encode()) + b"\r\n"
    )


def test_a_bare_mail_with_8_bit_text_says_what_it_is() -> None:
    assert for_bob(b"To: bob@example.org\r\n\r\nGr\xfc\xdfe\r\n") == (
        b'To: bob@example.org\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/plain;\r\n charset="windows-1252"\r\n'
        b"MIME-Version: 1.0\r\n\r\n" + base64.b64encode(b"Gr\xfc\xdfe\r\n") + b"\r\n"
    )


@pytest.mark.parametrize(
    ("declared", "body", "written"),
    [
        ("text/plain; charset=utf-8", "ü".encode(), "text/plain; charset=utf-8"),
        ("text/plain; charset=iso-8859-15", b"\xfc", "text/plain; charset=iso-8859-15"),
        ("text/plain; charset=utf-8; format=flowed", b"\xfc", 'text/plain; charset="windows-1252"; format=flowed'),
        ("text/html; charset=nonsense", "ü".encode(), 'text/html; charset="utf-8"'),
        ('text/plain; CHARSET = "us-ascii"', "ü".encode(), 'text/plain; CHARSET = "utf-8"'),
        ('text/plain; name="; charset=x"', "ü".encode(), 'text/plain; name="; charset=x"; charset="utf-8"'),
        ("text/plain; charset=", "ü".encode(), 'text/plain; charset="utf-8"'),
        ("text/plain;", "ü".encode(), 'text/plain; charset="utf-8"'),
        ("text", "ü".encode(), 'text/plain; charset="utf-8"'),
        ("text/plain; charset=nonsense", b"ascii", "text/plain; charset=nonsense"),
        ("application/pdf", b"\xfc", "application/pdf"),
    ],
)
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_text_gets_a_charset_that_is_true(declared: str, body: bytes, written: str, encoding: str) -> None:
    encoded = {"8bit": body, "base64": base64.b64encode(body), "quoted-printable": "".join(f"={byte:02X}" for byte in body).encode()}
    raw = for_bob(part(encoded[encoding], declared, encoding))
    assert Fields(raw).unfolded("Content-Type") == written
    assert Fields(raw).get("Content-Transfer-Encoding") == "base64"
    assert contents(raw) == [body]


def test_parts_that_need_nothing_stay_byte_for_byte() -> None:
    odd = part(b"SGVs\r\nbG8=\r\n", "application/pdf;  name=a.pdf", "BASE64", "X-Odd:   yes")
    plain = part(b"plain\r\n", "TEXT/plain")
    raw = mail(multipart(plain, odd), "To: bob@example.org")
    assert for_bob(raw) == raw


def test_lone_line_feeds_become_line_ends_where_they_are_lines() -> None:
    raw = b"To: bob@example.org\n\none\ntwo\r\n\n"
    assert for_bob(raw) == b"To: bob@example.org\r\n\r\none\r\ntwo\r\n\r\n"
    text = multipart(part(b"=C3=BC\na\r=\n", "text/plain; charset=utf-8", "quoted-printable"), part(b"\xff\n", "image/png", "binary"))
    assert contents(for_bob(text)) == ["ü\r\na\r".encode(), b"\xff\n"]
    wide = "a\n".encode("utf-16-be")
    escaped = "".join(f"={byte:02X}" for byte in wide).encode()
    assert contents(for_bob(part(escaped, "text/plain; charset=utf-16be", "quoted-printable"))) == [wide]


def test_8_bit_headers_become_encoded_words() -> None:
    raw = for_bob("Subject: Grüße\r\nReply-To: Jörg <j@example.com>\r\nX-Bad: \0ü\r\nFrom: nobody ü\r\n\r\n".encode())
    fields = Fields(raw)
    assert raw.isascii()
    assert fields.get("Subject") == "Grüße"
    assert fields.addresses("Reply-To") == [("Jörg", "j@example.com")]
    assert fields.get("X-Bad") == " ü".strip()
    assert "From" not in fields


def test_a_header_that_cannot_be_encoded_stays() -> None:
    raw = for_bob("Reply-To: <jörg @x@example.com>\r\n\r\n".encode())
    assert Fields(raw).raw("Reply-To") == " <jörg @x@example.com>".encode()


def test_further_fields_are_added_and_can_not_add_more() -> None:
    source = InMemory(b"To: bob@example.org\r\n\r\nbody")
    raw = read(for_envelope(source, BOB, add=[("X-Mailroom", "ü 1")]))
    assert raw == b"To: bob@example.org\r\nX-Mailroom: =?utf-8?b?w7wgMQ==?=\r\n\r\nbody"
    for name, value in (("X-A", "a\r\nBcc: eve@example.org"), ("X A", "b"), ("", "b")):
        with pytest.raises(MimeError):
            for_envelope(source, BOB, add=[(name, value)])


SIGNED = multipart(
    part("8-bit \n Grüße =\r\n".encode(), "text/plain", "quoted-printable"),
    part(b"c2ln\r\n", "application/pkcs7-signature", "base64"),
    subtype='signed; protocol="application/pkcs7-signature"',
    boundary="s1",
)


def test_of_a_signed_mail_only_the_outer_fields_change() -> None:
    body = SIGNED.partition(b"\r\n\r\n")[2]
    raw = for_bob(mail(SIGNED, "To: eve@example.org", "Subject: x"))
    assert raw.partition(b"\r\n\r\n")[2] == body
    assert shown(Fields(raw)) == {"Bcc": [("", "bob@example.org")]}
    assert Fields(raw).raw("Content-Type") == Fields(SIGNED).raw("Content-Type")


@pytest.mark.parametrize("wrap", [SIGNED, part(SIGNED, "message/rfc822"), part(multipart(SIGNED, boundary="m1"), "message/rfc822")])
def test_signed_parts_stay_inside_of_other_mail(wrap: bytes) -> None:
    raw = for_bob(multipart(part("ü".encode(), "text/plain", "8bit"), wrap))
    assert wrap in raw
    assert "ü".encode() not in raw.replace(wrap, b"")


@pytest.mark.parametrize("content_type", ["application/pkcs7-mime", "application/x-pkcs7-mime; smime-type=signed-data"])
def test_opaque_signed_and_encrypted_mail_stays(content_type: str) -> None:
    raw = for_bob(part(b"\xff\xfe=3D\n", content_type, "binary", "To: bob@example.org"))
    assert raw.endswith(b"Content-Transfer-Encoding: binary\r\nTo: bob@example.org\r\n\r\n\xff\xfe=3D\n")


def test_containers_are_called_7bit_when_they_are() -> None:
    inner = part("ü".encode(), "text/plain; charset=utf-8", "8bit")
    raw = part(multipart(inner).partition(b"\r\n\r\n")[2], "multipart/mixed; boundary=b1", "8bit")
    assert Fields(for_bob(raw)).get("Content-Transfer-Encoding") == "7bit"
    both = part(multipart(inner, SIGNED).partition(b"\r\n\r\n")[2], "multipart/mixed; boundary=b1", "8bit")
    assert Fields(for_bob(both)).get("Content-Transfer-Encoding") == "8bit"
    report = part(multipart(part(b"\xff", "message/delivery-status")).partition(b"\r\n\r\n")[2], "multipart/report; boundary=b1", "8bit")
    assert Fields(for_bob(report)).get("Content-Transfer-Encoding") == "8bit"


@given(entities())
def test_a_mail_for_exchange_keeps_its_content_and_needs_no_second_pass(entity: bytes) -> None:
    raw = mail(entity, "To: bob@example.org")
    once = for_bob(raw)
    assert [leaf.replace(b"\r\n", b"\n") for leaf in contents(once)] == [leaf.replace(b"\r\n", b"\n") for leaf in contents(raw)]
    assert for_bob(once) == once


@given(st.binary(max_size=300))
def test_any_bytes_can_be_rewritten_or_are_refused(raw: bytes) -> None:
    source = InMemory(raw)
    ways: list[Callable[[], Streamed]] = [
        lambda: for_envelope(source, BOB),
        lambda: to_7bit(source),
        lambda: for_smtp(source, "a@b.c"),
    ]
    for make in ways:
        with suppress(MimeError):
            read(make())


# Bodies for a server without 8BITMIME


@given(entities("mixed", "alternative"))
def test_seven_bit_mail_has_the_same_content_and_no_8_bit_byte(entity: bytes) -> None:
    raw = mail(entity, "Subject: x")
    converted = read(to_7bit(InMemory(raw)))
    assert contents(converted) == contents(raw)
    assert converted.isascii()
    for before, after, content in zip(payloads(raw), payloads(converted), contents(raw), strict=True):
        assert after in (before, content)  # base64 that has one character too much is given back encoded by Python
    if raw.isascii() and b"binary" not in raw:
        assert converted == raw


def payloads(raw: bytes) -> list[object]:
    """The bodies of all leaves as Python reads them."""
    return [each.get_payload(decode=True) for each in email.message_from_bytes(raw).walk() if not _has_parts(each)]


def _has_parts(message: Message) -> bool:
    return message.get_content_maintype() == "multipart" or message.is_multipart()


def test_only_the_8_bit_part_is_encoded() -> None:
    raw = multipart(part(b"a=20b", "text/plain", "quoted-printable"), part("ü\r\n".encode(), "text/plain; x=y", "8bit", "X-A: \t b"))
    assert read(to_7bit(InMemory(raw))) == raw.replace(b"Encoding: 8bit", b"Encoding: base64").replace("ü\r\n".encode(), b"w7wNCg==")


def test_a_new_from_and_7_bit_go_together() -> None:
    raw = b"From: mary@example.com\r\n\r\n\xff"
    assert read(to_7bit(InMemory(raw), rewrite_from="n@example.net")) == (
        b"From: n@example.net\r\nReply-To: mary@example.com\r\nContent-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\n/w==\r\n"
    )


def test_8_bit_bytes_under_a_signature_are_refused() -> None:
    with pytest.raises(MimeError, match="8BITMIME"):
        read(to_7bit(InMemory(SIGNED)))


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 114])
def test_any_size_is_encoded(size: int) -> None:
    assert contents(read(to_7bit(InMemory(part(b"x" * size, "application/x", "binary"))))) == [b"x" * size]


def test_a_large_body_is_encoded_in_lines_of_76() -> None:
    body = bytes(range(256)) * 4000
    raw = read(to_7bit(InMemory(part(body, "application/x", "binary"))))
    lines = raw.partition(b"\r\n\r\n")[2].split(b"\r\n")
    assert {len(line) for line in lines[:-2]} == {76}
    assert contents(raw) == [body]


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: one\rBcc: stranger@elsewhere.example\r\n",
        b"Content-Type: text/plain;\n format=x;\r x=\rBcc: stranger@elsewhere.example\r\n",
    ],
)
def test_a_cr_alone_begins_no_further_field(line: bytes) -> None:
    """Whoever takes it for the end of a line would find a recipient behind it that nobody has asked for."""
    raw = b"From: mary@example.com\r\nTo: bob@shop.example\r\n" + line + b"\r\nw\xc3\xb6rds\r\n"
    made = b"".join(for_envelope(InMemory(raw), Envelope("mary@example.com", ("bob@shop.example",))).chunks())
    head = made.partition(b"\r\n\r\n")[0]
    rest = head.replace(b"\r\n", b"")
    assert not {b"\r"[0], b"\n"[0]} & set(rest)
    assert not any(each.lower().startswith(b"bcc:") for each in head.splitlines())
