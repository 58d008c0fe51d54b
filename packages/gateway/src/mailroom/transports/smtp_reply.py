"""Replies of an SMTP server: read line by line, strictly enough that a broken one is never taken for a yes.

RFC 5321 4.2: three digits, then a space, a hyphen (more lines follow) or the end of the line. The first digit alone says yes, go
on, not now, or never; codes that nobody registered are read by it (4.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mailroom_core.model import Reply

MAX_LINE = 4096
"""RFC 5321 4.5.3.1.5 says 512; servers write more. Beyond this it is no reply."""
MAX_LINES = 128
MAX_TEXT = 400

_ENHANCED = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?=\s|$)")
_CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class Answer(NamedTuple):
    """One complete reply as it came: the code of its last line, and all its lines without their ends."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def yes(self) -> bool:
        return 200 <= self.code < 300

    def reply(self) -> Reply:
        """As one clean line: no control characters, at most `MAX_TEXT` characters, the enhanced status code apart."""
        enhanced = ""
        parts = []
        for line in self.lines:
            text = _CONTROLS.sub(" ", line[4:].decode("utf-8", "replace")).strip()
            found = _ENHANCED.match(text)
            # RFC 3463 2: its class is that of the reply; a server that contradicts itself is believed by the code.
            if found and found[1] == str(self.code)[0]:
                enhanced = enhanced or found[0]
                text = text[found.end() :].lstrip()
            parts.append(text)
        return Reply(self.code, shorten(" ".join(filter(None, parts))), enhanced)


def shorten(text: str) -> str:
    """At most `MAX_TEXT` characters on one line."""
    text = _CONTROLS.sub(" ", text)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


class Garbled(ValueError):
    """This is no SMTP reply; the connection can't be trusted any more."""


class ReplyReader:
    """Takes bytes as they come and gives complete replies. A line without its end is never a reply."""

    __slots__ = ("_lines", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: tuple[bytes, ...] = ()

    @property
    def unfinished(self) -> bytes:
        """The last thing that came, if it is not a complete reply yet."""
        return self._rest or (self._lines[-1] if self._lines else b"")

    def feed(self, data: bytes) -> Iterator[Answer]:
        """Raises Garbled, after the complete replies before it."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if (code := self._line(line.removesuffix(b"\r"))) is not None:
                yield Answer(code, self._lines)
                self._lines = ()
        if len(self._rest) > MAX_LINE:
            raise Garbled("a reply line without an end")

    def _line(self, line: bytes) -> int | None:
        """The reply's code if this line ends it."""
        digits, separator = line[:3], line[3:4]
        if len(digits) != 3 or not digits.isdigit() or not b"200" <= digits < b"600" or separator not in b" -":
            raise Garbled(f"this is no SMTP reply: {shorten(line[:80].decode('latin-1'))!r}")
        if self._lines and self._lines[0][:1] != digits[:1]:
            raise Garbled("a reply of several lines that says yes and no at once")
        if len(self._lines) >= MAX_LINES or len(line) > MAX_LINE:
            raise Garbled("a reply that is too long")
        self._lines = (*self._lines, line)
        return None if separator == b"-" else int(digits)
