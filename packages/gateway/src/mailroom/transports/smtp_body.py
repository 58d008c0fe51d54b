"""The content of a mail as it goes over the wire: read in pieces, its dots doubled, never whole in memory.

Up to `CHUNK` bytes it is one piece, read at once; beyond, each piece is read in a thread, because the bytes may lie on a slow disk.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from mailroom_core.errors import MimeError, StoreError
from mailroom_core.mime.lines import LineLengths
from mailroom_core.mime.rewrite import for_smtp, hides_somebody, to_7bit
from mailroom_core.mime.source import ReadAt, Streamed

CHUNK = 256 * 1024
_DOT, _CR_DOT = re.compile(rb"\n\."), re.compile(rb"\r\.")
_ODD_DOT = re.compile(rb"([\r\n]\0*)\.")
_FIRST_DOT = re.compile(rb"(\0*)\.")


class Unreadable(Exception):
    """The stored bytes of a mail can't be read: the gateway's own trouble, not the next hop's."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent after DATA, before dots are doubled."""

    content: Streamed
    eight_bit: bool

    @property
    def small(self) -> bool:
        return self.content.length <= CHUNK


async def prepare(source: ReadAt, *, rewrite_from: str, eight_bit: bool) -> Body:
    """The stored bytes, without Bcc and Resent-Bcc; with another From, if there is one; as 7-bit, if they are not and the server has no
    8BITMIME, or if there is a line that is too long for any server. A signed part with such a line stays as it is.

    Raises Unreadable, and MimeError for a mail that can't be changed without breaking it.
    """
    if source.size <= CHUNK:
        return _prepare(source, rewrite_from, eight_bit)
    return await asyncio.to_thread(_prepare, source, rewrite_from, eight_bit)


def _prepare(source: ReadAt, rewrite_from: str, eight_bit_wire: bool) -> Body:
    stored = Streamed(source.size, lambda: _read(source))
    eight_bit, lines = False, LineLengths()
    for chunk in _checked(stored):
        eight_bit = eight_bit or not chunk.isascii()
        lines.feed(chunk)
    must_be_7bit = eight_bit and not eight_bit_wire
    try:
        if must_be_7bit or lines.too_long:
            try:
                return Body(to_7bit(source, rewrite_from=rewrite_from), eight_bit=False)
            except MimeError:
                if must_be_7bit:
                    raise
        if rewrite_from or hides_somebody(source):
            return Body(for_smtp(source, rewrite_from), eight_bit)
    except (OSError, StoreError) as problem:
        raise _unreadable(problem) from problem
    return Body(stored, eight_bit)


def _read(source: ReadAt) -> Iterator[bytes]:
    for offset in range(0, source.size, CHUNK):
        yield source.read_at(offset, CHUNK)


def _checked(content: Streamed) -> Iterator[bytes]:
    """The chunks; fewer or more bytes than promised are never sent as a whole mail."""
    total = 0
    try:
        for chunk in content.chunks():
            total += len(chunk)
            yield chunk
    except (OSError, StoreError) as problem:
        raise _unreadable(problem) from problem
    if total != content.length:
        raise Unreadable(f"the stored mail has {total} bytes instead of {content.length}; look at the gateway's disk")


def _unreadable(problem: Exception) -> Unreadable:
    return Unreadable(f"the stored mail can't be read ({problem}); look at the gateway's disk")


def on_the_wire(body: Body) -> bytes:
    """A small body with the dot that ends it (RFC 5321 4.5.2). Raises Unreadable."""
    data = b"".join(_checked(body.content))
    return _double_dots(data, line_start=True) + _end(data[-2:])


async def pieces_on_the_wire(body: Body) -> AsyncGenerator[bytes, None]:
    """The pieces of a large body; the last one is the dot that ends it, alone. Raises Unreadable."""
    chunks = _checked(body.content)
    line_start, last = True, b""
    while chunk := await asyncio.to_thread(_some, chunks):
        yield _double_dots(chunk, line_start=line_start)
        seen = chunk.rstrip(b"\0")
        line_start = seen.endswith((b"\r", b"\n")) if seen else line_start
        last = (last + chunk[-2:])[-2:]
    yield _end(last)


def _some(chunks: Iterator[bytes]) -> bytes:
    """The next chunks, together at least half a `CHUNK`; empty at the end."""
    some: list[bytes] = []
    size = 0
    while size < CHUNK // 2 and (chunk := next(chunks, None)) is not None:
        some.append(chunk)
        size += len(chunk)
    return b"".join(some)


def _double_dots(data: bytes, *, line_start: bool) -> bytes:
    # After a CR or LF by itself as well, and behind a NUL: a server that takes the one for the end of a line, or drops the other, must
    # not find the end of the mail there.
    if b"\0" in data:
        data = _ODD_DOT.sub(rb"\1..", data)
    else:
        for found in (_DOT, _CR_DOT):
            if found.search(data):  # five times as fast as finding out by `replace`
                data = found.sub(rb"\g<0>.", data)
    return _FIRST_DOT.sub(rb"\1..", data, count=1) if line_start and data[:1] in (b".", b"\0") and _FIRST_DOT.match(data) else data


def _end(last: bytes) -> bytes:
    """Behind the last two bytes."""
    return b".\r\n" if last in (b"", b"\r\n") else b"\r\n.\r\n"
