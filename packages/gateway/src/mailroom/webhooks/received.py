"""What a destination that is a webhook gets: the shape of a mail that came in, as docs/api.md and the OpenAPI description have it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from mailroom.defaults import Defaults
from mailroom.ports import Job
from mailroom.transports.handed import Handed
from mailroom_core.errors import MimeError
from mailroom_core.inbound import Attachment, Mailboxes, Texts
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.index import Part, decoded, index
from mailroom_core.mime.source import ReadAt
from mailroom_core.mime.texts import attached, texts
from mailroom_core.model import show_id

RAW = "raw"
"""The part of a link that leads to the whole mail."""
INLINE = 5 * 1024 * 1024
"""Bytes of attachments that stand in the body where there are no links."""
HEAD = 256 * 1024

Link = Callable[[str], str]
"""The link to a part of the mail by its number, or to `RAW`; empty without `public_url`."""


class Mailbox(BaseModel):
    name: str
    email: str


class HeaderField(BaseModel):
    name: str
    value: str
    """Decoded, in one line."""


class ReceivedFile(BaseModel):
    """A file in the mail. Without `url` and `content` it was too large to stand here; the mail itself has it."""

    filename: str
    content_type: str
    """As the sender says; believe it as you believe the sender."""
    size: int
    inline: bool
    """Shown by the HTML as `cid:<content_id>`."""
    content_id: str
    url: str | None
    content: str | None
    """Base64, where there is no `url`."""


class AnsweredMail(BaseModel):
    """A mail of yours."""

    id: str
    """As in /v1/messages/{id}."""
    message_id: str
    """The Message-ID that you gave it."""
    application: str
    tags: list[str]


class ReceivedData(BaseModel):
    """A mail that came in, for one of its addresses."""

    id: str
    recipient: str
    """The alias, or the address that was written to."""
    message_id: str
    sender: list[Mailbox]
    """From."""
    reply_to: list[Mailbox]
    to: list[Mailbox]
    cc: list[Mailbox]
    subject: str
    date: str
    """As the sender has written it."""
    in_reply_to: list[str]
    """With your own ids in the place of the provider's; so are the references."""
    references: list[str]
    headers: list[HeaderField]
    """All fields, in their order, as they came."""
    text: str
    html: str
    """As the sender has written it: clean it before you show it."""
    reply: str
    """The text without quotes and signature."""
    cut: bool
    """A text was longer than 1 MiB."""
    sealed: bool
    """Signed or encrypted as a whole."""
    automatic: str
    """`a person`, `an automatic answer`, `a mailing list or a bulk mailing`, `a program`."""
    attachments: list[ReceivedFile]
    raw_url: str | None
    """The whole mail, as it came."""
    answers: AnsweredMail | None
    """The mail of yours that it answers."""
    verdict: str
    """Why it is yours: `reply`, `alias` or `fallback`."""
    why: str
    defaults: dict[str, Any]
    """The default values of the alias, for what you make of it."""
    trouble: str
    """Why the mail could not be read as a whole; empty if it could."""


class ReceivedEvent(BaseModel):
    """A mail that came in."""

    type: Literal["mail.received"] = "mail.received"
    timestamp: datetime
    """When it was stored here."""
    data: ReceivedData


def event_of(job: Job, recipient: str, mail: Handed, link: Link, verdict: tuple[str, str], defaults: Defaults) -> ReceivedEvent:
    """Reads the mail; blocking."""
    found, root, trouble = _texts(job.source)
    head, answers = mail.head, mail.answers
    data = ReceivedData(
        id=show_id(job.message.id),
        recipient=recipient,
        message_id=head.message_id,
        sender=_boxes(head.from_),
        reply_to=_boxes(head.reply_to),
        to=_boxes(head.to),
        cc=_boxes(head.cc),
        subject=head.subject,
        date=head.date,
        in_reply_to=[mail.ids.get(each, each) for each in head.in_reply_to],
        references=[mail.ids.get(each, each) for each in head.references],
        headers=_headers(job.source),
        text=found.text,
        html=found.html,
        reply=found.reply,
        cut=found.cut,
        sealed=found.sealed,
        automatic=head.automatic.value,
        attachments=_files(job.source, root, found.attachments, link),
        raw_url=link(RAW) or None,
        answers=None
        if answers is None
        else AnsweredMail(
            id=show_id(answers.id), message_id=answers.header_message_id, application=answers.application, tags=list(answers.tags)
        ),
        verdict=verdict[0],
        why=verdict[1],
        defaults=dict(defaults),
        trouble=trouble,
    )
    return ReceivedEvent(timestamp=job.message.accepted_at, data=data)


def _texts(source: ReadAt) -> tuple[Texts, Part | None, str]:
    try:
        root = index(source)
        return texts(source, root), root, ""
    except MimeError as problem:
        return Texts("", "", "", ()), None, str(problem)


def _headers(source: ReadAt) -> list[HeaderField]:
    fields = Fields(source.read_at(0, HEAD))
    seen: dict[str, int] = {}
    found = []
    for each in fields:
        place = seen.get(each.name.lower(), 0)
        seen[each.name.lower()] = place + 1
        values = fields.all(each.name)
        found.append(HeaderField(name=each.name, value=values[place] if place < len(values) else ""))
    return found


def _boxes(boxes: Mailboxes) -> list[Mailbox]:
    return [Mailbox(name=name, email=address) for name, address in boxes]


def _files(source: ReadAt, root: Part | None, attachments: tuple[Attachment, ...], link: Link) -> list[ReceivedFile]:
    left, found = INLINE, []
    for each in attachments:
        url, content = link(str(each.number)), None
        if not url and root is not None and each.size <= left:
            left -= each.size
            content = base64.b64encode(decoded(source, attached(root, each), 0, each.size)).decode("ascii")
        found.append(
            ReceivedFile(
                filename=each.name,
                content_type=each.content_type,
                size=each.size,
                inline=each.inline,
                content_id=each.content_id,
                url=url or None,
                content=content,
            )
        )
    return found
