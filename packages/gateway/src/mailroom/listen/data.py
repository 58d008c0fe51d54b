"""What follows DATA: from the wire to the message, without ever mistaking a part of it for its end.

Lines end with CR LF and the data end with CR LF "." CR LF (RFC 5321 2.3.8, 4.1.1.4). A CR or LF by itself is how mail is smuggled:
one server takes `LF . LF` for the end where another one doesn't. So any of them makes the message unacceptable, and whatever comes
after it on that connection is never read as a command. NUL is not allowed in mail (RFC 5322 4) and some servers drop it, which can
turn harmless bytes into an end of data: refused as well.

Every mail passes here: whole chunks go through functions that are written in C, never line by line.
"""

from __future__ import annotations

import re
from enum import Enum
from io import IncrementalNewlineDecoder

END = b"\r\n.\r\n"
_PATIENCE = 1024 * 1024
"""Bytes beyond twice the limit that are read, so that the client may hear a proper answer."""
_PIECES = 500
"""More than these are joined: a million chunks of one byte must not cost a hundred times their size."""
_DOT = re.compile(rb"\r\n\.")  # twice as fast as bytes.find: the end of data and every dot to be removed begin like this
_BEGINNINGS_OF_END = tuple(END[:length] for length in (4, 3, 2, 1))


class Flaw(Enum):
    """Why bytes can't be a message."""

    BARE_NEWLINE = "a CR or LF by itself"
    NUL = "a NUL character"


class DataDecoder:
    """Takes chunks as they come, cut anywhere, and gives the message without the transparency dots (RFC 5321 4.5.2).

    `limit` is the largest message in bytes, `batch` the number of bytes after which its owner is asked to `take` some away.
    Of a message that is too large only the end is looked for; it keeps nothing then.
    """

    __slots__ = ("_batch", "_carry", "_endings", "_first", "_keep", "_limit", "_pieces", "done", "flaw", "pending", "received", "size")

    def __init__(self, *, limit: int, batch: int) -> None:
        self._limit = limit
        self._batch = batch
        self._pieces: list[bytes] = []
        self._carry = END[:2]  # as if a line had just ended: so a dot on the very first line is like any other
        self._first = True
        self._keep = True
        # Sees in one pass which kinds of line ends occur; counting CR, LF and CR LF takes three.
        self._endings = IncrementalNewlineDecoder(None, translate=False)
        self.done = False
        self.flaw: Flaw | None = None
        self.received = 0
        """Bytes taken from the wire."""
        self.size = 0
        """Bytes of the message so far, also of those that were not kept."""
        self.pending = 0
        """Bytes that wait for `take`."""

    @property
    def ready(self) -> bool:
        """Whether its owner has something to do."""
        return self.done or self.flaw is not None or self.pending >= self._batch or self.excessive

    @property
    def too_large(self) -> bool:
        return self.size > self._limit

    @property
    def excessive(self) -> bool:
        """Whether it went on far beyond the limit: no need to hear the end."""
        return self.received > 2 * self._limit + _PATIENCE

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk. Returns what follows the end of the data; nothing follows a flaw."""
        data = self._carry + chunk
        dot = _DOT.search(data)
        end = -1 if dot is None else data.find(END, dot.start())
        if end >= 0:
            self.done = True
            stop, rest = end + 2, data[end + len(END) :]
        else:
            stop, rest = len(data) - _held_back(data), b""
        self._carry = data[stop:] if end < 0 else b""
        self.received += len(chunk) - len(rest)
        text = data[:stop]
        self._inspect(text)
        if self.flaw is not None:
            self.drop()
            self.done = False
            return b""
        if dot is not None and dot.start() != end:
            text = text.replace(END[:3], END[:2])
        self._add(text)
        return rest

    def take(self) -> bytes:
        """What waits, in one piece."""
        pieces, self._pieces, self.pending = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def drop(self) -> None:
        """Keep nothing from here on; only the end matters."""
        self._keep = False
        self._pieces.clear()
        self.pending = 0

    def _inspect(self, text: bytes) -> None:
        self._endings.decode(text.decode("latin-1"))
        if self._endings.newlines not in (None, "\r\n") or text.endswith(b"\r"):  # what was held back begins with a CR as well
            self.flaw = Flaw.BARE_NEWLINE
        elif b"\0" in text:
            self.flaw = Flaw.NUL

    def _add(self, text: bytes) -> None:
        if self._first and text:
            text = text[2:]  # the line end that `_carry` began with
            self._first = False
        self.size += len(text)
        if self.size > self._limit:
            self.drop()
        elif self._keep and text:
            self._pieces.append(text)
            self.pending += len(text)
            if len(self._pieces) > _PIECES:
                self._pieces = [b"".join(self._pieces)]


def _held_back(data: bytes) -> int:
    """How many bytes at the end may be the beginning of the end of data."""
    for beginning in _BEGINNINGS_OF_END:
        if data.endswith(beginning):
            return len(beginning)
    return 0
