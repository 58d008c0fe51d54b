"""A mail as Odoo has built it, made ready for Graph, and the conversation that sends it.

Graph has no envelope: the mail's headers are rewritten to name the envelope's recipients and nobody else.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom_core.errors import MimeError
from mailroom_core.flow import Flow
from mailroom_core.mime.graph_json import GraphMail, graph_mail
from mailroom_core.mime.rewrite import for_envelope
from mailroom_core.mime.source import InMemory, in_base64
from mailroom_core.model import Envelope, Failed, Held, Outcome, Reply
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph import large, sending
from mailroom_core.providers.graph.limits import MIME_LIMIT
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.uploads import Upload

_NEEDS_READ_WRITE = (
    "The mail has {size} bytes, and above {limit} Microsoft Graph wants the permission Mail.ReadWrite. In Settings, set the permissions to"
    " read and write, connect the account again, then retry the mail"
)


@dataclass(frozen=True, slots=True)
class File:
    """An attachment that stays where it lies; in the mail, a few bytes stand in its place."""

    path: str
    size: int


Files = Mapping[bytes, File]
"""What stands in the place of each file."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as the core uploads it, read in pieces."""

    name: str
    content_type: str
    inline: bool
    content_id: str
    file: File

    @property
    def size(self) -> int:
        return self.file.size

    def read(self, start: int, length: int) -> bytes:
        """Raises OSError if the file is gone or was cut."""
        with open(self.file.path, "rb") as open_file:
            open_file.seek(start)
            found = open_file.read(length)
        if len(found) != length:
            raise OSError(f"the attachment {self.name!r} is shorter than the database says")
        return found


def send(
    mailbox: Mailbox, raw: bytes, sender: str, recipients: Sequence[str], *, tier: Tier, marker: str, files: Files | None = None
) -> Flow[Outcome]:
    """Send the mail to these recipients, by the way that its size and the account's permissions ask for."""
    try:
        return (yield from _sent(mailbox, InMemory(raw), Envelope(sender, tuple(recipients)), tier, marker, files or {}))
    except MimeError as problem:
        return Failed(Reply(554, str(problem), "5.6.0"))


def _sent(mailbox: Mailbox, source: InMemory, envelope: Envelope, tier: Tier, marker: str, files: Files) -> Flow[Outcome]:
    if source.size > MIME_LIMIT or files:
        if tier is not Tier.READ_WRITE:
            return Held(Reply(0, _NEEDS_READ_WRITE.format(size=source.size, limit=MIME_LIMIT)))
        draft, uploads = _large(graph_mail(source, envelope), files)
        return (yield from large.send_large(mailbox, draft, uploads, marker))
    mime = in_base64(for_envelope(source, envelope))
    if tier is not Tier.READ_WRITE:
        return (yield from sending.send_mime_once(mailbox, mime))
    return (yield from sending.send_by_draft(mailbox, mime, marker))


def _large(mail: GraphMail, files: Files) -> tuple[Mapping[str, object], Sequence[Upload]]:
    """The draft, and what is uploaded: the files themselves in the place of what stands for them."""
    attached = mail.draft.get("attachments", [])
    kept: list[Mapping[str, object]] = []
    uploads: list[Upload] = []
    for each in attached if isinstance(attached, list) else []:
        file = files.get(base64.b64decode(each["contentBytes"]))
        if file is None:
            kept.append(each)
        else:
            uploads.append(Stored(each["name"], each["contentType"], each["isInline"], each.get("contentId", ""), file))
    return {**mail.draft, "attachments": kept}, [*uploads, *mail.attachments]
