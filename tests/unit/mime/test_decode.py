"""mime.decode: the same result however the input is cut."""

from __future__ import annotations

import binascii
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.mime.decode import decoder

CRUMBS = [b"Q", b"QU", b"QUE=", b"=", b"==", b"\r\n", b"\r", b"\n", b"=41", b"=4", b"=C3=BC", b"\xfc", b" ", b"text"]


def _decoded(encoding: str, *pieces: bytes) -> bytes:
    """Every piece goes through a decoder that knows nothing but the state of the last one."""
    out, pending, done = [], b"", False
    for piece in pieces:
        reader = decoder(encoding, pending)
        reader.done = done
        out.append(reader.feed(piece))
        pending, done = reader.pending, reader.done
        assert len(pending) <= 4
    return b"".join(out) + decoder(encoding, pending).finish()


@given(
    st.sampled_from(["base64", "quoted-printable", "8bit"]),
    st.lists(st.sampled_from(CRUMBS) | st.binary(max_size=10), max_size=20),
    st.sampled_from([1, 2, 3, 1000]),
)
def test_the_cuts_do_not_matter(encoding: str, crumbs: list[bytes], size: int) -> None:
    whole = b"".join(crumbs)
    cut = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert _decoded(encoding, *cut) == _decoded(encoding, whole) == _decoded(encoding, *crumbs)


@given(st.lists(st.sampled_from([c for c in CRUMBS if c != b"\r"]), max_size=20).map(b"".join))
def test_quoted_printable_is_read_as_python_reads_it(text: bytes) -> None:
    assert _decoded("quoted-printable", text) == quopri.decodestring(text)


def test_a_lone_carriage_return_does_not_swallow_what_follows() -> None:
    assert _decoded("quoted-printable", b"a=\rb==\rc") == b"ab=\rc"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (b"QUJD", b"ABC"),
        (b"QU\r\n!JD", b"ABC"),
        (b"QQ==", b"A"),
        (b"QQ=\r\n=QUJD", b"A"),
        (b"QUI=QUJD", b"AB"),
        (b"QQ", b"A"),
        (b"QUI", b"AB"),
        (b"QUJDQ", b"ABC"),
        (b"=QUJD", b"ABC"),
        (b"Q=UJD", b"ABC"),
        (b"QU=JD", b"ABC"),
        (b"QU=", b"A"),
        (b"", b""),
    ],
)
def test_broken_base64_gives_what_can_be_saved(text: bytes, content: bytes) -> None:
    assert _decoded("base64", text) == content
    assert _decoded("base64", *(bytes([byte]) for byte in text)) == content


@given(st.binary(), st.integers(1, 100))
def test_well_formed_base64_comes_back(content: bytes, size: int) -> None:
    text = binascii.b2a_base64(content)
    assert _decoded("base64", *(text[at : at + size] for at in range(0, len(text), size))) == content


def test_an_unknown_encoding_changes_nothing() -> None:
    assert _decoded("x-uuencode", b"begin 644 x\n", b"=41") == b"begin 644 x\n=41"
