"""The hash of a body, canonicalized as DKIM wants it (RFC 6376 3.4), read in pieces: dkimpy wants the whole mail in memory."""

from __future__ import annotations

import hashlib
import re

from mailroom_core.mime.source import ReadAt

_PIECE = 256 * 1024
_BLANKS = re.compile(rb"[\t ]+")
_LINES = b"\r\n" * 4096


class Bodies:
    """Of one mail, whose body begins at `start`."""

    def __init__(self, source: ReadAt, start: int) -> None:
        self._source = source
        self._start = start
        self._known: dict[bytes, tuple[bytes, int]] = {}

    def sha256(self, form: bytes) -> tuple[bytes, int]:
        """The hash and the length of the `simple` or `relaxed` body."""
        if form not in self._known:
            made = _Hash(relaxed=form == b"relaxed")
            for offset in range(self._start, self._source.size, _PIECE):
                made.feed(self._source.read_at(offset, _PIECE))
            self._known[form] = made.close()
        return self._known[form]


class _Hash:
    """Blanks and empty lines at the end of what has come so far wait: what follows decides whether they count."""

    def __init__(self, *, relaxed: bool) -> None:
        self._relaxed = relaxed
        self._hash = hashlib.sha256()
        self._size = 0
        self._rest = b""
        self._empty = 0
        """Line ends that wait."""

    def feed(self, data: bytes) -> None:
        text = self._rest + data
        if self._relaxed:
            text = _BLANKS.sub(b" ", text)
        self._rest = text[len(text) - _waiting(text) :]
        text = text[: len(text) - len(self._rest)]
        self._add(text.replace(b" \r\n", b"\r\n") if self._relaxed else text)

    def close(self) -> tuple[bytes, int]:
        if self._rest:
            self._add(self._rest.rstrip(b" ") if self._relaxed else self._rest)
        if self._size or not self._relaxed:
            self._update(b"\r\n")
        return self._hash.digest(), self._size

    def _add(self, text: bytes) -> None:
        line = text.rstrip(b"\r\n")
        if line:
            while self._empty:
                lines = _LINES[: 2 * self._empty]
                self._empty -= len(lines) // 2
                self._update(lines)
            self._update(line)
        self._empty += (len(text) - len(line)) // 2

    def _update(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)


def _waiting(text: bytes) -> int:
    """Bytes at the end that what follows may change."""
    return 2 if text.endswith(b" \r") else 1 if text.endswith((b" ", b"\r")) else 0
