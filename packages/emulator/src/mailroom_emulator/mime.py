"""Reading MIME: headers at once, body and attachments when somebody wants them."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value, getaddresses, parsedate_to_datetime

from mailroom_emulator.blobs import Blobs
from mailroom_emulator.content import Address, Attachment, Body, Content

_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\r?\n(?=[ \t])")


def decode(value: str) -> str:
    """An unfolded header value with its encoded words decoded; what can't be decoded stays as it is."""
    text = _FOLD.sub("", value)
    if not text.isascii():
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "=?" not in text:
        return text.strip()
    try:
        return str(make_header(decode_header(text))).strip()
    except (LookupError, ValueError):
        return text.strip()


def addresses(values: list[str]) -> tuple[Address, ...]:
    """Addresses of header values; what has no address (an empty group) comes back without one."""
    return tuple(Address(decode(name), address) for name, address in getaddresses([_FOLD.sub("", v) for v in values]))


def read_headers(raw: bytes, now: datetime) -> Content:
    """The fields that the header block gives; `mime` is left to the caller, an absent Message-ID stays empty."""
    message = BytesHeaderParser().parsebytes(_header_block(raw))
    headers = tuple((name, str(value)) for name, value in message.raw_items())

    def every(name: str) -> list[str]:
        return [value for key, value in headers if key.lower() == name]

    def first(name: str) -> str | None:
        return next((decode(value) for key, value in headers if key.lower() == name), None)

    senders = addresses(every("sender"))
    authors = addresses(every("from"))
    importance = (first("importance") or "normal").lower()
    return Content(
        message_id=first("message-id") or "",
        date=_date(first("date"), now),
        subject=first("subject") or "",
        from_=authors[0] if authors else None,
        sender=senders[0] if senders else None,
        to=addresses(every("to")),
        cc=addresses(every("cc")),
        bcc=addresses(every("bcc")),
        reply_to=addresses(every("reply-to")),
        in_reply_to=first("in-reply-to"),
        references=first("references"),
        importance=importance if importance in ("low", "normal", "high") else "normal",
        headers=headers,
    )


def _header_block(raw: bytes) -> bytes:
    """What stands before the first empty line; the standard parser would read on to the end."""
    end = _EMPTY_LINE.search(raw)
    return raw[: end.end()] if end else raw


def open_mime(content: Content, blobs: Blobs) -> Content:
    """The same content with body and attachments filled in, when it was given as MIME."""
    if content.mime is None:
        return content
    raw = content.mime.read()
    reader = _Reader(hashlib.sha256(raw[:4096]).digest(), content.date, blobs)
    reader.walk(message_from_bytes(raw))
    body = reader.html or reader.text or Body(False, "")
    return replace(content, body=body, attachments=tuple(reader.attachments))


class _Reader:
    def __init__(self, key: bytes, date: datetime, blobs: Blobs) -> None:
        self.html: Body | None = None
        self.text: Body | None = None
        self.attachments: list[Attachment] = []
        self._key = key
        self._date = date
        self._blobs = blobs

    def walk(self, part: Message) -> None:
        kind = part.get_content_type()
        if kind == "message/rfc822":
            self._attach(part, _inner(part), item=True)
        elif part.is_multipart() and not kind.startswith("message/"):
            for child in part.get_payload():
                if isinstance(child, Message):
                    self.walk(child)
        elif kind.startswith("message/"):
            self._attach(part, _raw_payload(part))
        else:
            self._leaf(part, kind)

    def _leaf(self, part: Message, kind: str) -> None:
        data = part.get_payload(decode=True)
        data = data if isinstance(data, bytes) else b""
        attached = part.get_content_disposition() == "attachment" or part.get_filename() is not None
        if kind == "text/html" and self.html is None and not attached:
            self.html = Body(True, _text(part, data))
        elif kind == "text/plain" and self.text is None and not attached:
            self.text = Body(False, _text(part, data))
        else:
            self._attach(part, data)

    def _attach(self, part: Message, data: bytes, item: bool = False) -> None:
        number = len(self.attachments)
        cid = part.get("Content-ID")
        name = part.get_filename()
        self.attachments.append(
            Attachment(
                id=attachment_id(self._key, number),
                name=decode(collapse_rfc2231_value(name)) if name else f"attachment-{number + 1}",
                content_type=part.get_content_type(),
                blob=self._blobs.keep(data),
                inline=part.get_content_disposition() == "inline" or (cid is not None and not name),
                content_id=str(cid).strip("<> ") if cid else None,
                modified=self._date,
                item=item,
            )
        )


def attachment_id(key: bytes, number: int) -> str:
    """An id as long and as opaque as Graph's."""
    digest = hashlib.blake2b(key + number.to_bytes(4, "big"), digest_size=32).digest()
    return base64.urlsafe_b64encode(b"\x00\x03$\x00" + digest + b"\x00\x00").decode()


def _text(part: Message, data: bytes) -> str:
    for charset in (part.get_content_charset("utf-8"), "windows-1252"):
        try:
            return data.decode(charset).replace("\r\n", "\n").replace("\n", "\r\n")
        except (LookupError, UnicodeDecodeError):
            continue
    return data.decode("latin-1")


def _inner(part: Message) -> bytes:
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else None
    return inner.as_bytes() if isinstance(inner, Message) else b""


def _raw_payload(part: Message) -> bytes:
    payload = part.get_payload()
    if isinstance(payload, list):
        return b"\r\n".join(p.as_bytes() for p in payload if isinstance(p, Message))
    return str(payload).encode("utf-8", "surrogateescape")


def _date(value: str | None, now: datetime) -> datetime:
    if value is None:
        return now
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return now
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
