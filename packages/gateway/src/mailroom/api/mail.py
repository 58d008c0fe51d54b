"""A mail as JSON, built into MIME: the head by `mailroom_core.mime`, the parts by the email package of the standard library."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from mailroom_core.mime.headers import addresses, ascii_address, field, format_addresses, text_field
from mailroom_core.model import Kind
from mailroom_core.policy.addresses import is_deliverable

MOST_AHEAD = timedelta(days=366)
_POLICY = SMTP.clone(cte_type="7bit")  # so that it passes next hops without 8BITMIME
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SAFE_HEADER = re.compile(
    r"X-(?!Mailroom-)[A-Z0-9-]+|List-[A-Z-]+|Message-ID|In-Reply-To|References|Auto-Submitted|Precedence|Importance|Priority|"
    r"Organization|Comments|Keywords|Feedback-ID|Thread-Topic|Thread-Index|Disposition-Notification-To",
    re.IGNORECASE,
)
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]+@[\x21-\x3b\x3d\x3f-\x7e]+>")
_MEDIA_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.IGNORECASE)


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("has a line end or another control character inside; remove it")
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character inside; remove it")
    return text


def address(text: str) -> str:
    """An address with its domain in ASCII. Raises ValueError for what can't get mail."""
    if not is_deliverable(text) or not text.rpartition("@")[0].isascii():
        raise ValueError(f"{text[:80]!r} is no address that mail can be sent to; write local@domain, the local part in ASCII")
    return ascii_address(text)


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode("".join(str(value).split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64 (RFC 4648 4)") from None


def _media_type(text: str) -> str:
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError("is no type such as application/pdf; multipart and message types can't be attached, send the mail as MIME then")
    return text.lower()


Line = Annotated[str, AfterValidator(_one_line)]
Text = Annotated[str, AfterValidator(_no_nul)]
Content = Annotated[bytes, BeforeValidator(_decoded, json_schema_input_type=str), Field(description="Base64")]
MediaType = Annotated[str, StringConstraints(max_length=120), AfterValidator(_media_type)]
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@/=+-]{1,64}$")]
Tags = Annotated[list[Tag], Field(max_length=10)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Mailbox(_Model):
    """An address with the name of its owner. `Mary <mary@example.com>` as one text means the same."""

    email: Annotated[str, StringConstraints(max_length=320), AfterValidator(address)]
    name: Annotated[Line, StringConstraints(max_length=200)] = ""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = addresses(_one_line(value[:1000]))
        if len(found) != 1:
            raise ValueError("is not one address; write mary@example.com or Mary <mary@example.com>")
        return {"name": found[0][0], "email": found[0][1]}


OneMailbox = Annotated[Mailbox, Field(json_schema_extra={"examples": ["Mary <mary@example.com>"]})]
Mailboxes = Annotated[list[OneMailbox], Field(max_length=1000)]


class Attachment(_Model):
    filename: Annotated[Line, StringConstraints(min_length=1, max_length=250)]
    content: Content
    content_type: MediaType = "application/octet-stream"


class InlineImage(_Model):
    """Shown by the HTML text as `<img src="cid:...">`."""

    cid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@+-]{1,120}$")]
    content: Content
    content_type: MediaType = "image/png"


class Mail(_Model):
    """A mail to be sent."""

    sender: OneMailbox = Field(alias="from")
    to: Mailboxes = []
    cc: Mailboxes = []
    bcc: Mailboxes = []
    """Get it, and nobody sees that."""
    reply_to: Mailboxes = []
    subject: Annotated[Line, StringConstraints(max_length=900)] = ""
    text: Text | None = None
    html: Text | None = None
    attachments: list[Attachment] = []
    inline: list[InlineImage] = []
    headers: Annotated[dict[str, Annotated[Line, StringConstraints(max_length=900)]], Field(max_length=50)] = {}
    """Further header fields: X-..., List-..., References, In-Reply-To, Message-ID, Auto-Submitted and the like."""
    tags: Tags = []
    send_at: AwareDatetime | None = None
    """Not before then, at most a year ahead; with its UTC offset."""
    kind: Kind | None = None
    """Bulk mail never delays transactional mail."""
    idempotency_key: Annotated[Line, StringConstraints(max_length=200)] = ""
    """As the header field `Idempotency-Key`, for mails of a batch."""

    @model_validator(mode="after")
    def _whole(self) -> Mail:
        if not self.recipients:
            raise ValueError("there is no recipient; give one in to, cc or bcc")
        if self.text is None and self.html is None:
            raise ValueError("there is no content; give text or html, or both")
        if self.inline and self.html is None:
            raise ValueError("inline images need html that shows them; use attachments instead")
        check_headers(self.headers)
        return self

    @property
    def recipients(self) -> list[str]:
        """Of the envelope, each once."""
        return list(dict.fromkeys(box.email for box in (*self.to, *self.cc, *self.bcc)))


class Batch(_Model):
    """Several mails in one request."""

    messages: Annotated[list[Mail], Field(min_length=1, max_length=500)]


def check_headers(headers: dict[str, str]) -> None:
    """Raises ValueError for what could change who gets a mail, who sends it, or what its parts are."""
    seen = set()
    for name, value in headers.items():
        if not _SAFE_HEADER.fullmatch(name):
            raise ValueError(
                f"the header {_CONTROL.sub('?', name[:60])!r} can't be set here; X-..., List-..., References and In-Reply-To can"
            )
        if name.lower() in seen:
            raise ValueError(f"the header {name} is given twice")
        seen.add(name.lower())
        if name.lower() == "message-id" and not _MESSAGE_ID.fullmatch(value):
            raise ValueError("the header Message-ID has the form <left@right>")


def check_send_at(send_at: datetime | None, now: datetime) -> datetime | None:
    """Raises ValueError."""
    if send_at is not None and send_at > now + MOST_AHEAD:
        raise ValueError(f"send_at is more than {MOST_AHEAD.days} days ahead")
    return send_at


def build(mail: Mail) -> bytes:
    """The mail as MIME, without Date and Message-ID if it brings none: `accept` adds what is missing. Raises MimeError."""
    lists = (("From", [mail.sender]), ("To", mail.to), ("Cc", mail.cc), ("Reply-To", mail.reply_to))
    head = [field(name, format_addresses((box.name, box.email) for box in boxes)) for name, boxes in lists if boxes]
    head.append(text_field("Subject", mail.subject))
    head += [text_field(name, value) for name, value in mail.headers.items()]
    return b"".join(head) + _parts(mail).as_bytes()


def _parts(mail: Mail) -> EmailMessage:
    root = EmailMessage(policy=_POLICY)
    if mail.text is not None:
        root.set_content(mail.text)
    if mail.html is not None:
        if mail.text is None:
            root.set_content(mail.html, subtype="html")
        else:
            root.add_alternative(mail.html, subtype="html")
        html = root if mail.text is None else _last(root)
        for image in mail.inline:
            main, sub = image.content_type.split("/")
            html.add_related(image.content, main, sub, cid=f"<{image.cid}>", disposition="inline")
    for each in mail.attachments:
        main, sub = each.content_type.split("/")
        root.add_attachment(each.content, main, sub, filename=each.filename)
    return root


def _last(root: EmailMessage) -> EmailMessage:
    part = list(root.iter_parts())[-1]
    assert isinstance(part, EmailMessage)
    return part
