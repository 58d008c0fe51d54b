"""The words of a received mail, and what hangs on it: decoded with whatever charset it really has, files by offset."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from mailroom_core.inbound import Attachment, Texts
from mailroom_core.mime import charsets
from mailroom_core.mime.body import select_body
from mailroom_core.mime.html_text import html_text
from mailroom_core.mime.index import Part, decoded, decoded_size, read_head
from mailroom_core.mime.quoted import reply_of
from mailroom_core.mime.sealed import is_sealed
from mailroom_core.mime.source import ReadAt

MOST_TEXT = 1024 * 1024
"""Bytes of one text that are decoded; the rest can be read from the mail itself."""


def texts(source: ReadAt, root: Part) -> Texts:
    """Text, HTML, the stripped reply and the attachments of a mail. Reads its texts and the heads of messages inside."""
    body = select_body(root)
    shown = [part for part in (body.text, *body.dropped) if part is not None]
    html_part = body.text if body.is_html else None
    plain_part = next((part for part in shown if part.content_type == "text/plain"), None)
    html = text_of(source, html_part) if html_part else ""
    text = text_of(source, plain_part) if plain_part else html_text(html)
    numbers = {id(part): number for number, part in enumerate(root.walk())}
    return Texts(
        text=text,
        html=html,
        reply=reply_of(text),
        attachments=tuple(_attachment(source, part, numbers[id(part)]) for part in body.attachments),
        sealed=is_sealed(root),
        cut=any(part is not None and decoded_size(part) > MOST_TEXT for part in (html_part, plain_part)),
    )


def text_of(source: ReadAt, part: Part, most: int = MOST_TEXT) -> str:
    """The text of one part, at most so many bytes of it, line ends as LF."""
    raw = decoded(source, part, 0, most)
    if decoded_size(part) > most:
        raw = _whole_characters(raw)
    return charsets.decode(raw, part.charset).replace("\r\n", "\n").replace("\0", "")


def _whole_characters(raw: bytes) -> bytes:
    """Without the beginning of a character of utf-8 at its end: with it, all of the text would be taken for another charset."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(raw)
    except UnicodeDecodeError:
        return raw
    pending, _ = decoder.getstate()
    return raw[: len(raw) - len(pending)]


def _attachment(source: ReadAt, part: Part, number: int) -> Attachment:
    return Attachment(
        name=_name(source, part),
        content_type=part.content_type,
        size=decoded_size(part),
        number=number,
        inline=bool(part.content_id) and part.disposition != "attachment",
        content_id=part.content_id,
    )


def _name(source: ReadAt, part: Part) -> str:
    """As the mail says; messages by their subject, what Outlook packs up as `winmail.dat`."""
    if part.filename:
        return _without_folders(part.filename)
    if part.content_type == "application/ms-tnef":
        return "winmail.dat"
    if part.content_type in ("message/rfc822", "message/global"):
        subject = (read_head(source, part.parts[0]).get("Subject") or "") if part.parts else ""
        return _without_folders(subject)[:100] + ".eml" if subject else "message.eml"
    return ""


def _without_folders(name: str) -> str:
    """A file's name alone: who saves it must not be led elsewhere."""
    return "".join("_" if char in "/\\:\0" else char for char in name).lstrip(".")[:255]


def attached(root: Part, attachment: Attachment) -> Part:
    """The part of an attachment. Raises IndexError if it is of another mail."""
    return _nth(root.walk(), attachment.number)


def _nth(parts: Iterable[Part], number: int) -> Part:
    for place, part in enumerate(parts):
        if place == number:
            return part
    raise IndexError(f"the mail has no part {number}: it is another mail than the one that the attachment was found in")
