"""Writing MIME: what leaves the tenant, and what `$value` shows.

Exchange keeps no MIME: it parses what it is given and writes it anew (facts: 1.3, 9). A mail given as MIME keeps its
body here and gets a new header block; one given as fields is written as Exchange writes it.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import replace
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from mailroom_emulator.blobs import Blob, Encoded, Rope, Segment
from mailroom_emulator.content import Address, Attachment, Body, Content
from mailroom_emulator.html_text import to_text
from mailroom_emulator.switches import Switches

_POLICY = SMTP.clone(cte_type="7bit", max_line_length=78)
_NEVER = {"return-path", "dkim-signature", "received", "arc-seal", "arc-message-signature", "arc-authentication-results"}
_LIST = {"list-unsubscribe", "list-unsubscribe-post", "list-id", "list-help", "list-post", "precedence", "feedback-id"}
_OURS = {"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version"}
_BODY = ("content-",)


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Header block (with its last line ending) and body; without an empty line everything is header."""
    for mark in (b"\r\n\r\n", b"\n\n"):
        at = raw.find(mark)
        if at >= 0:
            half = len(mark) // 2
            return raw[: at + half], raw[at + 2 * half :]
    return raw, b""


def header_lines(block: bytes) -> Iterable[tuple[str, bytes]]:
    """(lower-case name, raw field with folding and CRLF) of a header block."""
    field: list[bytes] = []
    for line in block.splitlines():
        if line[:1] in (b" ", b"\t") and field:
            field.append(line)
            continue
        if field:
            yield _name(field[0]), b"\r\n".join(field) + b"\r\n"
        field = [line]
    if field:
        yield _name(field[0]), b"\r\n".join(field) + b"\r\n"


def show(content: Content, *, bcc: bool = True) -> Rope:
    """The mail as it stands, for `$value`."""
    if content.mime is not None:
        return Rope([content.mime])
    return compose(content, bcc=bcc)


def without_bcc(content: Content) -> Rope:
    """The mail as its recipients get it."""
    if content.mime is None:
        return compose(content, bcc=False)
    if not content.bcc:
        return Rope([content.mime])
    block, body = split(content.mime.read())
    kept = b"".join(raw for name, raw in header_lines(block) if name != "bcc")
    return Rope([kept + b"\r\n", body])


def as_sent(raw: bytes, content: Content, switches: Switches, keep_x: set[str]) -> bytes:
    """A mail given as MIME with the header block that Exchange writes; `keep_x` are the primed X-headers."""
    block, body = split(raw)
    kept: list[bytes] = []
    for name, line in header_lines(block):
        if name in _OURS or name in _NEVER or not survives(name, switches, keep_x):
            continue
        kept.append(line)
    head = _address_headers(content, bcc=True)
    return head + b"".join(kept) + b"\r\n" + body


def compose(content: Content, *, bcc: bool) -> Rope:
    """A mail given as fields, as multipart MIME with base64 parts."""
    head = _address_headers(content, bcc=bcc)
    extra: list[tuple[str, str]] = []
    if content.in_reply_to:
        extra.append(("In-Reply-To", content.in_reply_to))
    if content.references:
        extra.append(("References", content.references))
    if content.importance != "normal":
        extra.append(("Importance", content.importance))
    for name, value in content.headers:
        if not name.lower().startswith(_BODY) and name.lower() not in _OURS | {"in-reply-to", "references"}:
            extra.append((name, value))
    extra += [("Content-Language", "en-US"), ("X-MS-Has-Attach", "yes" if content.attachments else "")]
    boundary = hashlib.sha256(content.message_id.encode()).hexdigest()[:24].upper()
    head += "".join(f"{name}: {header_value(name, value)}\r\n" for name, value in extra).encode()
    return Rope([head, *_mixed(content, boundary)])


def _mixed(content: Content, key: str) -> list[Segment]:
    inline = [a for a in content.attachments if a.inline and content.body.html]
    attached = [a for a in content.attachments if a not in inline]
    part = _alternative(content.body, f"_000_{key}_")
    if inline:
        part = _multipart("related", f"_004_{key}_", [part, *(_attachment(a) for a in inline)])
    if attached:
        part = _multipart("mixed", f"_005_{key}_", [part, *(_attachment(a) for a in attached)])
    return part


def _alternative(body: Body, boundary: str) -> list[Segment]:
    if not body.html:
        return _text_part("plain", body.text)
    return _multipart("alternative", boundary, [_text_part("plain", to_text(body.text)), _text_part("html", body.text)])


def _multipart(kind: str, boundary: str, parts: list[list[Segment]]) -> list[Segment]:
    segments: list[Segment] = [f'Content-Type: multipart/{kind};\r\n\tboundary="{boundary}"\r\n\r\n'.encode()]
    for part in parts:
        segments += [f"--{boundary}\r\n".encode(), *part, b"\r\n"]
    segments.append(f"--{boundary}--\r\n".encode())
    return segments


def _text_part(kind: str, text: str) -> list[Segment]:
    data = text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'.encode()
    return [head, Encoded(Blob(data, None, len(data)))]


def _attachment(attachment: Attachment) -> list[Segment]:
    if attachment.item:
        return [b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n", attachment.blob]
    part = EmailMessage(policy=_POLICY)
    part["Content-Type"] = attachment.content_type or "application/octet-stream"
    if attachment.name:
        part.set_param("name", attachment.name)
    part["Content-Description"] = attachment.name
    part.add_header(
        "Content-Disposition",
        "inline" if attachment.inline else "attachment",
        filename=attachment.name,
        size=str(attachment.blob.size),
    )
    if attachment.content_id:
        part["Content-ID"] = f"<{attachment.content_id}>"
    part["Content-Transfer-Encoding"] = "base64"
    return [_header_bytes(part) + b"\r\n", Encoded(attachment.blob)]


def _address_headers(content: Content, *, bcc: bool) -> bytes:
    lines = []
    for name, group in (
        ("From", (content.from_,)),
        ("Sender", (content.sender,) if content.sender != content.from_ else ()),
        ("To", content.to),
        ("CC", content.cc),
        ("BCC", content.bcc if bcc else ()),
        ("Reply-To", content.reply_to),
    ):
        listed = [_mailbox(a) for a in group if a is not None and a.address]
        if listed:
            lines.append(f"{name}: " + ",\r\n ".join(listed))
    lines.append(f"Subject: {header_value('Subject', content.subject)}")
    lines += [f"Date: {format_datetime(content.date)}", f"Message-ID: {content.message_id}", "MIME-Version: 1.0", ""]
    return "\r\n".join(lines).encode()


def _mailbox(address: Address) -> str:
    name = " ".join(address.name.split())
    if not address.address.isascii():
        return f"<{address.address}>"  # formataddr refuses it, and so will the check of the recipients
    return formataddr((name, address.address))


def _header_bytes(message: EmailMessage) -> bytes:
    return b"".join(message.policy.fold_binary(name, value) for name, value in message.raw_items())


def header_value(name: str, value: str) -> str:
    """A header value, folded and encoded for the wire."""
    text = " ".join(value.split())
    if text.isascii() and len(text) <= 78 - len(name):
        return text
    charset = "us-ascii" if text.isascii() else "utf-8"
    return Header(text, charset, header_name=name).encode(linesep="\r\n")


def survives(name: str, switches: Switches, keep_x: set[str]) -> bool:
    """Whether a header given as MIME (in lower case) is kept; `keep_x` are the primed X-headers."""
    if name.startswith(("x-microsoft-exchange-organization", "x-microsoft-exchange-forest")):
        return False  # openspecs ms-oxcmail d296c8c5
    if name == "auto-submitted":
        return switches.auto_submitted
    if name in ("in-reply-to", "references"):
        return switches.reply_headers
    if name in _LIST:
        return switches.list_headers
    if name.startswith("x-"):
        return switches.x_headers == "kept" or (switches.x_headers == "lost_until_primed" and name in keep_x)
    return True


def _name(line: bytes) -> str:
    return line.partition(b":")[0].strip().lower().decode("latin-1")


def new_message_id(domain: str) -> str:
    """A Message-ID as Exchange Online makes them; for personal accounts as Outlook.com does."""
    if domain == "outlook.com":
        raw = secrets.token_hex(16)
        return f"<{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}@outlook.com>"
    return f"<{secrets.token_hex(16).upper()}@{secrets.token_hex(4).upper()}.eurprd01.prod.outlook.com>"


def merged(content: Content, opened: Content) -> Content:
    """A MIME draft turned into fields, because something was attached to it."""
    return replace(opened, mime=None, headers=tuple(h for h in content.headers if _custom(h[0])))


def _custom(name: str) -> bool:
    return name.lower().startswith("x-") or name.lower() in _LIST
