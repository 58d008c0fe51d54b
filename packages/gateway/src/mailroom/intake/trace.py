"""What is put in front of a mail that came with an envelope: where it came from, and for whom (RFC 5321 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from ipaddress import IPv4Address, IPv6Address

from mailroom_core.mime.headers import Fields, ascii_address
from mailroom_core.model import Envelope


def envelope_fields(envelope: Envelope) -> bytes:
    """The envelope, for destinations that look for it in the head."""
    lines = [f"Return-Path: <{envelope.sender or ''}>", *(f"Delivered-To: {ascii_address(each)}" for each in envelope.recipients)]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8")


def received_field(
    *, helo: str, client: IPv4Address | IPv6Address, host: str, protocol: str, name: str, recipients: Sequence[str], now: datetime
) -> bytes:
    """`name` is the id of the mail here. The recipient is named if there is one alone: others must not learn of hidden ones."""
    shown = f"IPv6:{client}" if isinstance(client, IPv6Address) else str(client)
    only = f"\r\n\tfor <{recipients[0]}>" if len(recipients) == 1 else ""
    date = format_datetime(now.replace(microsecond=0))
    line = f"Received: from {helo} ([{shown}])\r\n\tby {host} (Mailroom) with {protocol} id {name}{only};\r\n\t{date}\r\n"
    return line.encode("ascii", "replace")


def without_results_of(fields: Fields, authserv_id: str) -> bytes:
    """The fields of a head without the Authentication-Results that bear our name: only we may write those (RFC 8601 5)."""
    return b"".join(each.raw for each in fields if not _is_of(each.name, each.value, authserv_id))


def _is_of(name: str, value: bytes, authserv_id: str) -> bool:
    """Also where comments, quotes or a version hide the name: what is taken away was written by somebody else in any case."""
    if name.lower() != "authentication-results":
        return False
    return authserv_id.lower().encode() in value.lower().partition(b";")[0]
