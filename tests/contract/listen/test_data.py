"""The decoder of DATA, against a slow and obvious one of its own."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailroom.listen.data import DataDecoder, Flaw
from tests.contract.listen.pieces import chunks_of, cuts

PARTS = [b"\r\n", b"\r", b"\n", b".", b"..", b"a", b"bc", b"\0", b"\xff", b"\r\n.\r\n", b"\r\n.", b"\n.\n", b"MAIL FROM:<x@y>\r\n"]
CLEAN = [b"\r\n", b".", b"..", b"a", b"bc", b"\xff", b"\r\n.", b"\r\n..", b"Subject: x\r\n"]

wire = st.lists(st.sampled_from(PARTS), max_size=30).map(b"".join)
message = st.lists(st.sampled_from(CLEAN), max_size=30).map(lambda parts: b"".join(parts) + b"\r\n")


def decode(chunks: list[bytes], limit: int = 10_000) -> tuple[DataDecoder, bytes, bytes]:
    decoder = DataDecoder(limit=limit, batch=1 << 20)
    rest = b""
    for index, chunk in enumerate(chunks):
        rest = decoder.feed(chunk)
        if decoder.done or decoder.flaw:
            rest += b"".join(chunks[index + 1 :]) if decoder.done else b""
            break
    return decoder, decoder.take() if not decoder.flaw else b"", rest


def stuffed(raw: bytes) -> bytes:
    return b"".join(b"." + line if line.startswith(b".") else line for line in raw.splitlines(keepends=True)) + b".\r\n"


def obvious(data: bytes) -> tuple[str, bytes, bytes]:
    """What RFC 5321 says, byte by byte: (how it ended, message, what follows)."""
    out = bytearray()
    position = 0
    while True:
        stop = position
        while stop < len(data) and data[stop] not in b"\r\n\0":
            stop += 1
        if stop == len(data) or (data[stop] == 13 and stop + 1 == len(data)):
            return "open", b"", b""
        if data[stop] == 0:
            return "flaw", b"", b""
        if data[stop : stop + 2] != b"\r\n":
            return "flaw", b"", b""
        line, position = data[position:stop], stop + 2
        if line == b".":
            return "done", bytes(out), data[position:]
        out += (line[1:] if line.startswith(b".") else line) + b"\r\n"


@given(wire, cuts)
@example(b"\r\n.\r", [])
@example(b"a\r\r\n.\r\n", [2])
def test_any_bytes_cut_anywhere_mean_what_the_rfc_says(data: bytes, at: list[int]) -> None:
    ended, raw, rest = obvious(data)
    decoder, got, got_rest = decode(chunks_of(data, at))
    match ended:
        case "done":
            assert decoder.done
            assert (got, got_rest, decoder.size) == (raw, rest, len(raw))
        case "flaw":
            assert decoder.flaw is not None
            assert not decoder.done
        case _:
            assert not decoder.done


@given(message, cuts)
def test_a_message_comes_out_as_it_went_in(raw: bytes, at: list[int]) -> None:
    decoder, got, rest = decode(chunks_of(stuffed(raw) + b"QUIT\r\n", at))
    assert decoder.done
    assert (got, rest) == (raw, b"QUIT\r\n")


def test_every_cut_of_a_message_into_two_gives_the_same() -> None:
    raw = b".one\r\n..\r\n\r\n.\r\ntwo.\r\n.\r\n"
    data = stuffed(raw) + b"MAIL FROM:<>\r\n"
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            decoder, got, rest = decode([data[:first], data[first:second], data[second:]])
            assert decoder.done
            assert (got, rest) == (raw, b"MAIL FROM:<>\r\n")


FALSE_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\rX", b"\r.\r\n", b"\r\r\n.\r\n", b"\n\r\n.\r\n", b"\r\n\r.\r\n"]
FALSE_ENDS += [b"\r\n.\r\r\n", b"\n.\r", b"\r.\n"]


@pytest.mark.parametrize("false_end", FALSE_ENDS)
def test_a_false_end_of_data_is_a_flaw_and_nothing_follows_it(false_end: bytes) -> None:
    data = b"Subject: x\r\n\r\nbody" + false_end + b"MAIL FROM:<evil@example.com>\r\n.\r\n"
    for cut in range(len(data) + 1):
        decoder, _, rest = decode([data[:cut], data[cut:]])
        assert decoder.flaw is Flaw.BARE_NEWLINE
        assert not decoder.done
        assert rest == b""


def test_a_nul_is_a_flaw() -> None:
    decoder, _, _ = decode([b"a\r\n\0.\r\n.\r\n"])
    assert decoder.flaw is Flaw.NUL


def test_an_empty_message_is_one() -> None:
    decoder, got, rest = decode([b".\r\n"])
    assert decoder.done
    assert (got, rest, decoder.size) == (b"", b"", 0)


def test_a_message_as_large_as_the_limit_passes_and_one_byte_more_does_not() -> None:
    raw = b"x" * 98 + b"\r\n"
    decoder, got, _ = decode([stuffed(raw)], limit=100)
    assert not decoder.too_large
    assert got == raw
    decoder, got, rest = decode([stuffed(b"x" + raw) + b"QUIT\r\n"], limit=100)
    assert decoder.too_large
    assert decoder.done
    assert (got, rest, decoder.size) == (b"", b"QUIT\r\n", 101)


def test_what_is_too_large_is_not_kept() -> None:
    decoder = DataDecoder(limit=1000, batch=1 << 20)
    for _ in range(100):
        decoder.feed(b"x" * 100)
        assert decoder.pending <= 1000
    assert decoder.pending == 0
    assert decoder.received == 10_000


def test_it_asks_to_be_relieved_after_a_batch() -> None:
    decoder = DataDecoder(limit=1000, batch=150)
    readiness = []
    for _ in range(2):
        decoder.feed(b"x" * 100)
        readiness.append(decoder.ready)
    assert readiness == [False, True]
    assert decoder.take() == b"x" * 200
    assert decoder.pending == 0


def test_many_tiny_chunks_do_not_cost_many_times_their_size() -> None:
    decoder = DataDecoder(limit=1 << 20, batch=1 << 20)
    tracemalloc.start()
    for _ in range(50_000):
        decoder.feed(b"xy")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert decoder.pending == 100_000
    assert held < 300_000
