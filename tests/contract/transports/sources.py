"""Bytes that were never written anywhere: mails of any size for the price of one piece."""

from __future__ import annotations

from dataclasses import dataclass

_HEAD = b"Subject: large\r\n\r\n"
_LINE = b"." + b"x" * 61 + b"\r\n"
_BLOCK = _LINE * 4096


@dataclass(frozen=True)
class LargeMail:
    """A mail of `size` bytes; every line of its body begins with a dot. `promised` is what it claims to have."""

    length: int
    promised: int = 0

    @property
    def size(self) -> int:
        return self.promised or self.length

    def read_at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.length)
        if offset >= end:
            return b""
        if offset < len(_HEAD):
            return (_HEAD + _BLOCK * (1 + (end - offset) // len(_BLOCK)))[offset:end]
        start = (offset - len(_HEAD)) % len(_LINE)
        return (_BLOCK * (2 + (end - offset) // len(_BLOCK)))[start : start + end - offset]


class LostMail:
    """Its file is gone."""

    size = 1000

    def read_at(self, offset: int, length: int) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")
