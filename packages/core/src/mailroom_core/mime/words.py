"""Encoded words: text outside of ASCII in header fields (RFC 2047)."""

from __future__ import annotations

import binascii
import re

from mailroom_core.mime import charsets

# RFC 2231 5 adds the language after an asterisk. Spaces inside are forbidden and common.
_WORD = re.compile(r"=\?([\w.:+-]+)(?:\*[\w-]*)?\?([bBqQ])\?([^?]*)\?=", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")  # terminals also take those above 0x7f for commands
_UNSAFE = re.compile(r"[^\x20-\x7e]|=\?")
_OCTETS = 45  # =?utf-8?b? + 60 + ?= is 72, and a word has at most 75 (RFC 2047 2)


def decode_words(text: str) -> str:
    """The text that people see; what is no valid encoded word stays. Has no control characters.

    Neighbours of one charset are joined before decoding, because many senders split characters between words.
    """
    if "=?" not in text:
        return clean(text)
    out: list[str] = []
    octets, charset, end = bytearray(), "", 0
    for match in _WORD.finditer(text):
        data = _octets(match[2], match[3])
        if data is None:
            continue
        gap = text[end : match.start()]
        between = end > 0 and (not gap or gap.isspace())  # RFC 2047 6.2: blanks between words are not shown
        if not between or match[1].lower() != charset:
            out += charsets.decode(bytes(octets), charset), "" if between else gap
            octets.clear()
        octets += data
        charset, end = match[1].lower(), match.end()
    out += charsets.decode(bytes(octets), charset), text[end:]
    return clean("".join(out))


def _octets(encoding: str, text: str) -> bytes | None:
    try:
        data = text.encode("ascii")
        if encoding in "qQ":
            return binascii.a2b_qp(data, header=True)
        return binascii.a2b_base64(data + b"==")
    except (binascii.Error, UnicodeEncodeError):
        return None


def clean(text: str) -> str:
    """`text` in one line: every run of control characters becomes a space, because a name may carry them encoded."""
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def encode_words(text: str) -> str:
    """`text` as base64 words of utf-8, with a space between them; as it is if it is plain ASCII that nobody would decode."""
    if not _UNSAFE.search(text):
        return text
    words: list[str] = []
    piece = b""
    for char in text:
        octets = char.encode("utf-8", "replace")
        if len(piece) + len(octets) > _OCTETS:
            words.append(_word(piece))
            piece = b""
        piece += octets
    words.append(_word(piece))
    return " ".join(words)


def _word(octets: bytes) -> str:
    return f"=?utf-8?b?{binascii.b2a_base64(octets, newline=False).decode('ascii')}?="
