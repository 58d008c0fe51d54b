"""Lines that are longer than mail may have them."""

from __future__ import annotations

LONGEST = 998
"""Octets without CR LF (RFC 5321 4.5.3.1.6, RFC 5322 2.1.1); beyond it, content is neither 7bit nor 8bit but binary (RFC 2045 2.7)."""


_MOST = LONGEST + len(b"\r")


class LineLengths:
    """Whether there was a line that is too long, in bytes that come piece by piece."""

    def __init__(self) -> None:
        self.too_long = False
        self._open = 0

    def feed(self, data: bytes) -> None:
        """From the start of a line to the last end of a line that it may reach: the lines between are short, nobody looks at them."""
        start, before = 0, self._open
        while not self.too_long and len(data) - start > _MOST - before:
            end = data.rfind(b"\n", start, start + _MOST - before + 1)
            self.too_long = end < 0
            start, before = end + 1, 0
        end = data.rfind(b"\n", start)
        self._open = before + len(data) - start if end < 0 else len(data) - end - 1
