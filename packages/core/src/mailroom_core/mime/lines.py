"""Lines that are longer than mail may have them."""

from __future__ import annotations

LONGEST = 998
"""Octets without CR LF (RFC 5321 4.5.3.1.6, RFC 5322 2.1.1); beyond it, content is neither 7bit nor 8bit but binary (RFC 2045 2.7)."""


class LineLengths:
    """Whether there was a line that is too long, in bytes that come piece by piece."""

    def __init__(self) -> None:
        self.too_long = False
        self._open = 0

    def feed(self, data: bytes) -> None:
        if self.too_long:
            return
        first, *others = data.split(b"\n")
        longest = self._open + len(first)
        self._open = longest
        if others:
            longest = max(longest, *map(len, others))
            self._open = len(others[-1])
        self.too_long = longest > LONGEST + len(b"\r")
