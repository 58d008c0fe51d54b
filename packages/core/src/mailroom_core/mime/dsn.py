"""Delivery status notifications (RFC 3464): what became of a mail, for people and for programs.

To be sent with the null sender, to the envelope sender and never to `<>` (RFC 5321 6.1); that is the business of who calls.
"""

from __future__ import annotations

import binascii
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from mailroom_core.mime.headers import Fields, field, format_address, text_field
from mailroom_core.mime.pieces import with_crlf
from mailroom_core.mime.words import clean
from mailroom_core.model import Reply

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")  # RFC 3463 2
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]+>")
_MOST_HEAD = 64 * 1024
_MOST_WORDS = 800  # with it, no line can get longer than the 998 characters of RFC 5322 2.1.1
_MOST_ADDRESS = 320

# By the status without its class (RFC 3463 3); the first row whose beginning fits.
_ADVICE = (
    ("1.", "Please check the address: it may be misspelt, or no longer exist."),
    ("2.2", "The mailbox is full. Please try again later, or reach the recipient in another way."),
    ("2.3", "The mail is too large for this recipient. Please send a smaller one, or a link to the file."),
    ("2.", "The mailbox takes no mail at present. Please reach the recipient in another way."),
    ("3.4", "The mail is too large for the next server. Please send a smaller one, or a link to the file."),
    ("4.", "The server of the recipient could not be reached in time. Please send the mail again later."),
    ("7.", "The mail was refused by a rule. The words above say which one; please show them to your administrator."),
)
_OTHER_ADVICE = "If the words above do not help you, please show this message to your administrator."


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one recipient. With `retry_until` the delivery is only delayed, without it has failed for good."""

    recipient: str
    reply: Reply
    remote_mta: str = ""
    """The host that said it; empty if it was no SMTP server."""
    retry_until: datetime | None = None


def dsn(
    *,
    reports: Sequence[Report],
    original: bytes,
    arrived: datetime,
    reporting_mta: str,
    from_address: str,
    to: str,
    message_id: str,
    now: datetime,
) -> bytes:
    """A report about the mail that begins with `original` (only its head goes along, at most 64 KiB of it).

    `to` is the envelope sender of that mail, `reporting_mta` our host name, `message_id` the report's own, in angle brackets.
    Raises MimeError if an address can't stand in a header.
    """
    fields = Fields(original)
    boundary = "=_" + re.sub(r"[^A-Za-z0-9]", "", message_id)[:60]
    parts = (
        _part("text/plain; charset=utf-8", _explanation(reports, fields, arrived, reporting_mta).encode("utf-8", "replace")),
        _part("message/delivery-status", _status(reports, arrived, reporting_mta)),
        _part("text/rfc822-headers", _original_head(fields)),
    )
    head = b"".join(
        (
            field("From", format_address("Mail Delivery System", from_address)),
            field("To", format_address("", to)),
            text_field("Subject", _subject(reports, fields)),
            field("Date", format_datetime(now)),
            field("Message-ID", message_id),
            _references(fields),
            field("Auto-Submitted", "auto-replied"),  # RFC 3834 5
            field("MIME-Version", "1.0"),
            field("Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'),
        )
    )
    dashes = f"--{boundary}".encode("ascii")
    return head + b"".join(b"\r\n" + dashes + b"\r\n" + part for part in parts) + b"\r\n" + dashes + b"--\r\n"


def _part(content_type: str, body: bytes) -> bytes:
    head = field("Content-Type", content_type)
    if body.isascii():
        return head + b"\r\n" + body
    return head + field("Content-Transfer-Encoding", "base64") + b"\r\n" + _base64(body)


def _base64(body: bytes) -> bytes:
    encoded = binascii.b2a_base64(body, newline=False)
    return b"\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))


def _subject(reports: Sequence[Report], fields: Fields) -> str:
    what = "Not delivered" if _has_failures(reports) else "Delayed"
    subject = fields.get("Subject") or ""
    return f"{what}: {subject[:200]}" if subject else f"{what}: your mail"


def _has_failures(reports: Sequence[Report]) -> bool:
    return any(report.retry_until is None for report in reports)


def _references(fields: Fields) -> bytes:
    message_id = (fields.get("Message-ID") or "").strip()
    return field("References", message_id) if _MESSAGE_ID.fullmatch(message_id) else b""


def _original_head(fields: Fields) -> bytes:
    kept, size = [], 0
    for each in fields:
        size += len(each.raw)
        if size > _MOST_HEAD:
            break
        kept.append(with_crlf(each.raw))
    return b"".join(kept)


# For people


def _explanation(reports: Sequence[Report], fields: Fields, arrived: datetime, reporting_mta: str) -> str:
    subject = fields.get("Subject") or ""
    mail = f'Your mail "{subject[:200]}"' if subject else "Your mail"
    intro = f"{mail}, which {reporting_mta} received on {format_datetime(arrived)},"
    lines = [f"This is the mail system at {reporting_mta}.", ""]
    failed = [report for report in reports if report.retry_until is None]
    delayed = [report for report in reports if report.retry_until is not None]
    if failed:
        lines += [*_wrapped(f"{intro} could not be delivered to:"), ""]
        lines += [line for report in failed for line in _about(report, _advice(report))]
        lines += ["It will not be tried again. Recipients that are not named here are not affected.", ""]
    if delayed:
        lines += [*_wrapped(f"{intro} has not been delivered yet to:"), ""]
        lines += [line for report in delayed for line in _about(report, _patience(report))]
    return "\r\n".join(lines)


def _about(report: Report, advice: str) -> list[str]:
    words = clean(str(report.reply) if report.reply.code else report.reply.text)[:_MOST_WORDS]
    said = f"{report.remote_mta or 'The next server'} said: {words}" if report.reply.code else f"The reason: {words}"
    return [f"  {clean(report.recipient)[:_MOST_ADDRESS]}", *_wrapped(said, "    "), *_wrapped(advice, "    "), ""]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 76, initial_indent=indent, subsequent_indent=indent, break_long_words=True, break_on_hyphens=False)


def _advice(report: Report) -> str:
    detail = _status_code(report).partition(".")[2]
    return next((advice for beginning, advice in _ADVICE if detail.startswith(beginning)), _OTHER_ADVICE)


def _patience(report: Report) -> str:
    assert report.retry_until is not None
    return f"You need not do anything: delivery is tried again until {format_datetime(report.retry_until)}."


# For programs


def _status(reports: Sequence[Report], arrived: datetime, reporting_mta: str) -> bytes:
    groups = [field("Reporting-MTA", f"dns; {reporting_mta}") + field("Arrival-Date", format_datetime(arrived))]
    groups += [_recipient_status(report) for report in reports]
    return b"\r\n".join(groups)


def _recipient_status(report: Report) -> bytes:
    lines = [
        field("Final-Recipient", _typed_address(report.recipient)),
        field("Action", "failed" if report.retry_until is None else "delayed"),
        field("Status", _status_code(report)),
    ]
    if report.remote_mta:
        lines.append(field("Remote-MTA", f"dns; {_ascii(report.remote_mta)}"))
    lines.append(field("Diagnostic-Code", f"{_diagnostic_type(report.reply)}; {_ascii(str(report.reply))}"))
    if report.retry_until is not None:
        lines.append(field("Will-Retry-Until", format_datetime(report.retry_until)))
    return b"".join(lines)


def _status_code(report: Report) -> str:
    """The status that the next hop gave; else the vaguest one (RFC 3463 3.1)."""
    if _STATUS.fullmatch(report.reply.enhanced):
        return report.reply.enhanced
    return "5.0.0" if report.retry_until is None else "4.0.0"


def _diagnostic_type(reply: Reply) -> str:
    # RFC 3464 2.3.6: what is no SMTP reply must not be called one; other types begin with X-.
    return "smtp" if 200 <= reply.code < 600 and not reply.name else "X-Mailroom"


def _typed_address(address: str) -> str:
    """RFC 3464 2.3.2; outside of ASCII RFC 6533 3."""
    address = clean(address)[:_MOST_ADDRESS]
    if address.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + "".join(char if char.isascii() else f"\\x{{{ord(char):X}}}" for char in address)


def _ascii(text: str) -> str:
    return clean(text)[:_MOST_WORDS].encode("ascii", "replace").decode("ascii")
