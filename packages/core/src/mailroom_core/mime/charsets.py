"""Text out of bytes whose charset is declared wrongly, or not at all."""

from __future__ import annotations

import codecs
from functools import lru_cache

_ALIASES = {
    "ansi": "windows-1252",
    "cp-850": "cp850",
    "gb2312": "gb18030",  # what is labelled gb2312 is mostly its superset
    "gbk": "gb18030",
    "iso-8859-1": "windows-1252",  # https://encoding.spec.whatwg.org/#names-and-labels: the label is used for its superset
    "latin-1": "windows-1252",
    "latin1": "windows-1252",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "x-gbk": "gb18030",
    "x-mac-roman": "mac-roman",
    "x-sjis": "cp932",
}
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "mbcs", "oem"})


@lru_cache(maxsize=256)
def codec(charset: str) -> str | None:
    """Python's own name for a charset of a mail (`utf-8`, `ascii`, `cp1252`), or None if it is unknown or no charset at all."""
    label = charset.strip().lower().replace("_", "-")
    label = _ALIASES.get(label, label)
    if label in _NO_CHARSETS or len(label) > 40 or not label.isascii():
        return None
    try:
        b"a".decode(label, "replace")
        return codecs.lookup(label).name
    except (LookupError, ValueError):
        return None


def decode(data: bytes, charset: str = "") -> str:
    """The text of `data`. Missing, unknown and lying charsets: utf-8 if it decodes, else windows-1252. Has no lone surrogates."""
    name = codec(charset) if charset else None
    if name is None or name in ("ascii", "utf-8"):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("windows-1252", "replace")
    text = data.decode(name, "replace")
    # Some of Python's decoders (utf-7) give lone surrogates, which nothing can write again.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
