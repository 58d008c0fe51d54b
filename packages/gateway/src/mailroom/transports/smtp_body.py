"""The content of a mail as it goes over the wire: read in pieces, its dots doubled, never whole in memory.

Up to `CHUNK` bytes it is one piece, read at once; beyond, each piece is read in a thread, because the bytes may lie on a slow disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from mailroom_core.mime.source import ReadAt, Streamed

CHUNK = 256 * 1024


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


async def as_stored(source: ReadAt) -> Body:
    """The stored bytes, unchanged. Raises Unreadable."""
    content = Streamed(source.size, lambda: _read(source))
    if source.size <= CHUNK:
        return Body(content, _any_eight_bit(content))
    return Body(content, await asyncio.to_thread(_any_eight_bit, content))


def _read(source: ReadAt) -> Iterator[bytes]:
    for offset in range(0, source.size, CHUNK):
        yield source.read_at(offset, CHUNK)


def _any_eight_bit(content: Streamed) -> bool:
    return any(not chunk.isascii() for chunk in _checked(content))


def _checked(content: Streamed) -> Iterator[bytes]:
    """The chunks; fewer or more bytes than promised are never sent as a whole mail."""
    total = 0
    try:
        for chunk in content.chunks():
            total += len(chunk)
            yield chunk
    except OSError as problem:
        raise Unreadable(f"the stored mail can't be read ({problem}); look at the gateway's disk") from problem
    if total != content.length:
        raise Unreadable(f"the stored mail has {total} bytes instead of {content.length}; look at the gateway's disk")


def on_the_wire(body: Body) -> bytes:
    """A small body with the dot that ends it (RFC 5321 4.5.2). Raises Unreadable."""
    data = b"".join(_checked(body.content))
    return _double_dots(data, line_start=True) + _end(data[-1:])


async def pieces_on_the_wire(body: Body) -> AsyncGenerator[bytes, None]:
    """The pieces of a large body; the last one is the dot that ends it, alone. Raises Unreadable."""
    chunks = _checked(body.content)
    last = b""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        if chunk:
            yield _double_dots(chunk, line_start=last in (b"", b"\n"))
            last = chunk[-1:]
    yield _end(last)


def _double_dots(data: bytes, *, line_start: bool) -> bytes:
    # After a bare LF as well: a server that takes it for the end of a line must not find the end of the mail there.
    data = data.replace(b"\n.", b"\n..")
    return b"." + data if line_start and data.startswith(b".") else data


def _end(last: bytes) -> bytes:
    return b".\r\n" if last in (b"", b"\n") else b"\r\n.\r\n"
