"""A mail as a helper may see it: its way and its build, and with `content` what it says."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from email.utils import getaddresses

from mailroom.support.masking import Masks
from mailroom_core.mime.source import ReadAt

MOST = 512 * 1024
"""Bytes of a mail that are read."""
TEXT = 64 * 1024
"""Characters of one text in it."""
DEEPEST = 20
FIELD = 4000
"""Characters of one header field."""
_PEOPLE = {"from", "to", "cc", "bcc", "reply-to", "sender", "return-path", "delivered-to", "errors-to", "resent-from", "resent-to"}
_SHOWN = re.compile(
    r"(?i)(from|to|cc|bcc|reply-to|sender|return-path|delivered-to|errors-to|resent-.*|date|message-id|in-reply-to|references|received"
    r"|received-spf|authentication-results|arc-.*|dkim-signature|mime-version|content-(id|language|disposition)|auto-submitted|precedence"
    r"|x-mailroom-.*|x-auto-.*|x-ms-exchange-.*|x-odoo-.*|x-failed-recipients|importance|return-receipt-to|disposition-notification-to)"
)
"""Fields whose values a helper needs; of others only the name is shown."""
_DISPOSITIONS = {"inline", "attachment", "form-data"}
_HOP = re.compile(r"\b(?:from|by|helo)[\s=]+\(?([\w-]{1,63}(?:\.[\w-]{1,63}){1,10})", re.IGNORECASE)


def masked(source: ReadAt, masks: Masks, *, content: bool) -> bytes:
    """As a mail again, in ASCII and UTF-8. A large one is cut, and says so."""
    read = parsed(source.read_at(0, MOST))
    made = _part(read, masks, content, 0)
    if source.size > MOST:
        made["X-Mailroom-Cut"] = f"only the first {MOST} of {source.size} bytes were read"
    return made.as_bytes(policy=compat32.clone(max_line_length=0))


def learn(source: ReadAt, masks: Masks) -> None:
    """The domains of those whom it names, and the servers that it has passed."""
    read = parsed(source.read_at(0, MOST))
    for part in read.walk():
        for name, value in part.items():
            masks.learn(str(value)[:FIELD])
            if name.lower() in ("received", "received-spf", "authentication-results"):
                masks.learn_hosts(_HOP.findall(str(value)[:FIELD]))


def parsed(raw: bytes) -> Message:
    """Of what is nested without end only the head."""
    try:
        return message_from_bytes(raw, policy=compat32)
    except RecursionError:
        return message_from_bytes(re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0], policy=compat32)


def _part(part: Message, masks: Masks, content: bool, depth: int) -> Message:
    made: Message = Message(policy=compat32)
    for name, value in part.items():
        if not re.fullmatch(r"[\x21-\x39\x3b-\x7e]{1,76}", name) or name.lower() in ("content-type", "content-transfer-encoding"):
            continue
        made[masks.text(name)] = _field(name, _line(str(value)), masks, content)
    kind = part.get_content_type()
    if part.is_multipart() and depth < DEEPEST:
        made["Content-Type"] = f'{masks.text(kind)}; boundary="part-{depth}"'
        inner = part.get_payload()
        assert isinstance(inner, list)
        made.set_payload([_part(each, masks, content, depth + 1) for each in inner if isinstance(each, Message)])
        return made
    made["Content-Type"] = "text/plain; charset=utf-8"
    made["Content-Transfer-Encoding"] = "8bit"
    made.set_payload(_body(part, kind, masks, content).encode("utf-8", "replace").decode("ascii", "surrogateescape"))
    return made


def _field(name: str, value: str, masks: Masks, content: bool) -> str:
    lower, value = name.lower(), value[:FIELD]
    if lower == "subject":
        return _ascii(masks.text(value)) if content else f"({len(value)} characters, left out)"
    if lower in _PEOPLE:
        addresses = [address for _, address in getaddresses([value]) if address]
        return ", ".join(_ascii(masks.text(each)) for each in addresses) if addresses else f"({len(value)} characters, no address)"
    if lower == "content-disposition":
        kind = value.partition(";")[0].strip().lower()
        return (kind if kind in _DISPOSITIONS else "(unusual)") + _ending(value)
    if not _SHOWN.fullmatch(name):
        return f"({len(value)} characters, left out)"
    return _ascii(masks.text(value))


def _ending(value: str) -> str:
    """Of a file's name only what kind of file it is."""
    found = re.search(r"\.(\w{1,5})[\"']?\s*(?:;|$)", value)
    return f'; filename="file.{found[1]}"' if found and found[1].isascii() else ""


def _body(part: Message, kind: str, masks: Masks, content: bool) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    about = f"{masks.text(kind)}, {len(raw)} bytes"
    if not content:
        return f"({about}, left out)\n"
    if part.get_content_maintype() != "text":
        return f"({about}, left out: no text)\n"
    try:
        text = raw.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        text = raw.decode("latin-1")
    cut = f"\n(cut: {len(text)} characters)\n" if len(text) > TEXT else ""
    return masks.text(text[:TEXT].replace("\r\n", "\n")) + cut


def _line(value: str) -> str:
    return " ".join(value.split())


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
