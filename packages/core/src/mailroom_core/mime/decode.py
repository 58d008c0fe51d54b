"""Transfer encodings, piece by piece (RFC 2045 6).

What comes out does not depend on how the input is cut, and `pending` is the whole state between two pieces: with it, decoding can
be taken up again in the middle of a body. Broken input is read as Python's `email` reads it.
"""

from __future__ import annotations

import binascii
import re
from typing import Protocol

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NO_BASE64 = bytes(set(range(256)) - set(_ALPHABET))
_PADDING = re.compile(rb"=+")
_LONE_CR = re.compile(rb"(==)|=\r(?!\n)")


class Decoder(Protocol):
    """Takes the encoded bytes in order and gives the decoded ones."""

    pending: bytes
    done: bool
    """The data has ended before its bytes; what follows means nothing."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes:
        """What `pending` still means now that nothing follows."""


def decoder(encoding: str, pending: bytes = b"") -> Decoder:
    """A decoder for a lower-case Content-Transfer-Encoding; an unknown one is left as it is."""
    match encoding:
        case "base64":
            return _Base64(pending)
        case "quoted-printable":
            return _QuotedPrintable(pending)
        case _:
            return _Identity(pending)


def is_encoded(encoding: str) -> bool:
    """Whether the bytes of the body are others than those of its content."""
    return encoding in ("base64", "quoted-printable")


class _Identity:
    def __init__(self, pending: bytes) -> None:
        self.pending = pending
        self.done = False

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Base64:
    """Characters outside of the alphabet are skipped; padding where it may stand ends the data. `pending` is at most `QQ=`."""

    def __init__(self, pending: bytes) -> None:
        self.pending = pending
        self.done = False

    def feed(self, data: bytes) -> bytes:
        if self.done:
            return b""
        text = self.pending + data.translate(None, _NO_BASE64)
        text, tail, ends = _without_padding(text)
        if ends:
            self.pending, self.done = b"", True
            return binascii.a2b_base64(text + b"==")
        whole = len(text) // 4 * 4
        self.pending = text[whole:] + tail
        return binascii.a2b_base64(text[:whole])

    def finish(self) -> bytes:
        return binascii.a2b_base64(self.pending + b"==") if len(self.pending) > 1 else b""


def _without_padding(text: bytes) -> tuple[bytes, bytes, bool]:
    """`text` up to the padding that ends it; a last `=` that may be the first half of that padding; whether it ends here."""
    if b"=" not in text:
        return text, b"", False
    skipped = 0
    for run in _PADDING.finditer(text):
        count, length = run.start() - skipped, run.end() - run.start()
        skipped += length
        if count % 4 >= 2:
            if count % 4 + length >= 4:
                return text[: run.start()].replace(b"=", b""), b"", True
            if run.end() == len(text):
                return text.replace(b"=", b""), b"=", False
    return text.replace(b"=", b""), b"", False


class _QuotedPrintable:
    """`pending` is an escape that is not complete: `=` and at most one character."""

    def __init__(self, pending: bytes) -> None:
        self.pending = pending
        self.done = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        text = self.pending + data
        end = len(text)
        for tail in (0, 1):  # characters behind the last run of `=`, which is read in pairs from its start
            run = len(text) - tail
            equals = run - len(text[:run].rstrip(b"="))
            if equals % 2:
                end = run - 1
                break
            if equals:
                break
        self.pending = text[end:]
        return _a2b_qp(text[:end])

    def finish(self) -> bytes:
        return _a2b_qp(self.pending)


def _a2b_qp(text: bytes) -> bytes:
    # a2b_qp takes everything from `=CR` to the next LF for a soft line break; without an LF that would be half of the mail.
    if b"=\r" in text.replace(b"=\r\n", b""):
        text = _LONE_CR.sub(lambda match: match[1] or b"=\n", text)
    return binascii.a2b_qp(text)
