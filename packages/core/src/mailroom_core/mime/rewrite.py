"""The mail as the next hop needs it: recipients in headers, another From, nothing but ASCII on the wire.

Only fields and bodies that have to change are written anew; everything between them is copied. Nothing inside of a signed or an
encrypted part changes, nor in a message that contains one: of such a mail, only the outer fields do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mailroom_core.errors import MimeError
from mailroom_core.mime import charsets
from mailroom_core.mime.headers import Field, Fields, text_field
from mailroom_core.mime.index import MAX_HEAD, Part, index, read_head
from mailroom_core.mime.pieces import Base64, Copy, Piece, Text, copy_lines, streamed, with_crlf
from mailroom_core.mime.recipients import address_field, author, recipients
from mailroom_core.mime.sealed import is_sealed
from mailroom_core.mime.source import ReadAt, Streamed
from mailroom_core.model import Envelope

_ADDRESS_FIELDS = frozenset(
    {"from", "reply-to", "sender", "resent-from", "resent-sender", "resent-to", "resent-cc", "disposition-notification-to"}
)
# A quoted string, which is skipped; or the parameter up to its value, and the value.
_CHARSET = re.compile(rb'("(?:[^"\\]|\\.)*")|(;\s*charset\s*=\s*)(?:"(?:[^"\\]|\\.)*"|[^\s;"]*)', re.IGNORECASE | re.DOTALL)
_HIDDEN = ("bcc", "resent-bcc")
"""Fields that no recipient may read (RFC 5322 3.6.3, 3.6.6)."""
_LONE_CR = re.compile(rb"\r(?!\n)")

_Edits = dict[str, bytes]
"""Lower-case names and the whole new field: nothing takes the field away, a new name goes to the end of the head."""


def for_envelope(source: ReadAt, envelope: Envelope, *, rewrite_from: str = "", add: Iterable[tuple[str, str]] = ()) -> Streamed:
    """The mail for a provider without an envelope (Microsoft Graph): its headers name the envelope's recipients, and nobody else.

    `rewrite_from` is a new From value, see `recipients.author`; `add` are further fields, names and text. CRLF everywhere, all 8-bit,
    binary and quoted-printable content as base64, because Exchange spoils it (Nine-Minds/alga-psa#3137, jstedfast/MailKit#1999),
    text with a charset that is true. Raises MimeError, also for a recipient that can't stand in a header.
    """
    root = index(source)
    fields = read_head(source, root)
    shown = recipients(fields, envelope)
    edits = {name.lower(): address_field(name, boxes) for name, boxes in (("To", shown.to), ("Cc", shown.cc), ("Bcc", shown.bcc))}
    edits["resent-bcc"] = b""
    added = [text_field(name, value) for name, value in add]
    return streamed(source, _mail(source, root, _FOR_GRAPH, edits | _author_edits(fields, rewrite_from), added))


def to_7bit(source: ReadAt, *, rewrite_from: str = "") -> Streamed:
    """The mail for a server without 8BITMIME: as `for_smtp` gives it, and 8-bit and binary content (so lines that are too long) becomes
    base64.

    That holds for 8-bit bytes in header fields and outside of the parts too; nobody may send those, and everybody takes them.
    Raises MimeError where only a signed part could be converted: that would break the signature.
    """
    root = index(source)
    return streamed(source, _mail(source, root, _SEVEN_BIT, _smtp_edits(read_head(source, root), rewrite_from)))


def for_smtp(source: ReadAt, rewrite_from: str = "") -> Streamed:
    """The mail without Bcc and Resent-Bcc, because every recipient gets the same bytes; with another From if there is one, see
    `recipients.author`. Everything else stays byte for byte. Reads nothing but the head."""
    return replace_fields(source, lambda fields: _smtp_edits(fields, rewrite_from))


def hides_somebody(source: ReadAt) -> bool:
    """Whether the mail has a Bcc or a Resent-Bcc. Reads nothing but the head."""
    fields = Fields(source.read_at(0, MAX_HEAD))
    return any(each in fields for each in _HIDDEN)


def replace_fields(source: ReadAt, edits: Callable[[Fields], Mapping[str, bytes]]) -> Streamed:
    """The mail with some fields written anew; everything else stays byte for byte. Reads nothing but the head.

    `edits` gives lower-case names and the whole new field, or several of that name; nothing takes them away, a name that the mail has
    not goes to the end of its head.
    """
    raw = source.read_at(0, MAX_HEAD)
    fields = Fields(raw)
    if fields.body_start == len(raw) < source.size:
        raise MimeError(f"the head of the mail is larger than {MAX_HEAD} bytes")
    return streamed(source, [Text(_head(fields, edits(fields), _as_it_is)), Copy(fields.body_start, source.size)])


def _smtp_edits(fields: Fields, rewrite_from: str) -> _Edits:
    return dict.fromkeys((each for each in _HIDDEN if each in fields), b"") | _author_edits(fields, rewrite_from)


def _author_edits(fields: Fields, rewrite_from: str) -> _Edits:
    if not rewrite_from:
        return {}
    new = author(fields, rewrite_from)
    edits = {"from": address_field("From", new.from_), "sender": b""}
    if not fields.addresses("Reply-To"):
        edits["reply-to"] = address_field("Reply-To", new.reply_to)
    return edits


# What becomes of each part


@dataclass(frozen=True, slots=True)
class _Rules:
    encodings: frozenset[str]
    """These become base64, and whatever has 8-bit bytes or lines that are too long."""
    for_exchange: bool
    """CRLF, true charsets and encoded words as well."""


_FOR_GRAPH = _Rules(frozenset({"8bit", "binary", "quoted-printable"}), for_exchange=True)
_SEVEN_BIT = _Rules(frozenset({"binary"}), for_exchange=False)


def _mail(source: ReadAt, root: Part, rules: _Rules, edits: _Edits, added: Iterable[bytes] = ()) -> Iterator[Piece]:
    fields = read_head(source, root)
    about_content = _part_edits(source, root, rules)
    if about_content and "MIME-Version" not in fields:
        about_content["mime-version"] = b"MIME-Version: 1.0\r\n"
    edits = edits | about_content
    if edits or rules.for_exchange:
        yield Text(_head(fields, edits, _for_exchange if rules.for_exchange else _as_it_is, added))
    else:
        yield Copy(root.head_start, root.body_start)
    yield from _body(source, root, rules)


def _entity(source: ReadAt, part: Part, rules: _Rules) -> Iterator[Piece]:
    edits = _part_edits(source, part, rules)
    if edits:
        yield Text(_head(read_head(source, part), edits, _with_line_end))
    else:
        yield _copy(source, part.head_start, part.body_start, rules)
    yield from _body(source, part, rules)


def _body(source: ReadAt, part: Part, rules: _Rules) -> Iterator[Piece]:
    if is_sealed(part):
        if not rules.for_exchange and not _is_seven_bit(part):
            raise MimeError(
                "a signed part of the mail has 8-bit bytes, the next server takes none (no 8BITMIME), and to convert them would break"
                " the signature; send the mail through a server with 8BITMIME"
            )
        yield Copy(part.body_start, part.body_end)
    elif _is_converted(part, rules):
        yield Base64(part, lines=rules.for_exchange and _has_lines(part), line_end=part.body_end == source.size)
    else:
        at = part.body_start
        for child in part.parts:
            yield _copy(source, at, child.head_start, rules)
            yield from _entity(source, child, rules)
            at = child.body_end
        yield _copy(source, at, part.body_end, rules)


def _copy(source: ReadAt, start: int, end: int, rules: _Rules) -> Piece:
    return copy_lines(source, start, end) if rules.for_exchange else Copy(start, end)


def _is_converted(part: Part, rules: _Rules) -> bool:
    # RFC 2046 5.2.1, RFC 2045 6.4: neither messages nor multiparts may be encoded.
    if part.content is None or part.content_type.startswith(("message/", "multipart/")) or is_sealed(part):
        return False
    return part.encoding in rules.encodings or not part.content.seven_bit or part.content.long_lines


def _is_seven_bit(part: Part) -> bool:
    return all(each.content is None or each.content.seven_bit for each in part.walk())


def _part_edits(source: ReadAt, part: Part, rules: _Rules) -> _Edits:
    edits: _Edits = {}
    if is_sealed(part):
        return edits
    if _is_converted(part, rules):
        edits["content-transfer-encoding"] = b"Content-Transfer-Encoding: base64\r\n"
    elif part.parts and part.encoding in ("8bit", "binary") and _becomes_seven_bit(part, rules):
        edits["content-transfer-encoding"] = b"Content-Transfer-Encoding: 7bit\r\n"
    charset = _true_charset(part) if rules.for_exchange else ""
    if charset:
        edits["content-type"] = _with_charset(part, read_head(source, part), charset)
    return edits


def _becomes_seven_bit(part: Part, rules: _Rules) -> bool:
    if is_sealed(part) or part.content is not None:
        return _is_seven_bit(part) or _is_converted(part, rules)
    return all(_becomes_seven_bit(child, rules) for child in part.parts)


def _has_lines(part: Part) -> bool:
    """Whether a byte 10 in its content is a line feed."""
    return part.content_type.startswith("text/") and not (charsets.codec(part.charset) or "").startswith(("utf-16", "utf-32"))


def _true_charset(part: Part) -> str:
    """The charset that a text part should have declared; empty if it is right as it is."""
    if part.content is None or part.content.ascii or not part.content_type.startswith("text/"):
        return ""
    declared = charsets.codec(part.charset)
    if declared in (None, "ascii"):
        return "utf-8" if part.content.utf8 else "windows-1252"
    return "windows-1252" if declared == "utf-8" and not part.content.utf8 else ""


def _with_charset(part: Part, fields: Fields, charset: str) -> bytes:
    new = f'"{charset}"'.encode("ascii")
    value = _LONE_CR.sub(b" ", with_crlf((fields.raw("Content-Type") or b"").strip()))
    if not value.lower().startswith(part.content_type.encode("ascii")):
        value = part.content_type.encode("ascii")
    value = _CHARSET.sub(lambda match: match[1] or match[2] + new, value)
    if "charset" not in part.params:
        value = value.rstrip(b"; \t\r\n") + b";\r\n charset=" + new
    return b"Content-Type: " + value + b"\r\n"


# Heads


def _head(fields: Fields, edits: Mapping[str, bytes], keep: Callable[[Field], bytes], added: Iterable[bytes] = ()) -> bytes:
    """The head with its edits, and the empty line."""
    left = dict(edits)
    lines = []
    for each in fields:
        name = each.name.lower()
        lines.append(left.pop(name, b"") if name in edits else keep(each))
    return b"".join([*lines, *left.values(), *added, b"\r\n"])


def _as_it_is(each: Field) -> bytes:
    return each.raw if each.raw.endswith(b"\n") else each.raw + b"\r\n"


def _with_line_end(each: Field) -> bytes:
    """A CR alone becomes a blank: some take it for the end of a line, and would find further fields behind it."""
    return _LONE_CR.sub(b" ", with_crlf(_as_it_is(each)))


def _for_exchange(each: Field) -> bytes:
    """8-bit text in headers becomes encoded words; parameters stay."""
    name = each.name.lower()
    if each.raw.isascii() or name.startswith("content-"):
        return _with_line_end(each)
    alone = Fields(each.raw)
    try:
        if name in _ADDRESS_FIELDS:
            return address_field(each.name, alone.addresses(name))
        return text_field(each.name, alone.get(name) or "")
    except MimeError:
        return _with_line_end(each)
