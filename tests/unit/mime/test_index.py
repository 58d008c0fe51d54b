"""mime.index: the same parts and the same bytes as Python's parser finds, without holding the mail."""

from __future__ import annotations

import base64
import email
import quopri
import random
from dataclasses import replace
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.mime.index import Part, decoded, decoded_pieces, decoded_size, index, read_head
from mailroom_core.mime.source import InMemory
from tests.unit.mime.builder import entities, mail, multipart, part

WINDOWS = st.sampled_from([1, 2, 7, 64, 256 * 1024])


def _pairs(message: Message, found: Part) -> list[tuple[Message, Part]]:
    """Python's parts and ours, side by side; fails where the trees differ."""
    inner = message.get_payload()
    children = [child for child in inner if isinstance(child, Message)] if isinstance(inner, list) else []
    assert [child.get_content_type() for child in children] == [child.content_type for child in found.parts]
    return [(message, found)] + [pair for one, two in zip(children, found.parts, strict=True) for pair in _pairs(one, two)]


def _defects(message: Message) -> set[str]:
    return {type(defect).__name__ for each in message.walk() for defect in each.defects}


@given(entities(), WINDOWS)
def test_parts_and_decoded_bodies_are_those_of_pythons_parser(entity: bytes, window: int) -> None:
    raw = mail(entity, "Subject: x")
    source = InMemory(raw)
    for message, found in _pairs(email.message_from_bytes(raw), index(source, window=window)):
        if found.content is None:
            continue
        payload = message.get_payload(decode=True)
        if "InvalidBase64LengthDefect" in _defects(message):
            continue  # Python then gives the encoded text; one character carries no byte
        assert b"".join(decoded_pieces(source, found)) == payload
        assert decoded_size(found) == len(payload)


@given(entities(), WINDOWS, st.integers(0, 200), st.integers(1, 50))
def test_any_range_of_a_decoded_body_can_be_read(entity: bytes, window: int, start: int, length: int) -> None:
    source = InMemory(entity)
    for found in index(source, window=window).walk():
        whole = b"".join(decoded_pieces(source, found))
        assert decoded(source, found, start, length) == whole[start : start + length]


@pytest.mark.parametrize("irregular", [False, True])
def test_ranges_of_a_large_base64_body_come_from_checkpoints(irregular: bool) -> None:
    chance = random.Random(7)
    content = chance.randbytes(2_000_000)
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    if irregular:
        flat = base64.b64encode(content)
        cuts = sorted(chance.sample(range(len(flat)), 5_000))
        encoded = b"\r\n \t!".join(flat[one:two] for one, two in zip([0, *cuts], [*cuts, len(flat)], strict=True))
    source = CountingSource(multipart(part(b"hello"), part(encoded, "application/pdf", "base64")))
    pdf = index(source).parts[1]
    assert decoded_size(pdf) == len(content)
    assert pdf.content is not None
    assert len(pdf.content.checkpoints) >= 8
    for start in (0, 1, 299_999, 1_000_001, 1_999_999, 2_000_000, 3_000_000):
        source.read = 0
        assert decoded(source, pdf, start, 300_000) == content[start : start + 300_000]
        assert source.read < 1_200_000


def test_ranges_of_a_large_quoted_printable_body_come_from_checkpoints() -> None:
    content = "".join(random.Random(7).choices("aü=\n", k=700_000)).encode().replace(b"\n", b"\r\n")
    source = InMemory(part(quopri.encodestring(content).replace(b"\r\r\n", b"\r\n"), "text/plain", "quoted-printable"))
    text = index(source)
    whole = b"".join(decoded_pieces(source, text))
    for start in (0, 299_999, 700_001):
        assert decoded(source, text, start, 100_000) == whole[start : start + 100_000]
    assert text.content is not None
    assert text.content.checkpoints


class CountingSource:
    """A `ReadAt` that knows how much of it was read."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.size = len(raw)
        self.read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.read += len(data := self.raw[offset : offset + length])
        return data


CRUMBS = [
    b"--b1",
    b"\r\n",
    b"--",
    b"\n",
    b"Content-Type: multipart/digest; boundary=b1",
    b"Content-Type: message/rfc822",
    b"x",
    b":",
    b"\r",
]


def _without_checkpoints(found: Part) -> object:
    content = replace(found.content, checkpoints=()) if found.content else None
    return replace(found, content=content, parts=()), [_without_checkpoints(child) for child in found.parts]


@given(st.binary(max_size=300) | st.lists(st.sampled_from(CRUMBS)).map(b"".join), st.sampled_from([1, 2, 3, 11, 64]))
def test_any_bytes_have_parts_whatever_the_window(raw: bytes, window: int) -> None:
    source = InMemory(b"Content-Type: multipart/mixed; boundary=b1\r\n\r\n" + raw)
    whole = index(source)
    assert _without_checkpoints(index(source, window=window)) == _without_checkpoints(whole)
    for found in whole.walk():
        assert 0 <= found.head_start <= found.head_end <= found.body_start <= found.body_end <= source.size
        for child in found.parts:
            assert found.body_start <= child.head_start
            assert child.body_end <= found.body_end


def texts(raw: bytes) -> list[bytes]:
    """The bodies of all leaves."""
    source = InMemory(raw)
    return [b"".join(decoded_pieces(source, leaf)) for leaf in index(source).walk() if leaf.content]


def test_a_head_that_ends_with_the_mail_is_read_in_any_window() -> None:
    for window in (1, 2, 3, 100):
        found = index(InMemory(multipart(part(b"x"))[:-11] + b"\r\n--b1\r\nA: b"), window=window)
        assert found.parts[1].head_end == found.body_end


def test_a_mail_without_multipart_is_one_part() -> None:
    raw = b"Subject: x\r\n\r\nHello\r\n"
    found = index(InMemory(raw))
    assert (found.head_start, found.head_end, found.body_start, found.body_end) == (0, 12, 14, 21)
    assert (found.content_type, found.encoding, found.charset, found.disposition, found.filename) == ("text/plain", "7bit", "", "", "")
    assert read_head(InMemory(raw), found).get("subject") == "x"


def test_the_line_end_before_a_boundary_belongs_to_the_boundary() -> None:
    assert texts(multipart(part(b"one\r\n"), part(b""), part(b"three"))) == [b"one\r\n", b"", b"three"]


def test_a_missing_last_boundary_ends_with_the_mail() -> None:
    assert texts(multipart(part(b"one"), part(b"two")).removesuffix(b"\r\n--b1--\r\n")) == [b"one", b"two"]


def test_an_outer_boundary_ends_all_inner_parts() -> None:
    inner = multipart(part(b"in"), boundary="in").replace(b"\r\n--in--\r\n", b"")
    assert texts(multipart(inner, part(b"out"), boundary="out")) == [b"in", b"out"]


def test_an_inner_multipart_may_have_the_boundary_of_the_outer_one() -> None:
    assert texts(multipart(multipart(part(b"in")), part(b"out"))) == [b"in", b"out"]


def test_text_before_and_after_the_parts_is_none_of_them() -> None:
    raw = multipart(part(b"one")).replace(b"\r\n\r\n--b1", b"\r\n\r\npreamble\r\n--b1") + b"epilogue\r\n--b1\r\n\r\nstill epilogue"
    assert texts(raw) == [b"one"]


def test_a_boundary_line_may_end_with_blanks_and_stand_where_a_head_should_be() -> None:
    raw = multipart(part(b"one")).replace(b"--b1\r\n", b"--b1  \t\r\n--b1\r\n", 1)
    assert texts(raw) == [b"", b"one"]


def test_a_line_that_only_begins_like_the_boundary_is_text() -> None:
    assert texts(multipart(part(b"one\r\n--b12\r\n--b1 x\r\n" + b"--" + b"b1" * 600))) == [b"one\r\n--b12\r\n--b1 x\r\n--" + b"b1" * 600]


def test_a_head_without_an_empty_line_ends_where_no_field_is() -> None:
    assert texts(multipart(b"Content-Type: text/plain\r\nno field", b"X: y")) == [b"no field", b""]


def test_an_mbox_line_is_no_end_of_a_head() -> None:
    assert texts(b"From mary Fri\r\n" + multipart(part(b"one"))) == [b"one"]


def test_a_digest_consists_of_messages() -> None:
    digest = multipart(b"\r\nSubject: one\r\n\r\nfirst", part(b"plain"), subtype="digest")
    found = index(InMemory(digest))
    assert [child.content_type for child in found.parts] == ["message/rfc822", "text/plain"]
    assert [child.content_type for child in found.parts[0].parts] == ["text/plain"]


def test_an_encoded_message_has_no_parts_of_its_own() -> None:
    found = index(InMemory(part(base64.b64encode(part(b"x")), "message/rfc822", "base64")))
    assert found.parts == ()
    assert decoded_size(found) == len(part(b"x"))


def test_a_multipart_without_a_usable_boundary_is_one_body() -> None:
    for boundary in ("", "; boundary=" + "x" * 1000):
        found = index(InMemory(part(b"--\r\nx", "multipart/mixed" + boundary)))
        assert found.parts == ()
        assert found.content is not None


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        ("TEXT/Plain", "text/plain"),
        ("text", "text/plain"),
        ("", "text/plain"),
        ("pdf", "application/octet-stream"),
        ("*/", "application/octet-stream"),
    ],
)
def test_a_content_type_that_makes_no_sense_is_just_bytes(value: str, content_type: str) -> None:
    assert index(InMemory(f"Content-Type: {value}\r\n\r\n".encode())).content_type == content_type


def test_name_and_id_of_an_attachment_are_found() -> None:
    fields = ("Content-Disposition: ATTACHMENT; filename*=utf-8''%C3%9Cbersicht.pdf", "Content-ID: <logo@x>")
    found = index(InMemory(part(b"", "application/pdf; name=old.pdf", "BASE64 (as always)", *fields)))
    assert (found.disposition, found.filename, found.content_id, found.encoding) == ("attachment", "Übersicht.pdf", "logo@x", "base64")
    assert index(InMemory(part(b"", "application/pdf; name=old.pdf"))).filename == "old.pdf"


@pytest.mark.parametrize(
    ("body", "encoding", "seven_bit", "ascii_", "utf8", "lone_lfs"),
    [
        (b"plain\r\n", "", True, True, True, 0),
        (b"\xc3\xbc\r\n\n", "8bit", False, False, True, 1),
        (b"\xfc", "8bit", False, False, False, 0),
        (b"=C3=BC=0A", "quoted-printable", True, False, True, 1),
        (b"=FC", "quoted-printable", True, False, False, 0),
        (b"w7w=", "base64", True, False, True, 0),
        (b"ww==", "base64", True, False, False, 0),
    ],
)
def test_what_a_text_is_made_of_is_known(body: bytes, encoding: str, seven_bit: bool, ascii_: bool, utf8: bool, lone_lfs: int) -> None:
    for window in (1, 100):
        content = index(InMemory(part(body, "text/plain", encoding)), window=window).content
        assert content is not None
        assert (content.seven_bit, content.ascii, content.utf8, content.lone_lfs) == (seven_bit, ascii_, utf8, lone_lfs)


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(MimeError, match="more than 10000 parts"):
        index(InMemory(multipart(*[b"\r\n"] * 10_000)))


def test_too_many_levels_are_refused() -> None:
    with pytest.raises(MimeError, match="more than 100 levels"):
        index(InMemory(b"Content-Type: message/rfc822\r\n\r\n" * 100))


def test_too_large_heads_are_refused() -> None:
    line = b"X: " + b"y" * 1000 + b"\r\n"
    with pytest.raises(MimeError, match="a head at offset 0"):
        index(InMemory(line * 1100 + b"\r\n"))
    with pytest.raises(MimeError, match="together"):
        index(InMemory(multipart(*[line * 1000 + b"\r\n"] * 20)))


def test_a_source_that_shrinks_is_noticed() -> None:
    found = index(InMemory(part(base64.b64encode(b"x" * 1000), "image/png", "base64")))
    with pytest.raises(MimeError, match="became shorter"):
        b"".join(decoded_pieces(InMemory(b""), found))
