from __future__ import annotations

import pytest

from mailroom_core.mime.lines import LONGEST, LineLengths
from mailroom_core.mime.rewrite import to_7bit
from mailroom_core.mime.source import InMemory


@pytest.mark.parametrize("step", [1, 7, 998, 5000])
@pytest.mark.parametrize(("length", "too_long"), [(LONGEST, False), (LONGEST + 1, True)])
@pytest.mark.parametrize("before", [b"", b"short\r\n", b"\r\n\r\n"])
def test_a_line_counts_as_too_long_wherever_it_was_cut(step: int, length: int, before: bytes, too_long: bool) -> None:
    data = before + b"x" * length + b"\r\nshort\r\n"
    lines = LineLengths()
    for start in range(0, len(data), step):
        lines.feed(data[start : start + step])
    assert lines.too_long == too_long


def test_many_short_lines_are_not_one_long_line() -> None:
    lines = LineLengths()
    for _ in range(1000):
        lines.feed(b"half a line, ")
        lines.feed(b"and the rest\r\n")
    assert not lines.too_long


def test_a_part_with_a_line_that_is_too_long_becomes_base64_and_the_others_stay() -> None:
    head = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    raw = head + b"--b\r\n\r\nshort\r\n--b\r\n\r\n" + b"x" * 2000 + b"\r\n--b--\r\n"
    out = b"".join(to_7bit(InMemory(raw)).chunks())
    assert out.startswith(head + b"--b\r\n\r\nshort\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\neHh4")
    assert max(map(len, out.split(b"\r\n"))) <= LONGEST
