"""A mail put together from pieces of another one: its length is known before its bytes are read."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mailroom_core.mime.index import WINDOW, Part, decoded_pieces, decoded_size
from mailroom_core.mime.source import ReadAt, Streamed

_LONE_LF = re.compile(rb"(?<!\r)\n")
_LINE = 57  # bytes that become a base64 line of 76 characters (RFC 2045 6.8)


class Piece(Protocol):
    @property
    def length(self) -> int: ...

    def chunks(self, source: ReadAt) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes of ours."""

    raw: bytes

    @property
    def length(self) -> int:
        return len(self.raw)

    def chunks(self, source: ReadAt) -> Iterator[bytes]:
        yield self.raw


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes of the source as they are."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def chunks(self, source: ReadAt) -> Iterator[bytes]:
        for offset in range(self.start, self.end, WINDOW):
            yield source.read_at(offset, min(WINDOW, self.end - offset))


@dataclass(frozen=True, slots=True)
class CopyLines:
    """Bytes of the source with CRLF at every line end; `length` is that of the result."""

    start: int
    end: int
    length: int

    def chunks(self, source: ReadAt) -> Iterator[bytes]:
        return _with_crlf(Copy(self.start, self.end).chunks(source))


def copy_lines(source: ReadAt, start: int, end: int) -> Piece:
    """`Copy`, or `CopyLines` where it makes a difference. Reads the range once."""
    length = sum(len(chunk) for chunk in _with_crlf(Copy(start, end).chunks(source)))
    return Copy(start, end) if length == end - start else CopyLines(start, end, length)


@dataclass(frozen=True, slots=True)
class Base64:
    """The content of a leaf, encoded anew. With `lines`, its line ends become CRLF first; `line_end` is put behind the last line."""

    part: Part
    lines: bool
    line_end: bool

    @property
    def length(self) -> int:
        content = self.part.content
        size = decoded_size(self.part) + (content.lone_lfs if content and self.lines else 0)
        encoded = (size + 2) // 3 * 4
        breaks = (encoded - 1) // 76 + self.line_end if encoded else 0
        return encoded + 2 * breaks

    def chunks(self, source: ReadAt) -> Iterator[bytes]:
        pieces = decoded_pieces(source, self.part)
        between = b""
        for block in _blocks(_with_crlf(pieces) if self.lines else pieces):
            encoded = binascii.b2a_base64(block, newline=False)
            yield between + b"\r\n".join([encoded[at : at + 76] for at in range(0, len(encoded), 76)])
            between = b"\r\n"
        if self.line_end:
            yield between


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of whole base64 lines; the last one may be shorter."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) // _LINE * _LINE
        rest = data[whole:]
        if whole:
            yield data[:whole]
    if rest:
        yield rest


def _with_crlf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    after_cr = False
    for piece in pieces:
        kept = 1 if after_cr and piece.startswith(b"\n") else 0
        after_cr = piece.endswith(b"\r") if piece else after_cr
        yield piece[:kept] + with_crlf(piece[kept:])


def with_crlf(text: bytes) -> bytes:
    """`text` with CRLF where it has LF alone."""
    return _LONE_LF.sub(b"\r\n", text) if text.count(b"\n") != text.count(b"\r\n") else text


def streamed(source: ReadAt, pieces: Iterable[Piece]) -> Streamed:
    """All pieces, one after the other; copies that touch become one."""
    kept: list[Piece] = []
    for piece in pieces:
        last = kept[-1] if kept else None
        if isinstance(piece, Copy) and isinstance(last, Copy) and last.end == piece.start:
            kept[-1] = Copy(last.start, piece.end)
        elif piece.length:
            kept.append(piece)

    def chunks() -> Iterator[bytes]:
        for piece in kept:
            yield from piece.chunks(source)

    return Streamed(sum(piece.length for piece in kept), chunks)
