"""Who is in which header, when a provider knows no envelope: To, Cc and Bcc together are RCPT TO, exactly.

Promise 3: only the envelope's recipients get mail. So what is in no RCPT TO goes out of the headers, and what is in no header
becomes Bcc. Sources: JustinIven/smtp-oauth-relay (`_fix_missing_bcc`), Microsoft-Graph-SMTP-Relay#48.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import Fields, address_key, addresses, ascii_address, field, format_addresses
from mailroom_core.model import Envelope

Mailboxes = list[tuple[str, str]]
"""Names and addresses."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Every recipient of the envelope once, in the header where the mail has it first."""

    to: Mailboxes
    cc: Mailboxes
    bcc: Mailboxes


def recipients(fields: Fields, envelope: Envelope) -> Recipients:
    """Sort the envelope's recipients into headers; names and spellings are those of the mail's headers."""
    left = {address_key(address): address for address in envelope.recipients}

    def shown(name: str) -> Mailboxes:
        return [pair for pair in fields.addresses(name) if left.pop(address_key(pair[1]), None) is not None]

    to, cc, bcc = shown("To"), shown("Cc"), shown("Bcc")
    return Recipients(to, cc, bcc + [("", address) for address in left.values()])


@dataclass(frozen=True, slots=True)
class Author:
    """From, Sender and Reply-To of a mail as it goes out."""

    from_: Mailboxes
    sender: Mailboxes
    reply_to: Mailboxes


def author(fields: Fields, rewrite_from: str = "") -> Author:
    """The author, or the one that a FROM filter wants: `rewrite_from` is a From value such as `"Mary" <notifications@example.com>`.

    Then the original address becomes Reply-To if there is none, and Sender goes: it would name somebody whom the server
    may not send for. Raises MimeError if `rewrite_from` is not exactly one address.
    """
    original, reply_to = fields.addresses("From"), fields.addresses("Reply-To")
    if not rewrite_from:
        return Author(original, fields.addresses("Sender"), reply_to)
    new = addresses(rewrite_from)
    if len(new) != 1:
        raise MimeError(f"{rewrite_from!r} can't be a From: it must be one address, with a name or without")
    return Author(new, [], reply_to or [pair for pair in original if can_be_written(pair[1])])


def can_be_written(address: str) -> bool:
    """Whether it can stand in a header of ours: the headers of a mail have many things that can't."""
    try:
        return bool(ascii_address(address))
    except MimeError:
        return False


def address_field(name: str, mailboxes: Mailboxes) -> bytes:
    """The field of that name, or nothing if it would be empty: Graph takes an empty group for a bad recipient (SMTP2Graph#30)."""
    return field(name, format_addresses(mailboxes)) if mailboxes else b""
