"""What an accepted mail lacks is put in front of it: the trace line, and the fields that every mail must have (RFC 6409 8)."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import Fields, field, format_address
from mailroom_core.model import Envelope


def complete(fields: Fields, envelope: Envelope, *, now: datetime, new_message_id: str, received: str) -> bytes:
    """The bytes to put in front of an accepted mail: Received, and Date, Message-ID and From where they are missing.

    `received` is the value of the Received line with its date (RFC 5321 4.4), however it is folded; `new_message_id` has its
    angle brackets. From is the envelope sender; there is none if that is null or can't stand in a header.

    The mail itself is never changed, whatever it looks like:

    - It starts with a line of an mbox file (`From a@b ...`): that line becomes the value of `X-Mailbox-Line`.
    - It starts with a line that is no field: an empty line is put before it, all of it is the body.
    - A later line of its head is no field: the head ends there (see `Fields.defect`). Other readers may take what follows
      for fields, so who accepts mail must look at `defect` before it trusts a From.
    - It has no empty line: it has no body, which is allowed.

    Raises MimeError if `new_message_id` has a line end inside.
    """
    lines = [field("Received", " ".join(received.replace("\0", " ").split()))]
    if "Date" not in fields:
        lines.append(field("Date", format_datetime(now)))
    if "Message-ID" not in fields:
        lines.append(field("Message-ID", new_message_id))
    if "From" not in fields:
        lines.append(_from(envelope.sender))
    if fields.start:
        lines.append(b"X-Mailbox-Line: ")
    elif not fields.body_start:
        lines.append(b"\r\n")
    return b"".join(lines)


def _from(sender: str | None) -> bytes:
    try:
        return field("From", format_address("", sender or ""))
    except MimeError:
        return b""
