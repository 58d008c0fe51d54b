"""An answer as MIME: what a person has written, with its files, in pieces that need not be in memory together."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

from mailroom_core.errors import ConfigError, MimeError
from mailroom_core.mime.headers import addresses, field, format_address, text_field
from mailroom_core.policy.addresses import is_deliverable

MOST_FILES = 20 * 1024 * 1024
"""Bytes of all files of one answer."""
_POLICY = SMTP.clone(cte_type="7bit")
_MEDIA_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,100}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LINES = 57 * 4096
"""Bytes that are encoded at once: whole lines of base64 (RFC 2045 6.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """Something that hangs on an answer."""

    name: str
    content_type: str
    size: int
    """Bytes."""
    read: Callable[[int], bytes]
    """Blocking: the next bytes, at most so many; empty at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a person has written."""

    text: str
    html: str = ""
    sender: str = ""
    """One of our addresses of the conversation; empty: the one that was written to."""
    cc: str = ""
    """Addresses with commas in between, with or without names."""
    files: tuple[File, ...] = ()
    key: str = ""
    """The same key again sends nothing."""

    @property
    def digest(self) -> str:
        """Two letters under one key are the same if it is; of its files, names, types and sizes count. Empty without a key."""
        what = (self.text, self.html, self.sender, self.cc, [(each.name, each.content_type, each.size) for each in self.files])
        return hashlib.sha256(json.dumps(what).encode()).hexdigest() if self.key else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """To whom an answer goes, as whom, and what it names."""

    sender: str
    to: tuple[tuple[str, str], ...]
    cc: tuple[tuple[str, str], ...]
    subject: str
    in_reply_to: str
    references: tuple[str, ...]
    destination: str

    @property
    def recipients(self) -> tuple[str, ...]:
        """Of the envelope, each once."""
        return tuple(dict.fromkeys(address for _, address in (*self.to, *self.cc)))


def copied_to(text: str) -> tuple[tuple[str, str], ...]:
    """The addresses of a Cc field as a person writes it. Raises ConfigError."""
    text = " ".join(text.split())
    found = addresses(text[:10_000])
    pieces = [each.strip() for each in re.split("[,;]", re.sub(r'"[^"]*"', "", text))]
    wrong = [each for each in pieces if each and "@" not in each] + [each for _, each in found if not is_deliverable(each)]
    if wrong:
        raise ConfigError(f"cc: {wrong[0][:120]!r} is no address; write anna@example.com, with commas in between")
    return tuple(found)


def written(plan: Plan, letter: Letter) -> Iterator[bytes]:
    """The mail, without Date and Message-ID: `accept` adds them. Blocking, with files. Raises ConfigError."""
    if sum(each.size for each in letter.files) > MOST_FILES:
        raise ConfigError(f"files: all of them together may have {MOST_FILES // 1024**2} MiB; send larger ones another way, as a link")
    head, body = _head(plan), _body(letter).as_bytes()
    if not letter.files:
        yield head + body
        return
    boundary = "=_" + hashlib.sha256(body).hexdigest()[:40]
    yield head + f'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="{boundary}"\r\n'.encode()
    yield f"\r\n--{boundary}\r\n".encode() + body
    for each in letter.files:
        yield f"\r\n--{boundary}\r\n".encode() + _file_head(each)
        while piece := _whole(each):
            yield base64.encodebytes(piece).replace(b"\n", b"\r\n")
    yield f"\r\n--{boundary}--\r\n".encode()


def _whole(file: File) -> bytes:
    """So much that only the last line is short."""
    got = b""
    while len(got) < _LINES and (piece := file.read(_LINES - len(got))):
        got += piece
    return got


def _head(plan: Plan) -> bytes:
    try:
        head = [
            field("From", format_address("", plan.sender)),
            field("To", ", ".join(format_address(name, address) for name, address in plan.to)),
            *([field("Cc", ", ".join(format_address(name, address) for name, address in plan.cc))] if plan.cc else []),
            text_field("Subject", plan.subject),
        ]
    except (MimeError, ValueError) as problem:
        raise ConfigError(f"no mail can be made of this: {problem}") from None
    if plan.in_reply_to:
        head += [field("In-Reply-To", plan.in_reply_to), field("References", " ".join(plan.references))]
    return b"".join(head)


def _body(letter: Letter) -> EmailMessage:
    body = EmailMessage(policy=_POLICY)
    body.set_content(letter.text.rstrip("\n") + "\n")
    if letter.html:
        body.add_alternative(letter.html, subtype="html")
    return body


def _file_head(file: File) -> bytes:
    kind = file.content_type.partition(";")[0].strip().lower()
    part = EmailMessage(policy=_POLICY)
    part["Content-Type"] = kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"
    part["Content-Transfer-Encoding"] = "base64"
    part.add_header("Content-Disposition", "attachment", filename=_CONTROL.sub("_", file.name)[:200] or "file")
    return part.as_bytes()
