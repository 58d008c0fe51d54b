"""Non-delivery reports as Exchange Online makes them: multipart/report, RFC 3464."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from html import escape

from mailroom_emulator import wire
from mailroom_emulator.blobs import Rope
from mailroom_emulator.content import Content

_WHOLE_LIMIT = 1024 * 1024  # above it only the headers come back
_POSTMASTER = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"


@dataclass(frozen=True)
class Reason:
    """Why a recipient was not reached: enhanced status code and the remote server's answer."""

    status: str
    diagnostic: str


UNKNOWN_USER = Reason("5.1.1", "550 5.1.1 <{address}>: Recipient address rejected: User unknown")
NOT_FOUND = Reason("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {address} not found by SMTP address lookup")
OVER_TENANT_LIMIT = Reason(
    "5.7.233",
    "550 5.7.233 Tenant exceeded the external recipient rate limit; Your message can't be sent to {address}",
)


def build(content: Content, original: Rope, failed: list[str], reason: Reason, domain: str, now: datetime) -> bytes:
    """The report on one mail about recipients that failed for the same reason."""
    host = f"{secrets.token_hex(4).upper()}.eurprd01.prod.outlook.com"
    boundary = secrets.token_hex(18)
    to = content.sender.address if content.sender else ""
    head = [
        f"From: Microsoft Outlook <{_POSTMASTER}@{domain}>",
        f"To: <{to}>",
        f"Date: {format_datetime(now)}",
        f"Subject: {_subject(content)}",
        f"Message-ID: {wire.new_message_id(domain)}",
        f"In-Reply-To: {content.message_id}",
        f"References: {content.message_id}",
        "Content-Language: en-US",
        "X-MS-Exchange-Message-Is-Ndr:",
        "X-Auto-Response-Suppress: DR, OOF, AutoReply",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
    ]
    parts = [_human(content, failed, reason), _status(failed, reason, host, now), _returned(original)]
    marked = b"".join(b"\r\n--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts)
    return "\r\n".join(head).encode() + b"\r\n" + marked + f"--{boundary}--\r\n".encode()


def _subject(content: Content) -> str:
    return wire.header_value("Subject", f"Undeliverable: {content.subject}")


def _human(content: Content, failed: list[str], reason: Reason) -> bytes:
    rows = "".join(f"<p><b>{escape(a)}</b><br>Remote server returned '{escape(reason.diagnostic.format(address=a))}'</p>" for a in failed)
    html = f"<html><body><p>Delivery has failed to these recipients or groups:</p>{rows}<p>{escape(content.subject)}</p></body></html>"
    return _encoded("text/html", html)


def _encoded(kind: str, text: str) -> bytes:
    head = f'Content-Type: {kind}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return head.encode() + base64.encodebytes(text.encode()).replace(b"\n", b"\r\n")


def _status(failed: list[str], reason: Reason, host: str, now: datetime) -> bytes:
    """The machine-readable part: fields sit directly in it (facts 9, 30)."""
    blocks = [f"Reporting-MTA: dns;{host}\r\nReceived-From-MTA: dns;{host}\r\nArrival-Date: {format_datetime(now)}\r\n"]
    for address in failed:
        diagnostic = reason.diagnostic.format(address=address)
        blocks.append(
            f"Original-Recipient: rfc822;{address}\r\nFinal-Recipient: rfc822;{address}\r\nAction: failed\r\n"
            f"Status: {reason.status}\r\nDiagnostic-Code: smtp;{diagnostic}\r\n"
        )
    return ("Content-Type: message/delivery-status\r\n\r\n" + "\r\n".join(blocks)).encode()


def _returned(original: Rope) -> bytes:
    if original.size <= _WHOLE_LIMIT:
        return b"Content-Type: message/rfc822\r\n\r\n" + original.read()
    first = next(iter(original.chunks()))
    return b"Content-Type: text/rfc822-headers\r\n\r\n" + wire.split(first)[0]
