"""Where bytes lie: the shapes that everything which reads or sends a mail agrees on."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


class ReadAt(Protocol):
    """Bytes that lie somewhere: a file, a blob, a `bytes`. Only the part that is asked for comes into memory."""

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, less only at the end."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """A `ReadAt` over bytes at hand."""

    raw: bytes

    @property
    def size(self) -> int:
        return len(self.raw)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.raw[offset : offset + length]


@dataclass(frozen=True, slots=True)
class Streamed:
    """A body that is read while it is sent, anew for every try. `length` is in bytes and exact."""

    length: int
    chunks: Callable[[], Iterator[bytes]]


def in_base64(mime: Streamed) -> Streamed:
    """Graph wants base64 of the whole MIME."""

    def encoded() -> Iterator[bytes]:
        rest = b""
        for chunk in mime.chunks():
            rest += chunk
            whole = len(rest) // 3 * 3
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:]
        yield base64.b64encode(rest)

    return Streamed((mime.length + 2) // 3 * 4, encoded)
