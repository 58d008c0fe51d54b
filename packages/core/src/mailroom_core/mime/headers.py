"""The head of a mail: split fast, keep every byte, decode only what is asked for.

Where a head is malformed, it ends at the first line that is neither a field nor a continuation (Postfix reads it the same way);
`Fields.defect` says so, because other readers go on looking for fields behind it. A first line `From a@b Mon Jan ...`, as
mbox files have it, is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mailroom_core.errors import MimeError
from mailroom_core.mime import charsets
from mailroom_core.mime.words import clean, decode_words, encode_words

# RFC 5322 2.2; obs-fields (4.5) may have blanks before the colon. LF alone is tolerated.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*(?:\n[ \t].*)*)(?:\n|\Z)")
_MBOX_LINE = re.compile(rb">?From .*(?:\n[ \t].*)*(?:\n|\Z)")  # unfolded like a field, because it may become one
_NAME = re.compile(r"[!-9;-~]+")
_LINE_WIDTH = 78
# Readers take a line end inside of quotes for the end of the address, so what is quoted stays in one line.
_FOLDABLE = re.compile(r""" *(?:"(?:[^"\\]|\\.){0,250}"|[^ "]|")+""")


class Field(NamedTuple):
    """One field. `raw` is all of it with its line end, `value` what follows the colon, folds included."""

    name: str
    raw: bytes
    value: bytes


class Fields:
    """The fields of a head, in order. `raw` may be the whole message; only its head is looked at.

    `start` is the offset of the first field (0, but for an mbox line), `end` the one behind the last field, `body_start` the
    one behind the empty line.
    """

    __slots__ = ("_index", "_raw", "_spans", "body_start", "defect", "end", "start")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._spans: list[tuple[int, int, tuple[int, int], int]] = []  # start, end of the name, value, end
        self._index: dict[bytes, list[tuple[int, int]]] = {}
        self.start = self.end = _mbox_line(raw)
        match = _FIELD.match(raw, self.end)
        while match is not None:
            value, self.end = match.span(2), match.end()
            self._spans.append((match.start(), match.end(1), value, self.end))
            self._index.setdefault(match[1].lower(), []).append(value)
            match = _FIELD.match(raw, self.end)
        blank = 2 if raw.startswith(b"\r\n", self.end) else 1 if raw.startswith(b"\n", self.end) else 0
        self.body_start = self.end + blank
        self.defect = ""
        if not blank and self.end < len(raw):
            number = raw.count(b"\n", 0, self.end) + 1
            self.defect = f"line {number} of the head is no header field: an empty line must stand between head and body"

    def get(self, name: str) -> str | None:
        """The first field of that name: unfolded (every fold is one space), decoded, without control characters.

        Not for fields with addresses: a decoded name may look like another address. `addresses` reads those.
        """
        found = self._values(name)
        return decode_words(_unfold(found[0])) if found else None

    def all(self, name: str) -> list[str]:
        """Every field of that name, as `get` reads it."""
        return [decode_words(_unfold(value)) for value in self._values(name)]

    def raw(self, name: str) -> bytes | None:
        """The value of the first field of that name as it stands, folds included, without the last line end."""
        found = self._values(name)
        return found[0] if found else None

    def unfolded(self, name: str) -> str | None:
        """The first field of that name in one line, encoded words left as they are; 8-bit text is decoded."""
        found = self._values(name)
        return _unfold(found[0]) if found else None

    def all_unfolded(self, name: str) -> list[str]:
        """Every field of that name, as `unfolded` reads it."""
        return [_unfold(value) for value in self._values(name)]

    def addresses(self, name: str) -> list[tuple[str, str]]:
        """The names and addresses in all fields of that name."""
        return [pair for value in self._values(name) for pair in addresses(_unfold(value))]

    def count(self, name: str) -> int:
        """How many fields of that name there are."""
        return len(self._index.get(name.lower().encode("ascii"), ()))

    def __contains__(self, name: str) -> bool:
        return name.lower().encode("ascii") in self._index

    def _values(self, name: str) -> list[bytes]:
        return [self._raw[start:end].rstrip(b"\r") for start, end in self._index.get(name.lower().encode("ascii"), ())]

    def __iter__(self) -> Iterator[Field]:
        raw = self._raw
        for start, name_end, (value_start, value_end), end in self._spans:
            yield Field(raw[start:name_end].decode("ascii"), raw[start:end], raw[value_start:value_end].rstrip(b"\r"))


def _mbox_line(raw: bytes) -> int:
    """The length of a first line `From ` or `>From `, which no mail should have, else 0."""
    match = _MBOX_LINE.match(raw)
    return match.end() if match and not _FIELD.match(raw) else 0


def _unfold(value: bytes) -> str:
    if b"\n" in value:
        value = b" ".join([line.strip(b" \t\r") for line in value.split(b"\n")])
    return clean(charsets.decode(value)).strip()


# Addresses (RFC 5322 3.4), as they are found in the wild

_ATOM = r'[^\s<>()\[\]:;,"\\@\x00-\x1f\x7f]+'
_PLAIN = re.compile(
    rf'\s*(?:(?:"([^"\\]*)"\s*|([^\s"\\<>()\[\]:;,@][^"\\<>()\[\]:;,@]*)?)<({_ATOM}@{_ATOM})>|({_ATOM}@{_ATOM}))\s*(?:,|\Z)'
)
_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<quoted>"(?:[^"\\]|\\.)*") | (?P<quote>") | (?P<comment>\() | (?P<mark>[,;:<>])
      | (?P<literal>\[[^\[\]\\]*\]) | (?P<word>(?:[^\s"(,;:<>\[]|\[)[^\s"(,;:<>\[]*)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK = re.compile(r"\\.|[()]", re.DOTALL)
_CHUNK = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"])+', re.DOTALL)
_AROUND_AT = re.compile(r'("(?:[^"\\]|\\.)*")| ?(@) ?', re.DOTALL)
_AROUND_DOT = re.compile(r'("(?:[^"\\]|\\.)*")| ?([.@]) ?', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WRITABLE = re.compile(rf'(?:{_ATOM}|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*")@(?:{_ATOM}|\[[^\s\[\]\\<>()",;\x00-\x1f\x7f]*\])')


def addresses(value: str) -> list[tuple[str, str]]:
    """Names and addresses of a To, Cc, From ... in one line, encoded words not yet decoded (`Fields.unfolded`).

    Tolerant: groups (`undisclosed-recipients:;` has none), semicolons, missing and trailing commas, comments, `name a@b`,
    unclosed quotes. What has no `@` is no address and is left out. Addresses keep their spelling.
    """
    reader = _Reader()
    pos = 0
    while match := _PLAIN.match(value, pos):
        reader.add(match[1] or match[2] or "", match[3] or match[4])
        pos = match.end()
    if pos < len(value):
        reader.read(value[pos:])
    return reader.found


class _Reader:
    """Collects one mailbox after the other: its words, what stands in angle brackets, its comments."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._start()

    def _start(self) -> None:
        self.text: list[str] = []
        self.angle: list[str] = []
        self.in_angle = self.had_angle = False
        self.comment = ""

    def read(self, value: str) -> None:
        pos = 0
        while match := _TOKEN.match(value, pos):
            pos = match.end()
            kind, token = match.lastgroup, match[0]
            if kind == "mark":
                self._mark(token)
            elif kind == "quote":  # it is never closed: none of the rest is a quote
                value, pos = value[:pos] + value[pos:].replace('"', " "), pos
            elif kind == "comment":
                end = _comment_end(value, pos)
                if end:
                    self.comment = self.comment or value[pos : end - 1]
                    pos = end
                else:
                    value = value[:pos] + value[pos:].replace("(", " ")
            else:
                (self.angle if self.in_angle else self.text).append(" " if kind == "space" else token)
        self._finish()

    def _mark(self, mark: str) -> None:
        if mark == "<":
            if self.had_angle and not self.in_angle:
                self._finish()
            self.angle, self.in_angle, self.had_angle = [], True, True
        elif mark == ">":
            self.in_angle = False
        elif self.in_angle and (mark == ":" or (mark == "," and self.angle and self.angle[0].startswith("@"))):
            self.angle.append(mark)  # RFC 5322 4.4: a route, <@a,@b:user@c>
        elif mark == ":":
            self._start()  # that was the name of a group
        else:
            self._finish()

    def _finish(self) -> None:
        text, angle, comment, had_angle = "".join(self.text), "".join(self.angle), self.comment, self.had_angle
        self._start()
        if had_angle:
            if angle.startswith("@"):
                angle = angle.rpartition(":")[2]
            self.add(_unquoted(text) or comment, _AROUND_DOT.sub(r"\1\2", angle.strip()))
            return
        chunks = _CHUNK.findall(_AROUND_AT.sub(r"\1\2", text.strip()))
        found = [chunk for chunk in chunks if "@" in chunk]
        name = " ".join(chunk for chunk in chunks if "@" not in chunk) if len(found) == 1 else ""
        for chunk in found:
            self.add(_unquoted(name) or comment, chunk)

    def add(self, name: str, address: str) -> None:
        local, at, domain = address.rpartition("@")
        if at and local and domain:
            name = " ".join(name.split())
            self.found.append((decode_words(name).strip() if name else "", clean(address)))


def _comment_end(value: str, pos: int) -> int:
    """The offset behind the parenthesis that closes the one before `pos`, or 0."""
    depth = 1
    for match in _COMMENT_MARK.finditer(value, pos):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return 0


def _unquoted(text: str) -> str:
    return _QUOTED.sub(lambda match: _QUOTED_PAIR.sub(r"\1", match[1]), text).strip()


def address_key(address: str) -> bytes:
    """What two spellings of one address have in common: the case of ASCII letters does not count, unless the local part isn't ASCII."""
    local, _, domain = address.rpartition("@")
    return (local.lower() if local.isascii() else local).encode("utf-8", "replace") + b"@" + domain.encode("utf-8", "replace").lower()


# Writing


def format_address(name: str, address: str) -> str:
    """`"Mary" <mary@example.com>`: an ASCII name is quoted, another one becomes base64 words; domains become ASCII (IDNA).

    Raises MimeError for what would end the field or be read as another address.
    """
    refuse_line_ends(name)
    address = ascii_address(address)
    if not name:
        return address
    encoded = encode_words(name)
    if encoded == name and len(name) < 200:
        encoded = '"{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
    return f"{encoded} <{address}>"


def ascii_address(address: str) -> str:
    """The address with its domain in ASCII (IDNA). Raises MimeError for what is no address."""
    local, _, domain = address.rpartition("@")
    try:
        local.encode("utf-8")
        address = address if domain.isascii() else f"{local}@{domain[:255].encode('idna').decode('ascii')}"
    except UnicodeError:
        raise MimeError(f"{address!r} can't be written into a header: its domain has no ASCII form (IDNA), or it is no text") from None
    if not _WRITABLE.fullmatch(address):
        raise MimeError(f"{address!r} can't be written into a header: write it as local@domain, special characters in quotes")
    return address


def format_addresses(found: Iterable[tuple[str, str]]) -> str:
    """A list of addresses as the value of To, Cc ..."""
    return ", ".join(format_address(name, address) for name, address in found)


def refuse_line_ends(text: str) -> None:
    """Raise MimeError for CR, LF and NUL: with them, a value could become further fields (header injection)."""
    if "\r" in text or "\n" in text or "\0" in text:
        raise MimeError(f"{text[:60]!r} can't be a header: it has a line end or a NUL inside")


def field(name: str, value: str) -> bytes:
    """`name: value` with CRLF, folded at spaces to 78 characters where possible. `value` is written as it is, see `text_field`."""
    refuse_line_ends(value)
    if not _NAME.fullmatch(name):
        raise MimeError(f"{name[:60]!r} can't be the name of a header: use letters, digits and dashes")
    lines, line = [], f"{name}:"
    for token in _FOLDABLE.findall(" " + value.strip()):
        if len(line) + len(token) > _LINE_WIDTH and len(line) > len(name) + 1:
            lines.append(line)
            line = ""
        line += token
    lines.append(line)
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n"


def text_field(name: str, value: str) -> bytes:
    """`field` for text that people read: what is not ASCII becomes encoded words."""
    refuse_line_ends(value)
    return field(name, encode_words(value))
