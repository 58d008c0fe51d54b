"""The parameters of Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2183, RFC 2231), as they are found in the wild."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from mailroom_core.mime import charsets
from mailroom_core.mime.words import clean, decode_words

_MAIN = re.compile(r"\s*([^\s;(]*)")
_PARAM = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_SECTION = re.compile(r"(.+?)(?:\*(\d{1,4}))?(\*)?", re.DOTALL)  # RFC 2231 3, 4: name*1*


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """`text/plain; charset="utf-8"` as ("text/plain", {"charset": "utf-8"}), all names in lower case.

    `value` is in one line (`Fields.unfolded`). RFC 2231 wins over a plain parameter of the same name; encoded words in values,
    which RFC 2047 forbids, are decoded; of two parameters of one name the first counts.
    """
    main = _MAIN.match(value)
    assert main is not None, "it matches anything"
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    pos = value.find(";")
    while pos >= 0:
        match = _PARAM.match(value, pos)
        if match is None:
            pos = value.find(";", pos + 1)
            continue
        pos = value.find(";", match.end())
        text = match[2]
        text = _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') and len(text) > 1 and text.endswith('"') else text.strip(' \t"')
        section = _SECTION.fullmatch(match[1].lower())
        assert section is not None, "a name has a character"
        name, number, extended = section.groups()
        if number is None and extended is None:
            plain.setdefault(name, decode_words(text))
        else:
            sections.setdefault(name, {}).setdefault(int(number or 0), (extended is not None, text))
    return main[1].lower(), plain | {name: _joined(parts) for name, parts in sections.items()}


def _joined(parts: dict[int, tuple[bool, str]]) -> str:
    """The value of all sections in order; the first one names the charset of those that are percent-encoded."""
    charset, octets = "", bytearray()
    for position, (_, (extended, text)) in enumerate(sorted(parts.items())):
        if extended and position == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        octets += unquote_to_bytes(text) if extended else text.encode("utf-8")
    return clean(charsets.decode(bytes(octets), charset))
