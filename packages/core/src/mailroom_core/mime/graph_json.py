"""A mail as Microsoft Graph's JSON, for mail above the limit of its MIME form: the draft, what is attached to it, what gets lost.

Sources: Microsoft Graph docs, resources/message.md (at most 5 headers, and only `x-` ones), api/user-sendmail.md (one body, request
below 4 MB), read 2026-11-20; redaxo/core#6590 for List-Unsubscribe; MS-OXPROPS for the property numbers.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from mailroom_core.errors import MimeError, MimeTooLarge
from mailroom_core.mime import charsets
from mailroom_core.mime.body import Body, select_body
from mailroom_core.mime.headers import Fields, ascii_address
from mailroom_core.mime.index import Part, decoded, decoded_size, index, read_head
from mailroom_core.mime.recipients import Mailboxes, author, can_be_written, recipients
from mailroom_core.mime.sealed import is_signed_or_encrypted as is_signed_or_encrypted
from mailroom_core.mime.source import ReadAt
from mailroom_core.model import Envelope

_REQUEST = 3_500_000  # bytes of JSON in one request; the vendor's limit of 4 MB has been seen at 2^22 and below
_MOST_HEADERS = 5
_PROPERTIES = {"In-Reply-To": "String 0x1042", "References": "String 0x1039", "List-Unsubscribe": "String 0x1045"}
_ENDINGS = {
    "application/pdf": ".pdf",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
}
_CARRIED = frozenset(
    {"bcc", "cc", "date", "disposition-notification-to", "from", "importance", "in-reply-to", "list-unsubscribe", "message-id"}
    | {"mime-version", "priority", "references", "reply-to", "sender", "subject", "to", "x-msmail-priority", "x-priority"}
)
# Written by servers, for servers; Exchange writes its own.
_TRACES = re.compile(r"content-|arc-|authentication-results|delivered-to|dkim-signature|received|return-path|x-mailbox-line")
_INTERNAL = re.compile(r"x-microsoft-exchange-(organization|forest)")  # Exchange never writes these (MS-OXCMAIL)
_CID = re.compile(r"""cid:([^"'\s<>()]+)""", re.IGNORECASE)
_NO_NAME = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that has to be attached to the draft. `size` is decoded and exact, `content_id` has no angle brackets."""

    name: str
    content_type: str
    size: int
    inline: bool
    content_id: str
    part: Part = field(repr=False)
    source: ReadAt = field(repr=False)

    def read(self, start: int, length: int) -> bytes:
        """`length` decoded bytes from `start`, less only at the end."""
        return decoded(self.source, self.part, start, length)


@dataclass(frozen=True, slots=True)
class GraphMail:
    """`draft` is the JSON of `POST /messages`; `attachments` follow one by one; `lost` says in words what can't be carried."""

    draft: dict[str, object]
    attachments: tuple[Attachment, ...]
    lost: tuple[str, ...]


def graph_mail(source: ReadAt, envelope: Envelope, *, rewrite_from: str = "", add: Iterable[tuple[str, str]] = ()) -> GraphMail:
    """The JSON form of the mail for the envelope's recipients. `rewrite_from` as in `rewrite`, `add` are x-headers of ours.

    Small attachments are in the draft, as many as one request holds, those that the text shows first. Raises MimeError for signed
    and encrypted mail, and MimeTooLarge for a text that is larger than a request.
    """
    made = _without_files(source, envelope, rewrite_from, list(add))
    files = _attachments(source, made.body, made.text)
    kept, rest = _fill(_room(made.draft), files)
    draft = {**made.draft, "attachments": kept} if kept else made.draft
    return GraphMail(draft, tuple(rest), (*_lost_parts(made.body, files), *made.lost))


def check_request(source: ReadAt, envelope: Envelope, *, rewrite_from: str = "") -> None:
    """Whether what can't be uploaded fits into a request, without reading attachments. Raises MimeTooLarge; what else may be wrong
    with the mail is not asked here."""
    try:
        _room(_without_files(source, envelope, rewrite_from, []).draft)
    except MimeTooLarge:
        raise
    except MimeError:
        return


@dataclass(frozen=True, slots=True)
class _Made:
    draft: dict[str, object]
    body: Body
    text: str
    lost: Sequence[str]


def _without_files(source: ReadAt, envelope: Envelope, rewrite_from: str, add: list[tuple[str, str]]) -> _Made:
    root = index(source)
    fields = read_head(source, root)
    if is_signed_or_encrypted(fields):
        raise MimeError("signed or encrypted mail of this size can't pass Microsoft Graph unharmed; send it through a smarthost")
    body = select_body(root)
    text = _text(source, body)
    headers, lost_headers = _x_headers(fields, add)
    draft: dict[str, object] = {
        **_addresses(fields, envelope, rewrite_from),
        "subject": fields.get("Subject") or "",
        "body": {"contentType": "HTML" if body.is_html else "Text", "content": text},
        **_flags(fields),
        **({"internetMessageHeaders": headers} if headers else {}),
        **_properties(fields),
    }
    return _Made(draft, body, text, (*_lost_fields(fields, rewrite_from), *lost_headers))


# Heads


def _addresses(fields: Fields, envelope: Envelope, rewrite_from: str) -> dict[str, object]:
    shown, by = recipients(fields, envelope), author(fields, rewrite_from)
    found: dict[str, object] = {
        "toRecipients": [_mailbox(*pair) for pair in shown.to],
        "ccRecipients": [_mailbox(*pair) for pair in shown.cc],
        "bccRecipients": [_mailbox(*pair) for pair in shown.bcc],
    }
    for name, mailboxes in (("from", by.from_), ("sender", by.sender)):
        if usable := _usable(mailboxes):
            found[name] = usable[0]
    if reply_to := _usable(by.reply_to):
        found["replyTo"] = reply_to
    return found


def _usable(mailboxes: Mailboxes) -> list[dict[str, object]]:
    return [_mailbox(*pair) for pair in mailboxes if can_be_written(pair[1])]


def _mailbox(name: str, address: str) -> dict[str, object]:
    """Raises MimeError for what is no address: Graph would refuse the whole mail for it."""
    return {"emailAddress": {"address": ascii_address(address), **({"name": name} if name else {})}}


def _flags(fields: Fields) -> dict[str, object]:
    flags: dict[str, object] = {}
    importance = _importance(fields)
    if importance != "normal":
        flags["importance"] = importance
    if fields.addresses("Disposition-Notification-To"):
        flags["isReadReceiptRequested"] = True
    return flags


def _importance(fields: Fields) -> str:
    """RFC 4021 2.1.54 and the older names of the same: the first that says something counts."""
    words = [fields.get(name) or "" for name in ("Importance", "X-MSMail-Priority", "Priority", "X-Priority")]
    meanings = {"high": "high", "urgent": "high", "1": "high", "2": "high", "low": "low", "non-urgent": "low", "4": "low", "5": "low"}
    found = [meanings.get(word.lower().split(" ")[0]) for word in words]
    return next((meaning for meaning in found if meaning), "normal")


def _properties(fields: Fields) -> dict[str, object]:
    found = [{"id": number, "value": value} for name, number in _PROPERTIES.items() if (value := fields.unfolded(name))]
    return {"singleValueExtendedProperties": found} if found else {}


def _x_headers(fields: Fields, add: list[tuple[str, str]]) -> tuple[list[dict[str, str]], list[str]]:
    """Ours and those of the mail as far as there is room; and words about the others."""
    theirs = [(each.name, Fields(each.raw).unfolded(each.name) or "") for each in fields if _is_x_header(each.name)]
    wanted = [*add, *((name, value) for name, value in theirs if value)]
    left = ", ".join(name for name, _ in wanted[_MOST_HEADERS:])
    lost = [f"all but {_MOST_HEADERS} X-headers: {left}"] if left else []
    return [{"name": name, "value": value} for name, value in wanted[:_MOST_HEADERS]], lost


def _is_x_header(name: str) -> bool:
    name = name.lower()
    return name.startswith("x-") and name not in _CARRIED and not _TRACES.match(name) and not _INTERNAL.match(name)


def _lost_fields(fields: Fields, rewrite_from: str) -> list[str]:
    names = dict.fromkeys(each.name for each in fields if not each.name.lower().startswith("x-") and not _TRACES.match(each.name.lower()))
    lost = [name for name in names if name.lower() not in _CARRIED]
    found = [f"the headers {', '.join(lost)}"] if lost else []
    if not rewrite_from and len(fields.addresses("From")) > 1:
        found.append("all authors but the first one")
    return found


# Text and attachments


def _text(source: ReadAt, body: Body) -> str:
    if body.text is None:
        return ""
    size = decoded_size(body.text)
    if size > _REQUEST:
        raise MimeTooLarge(
            f"the text of the mail has {size} bytes, one request to Microsoft Graph holds {_REQUEST}; send it as an attachment or through"
            " a smarthost"
        )
    return charsets.decode(decoded(source, body.text, 0, size), body.text.charset)


def _attachments(source: ReadAt, body: Body, text: str) -> list[Attachment]:
    shown = {unquote(cid) for cid in _CID.findall(text)} if body.is_html else set()
    return [
        Attachment(
            name=_name(source, part, number),
            content_type=part.content_type,
            size=decoded_size(part),
            inline=bool(part.content_id) and part.content_id in shown,
            content_id=part.content_id,
            part=part,
            source=source,
        )
        for number, part in enumerate(body.attachments, 1)
    ]


def _name(source: ReadAt, part: Part, number: int) -> str:
    """The file name without what no file system takes; if there is none, one that says what it is."""
    name = part.filename
    if not name and part.content_type.startswith("message/") and part.parts:
        subject = read_head(source, part.parts[0]).get("Subject") or ""
        name = f"{subject or 'message'}.eml"
    if not name and part.content_type == "text/calendar":
        name = "invite.ics"
    if not name:
        name = f"{part.content_type.partition('/')[0]}{number}{_ENDINGS.get(part.content_type, '.bin')}"
    return _NO_NAME.sub("_", name).strip(" .")[-200:] or f"attachment{number}"


def _room(draft: dict[str, object]) -> int:
    """How many bytes a request has left beside this draft."""
    room = _REQUEST - len(json.dumps(draft))
    if room < 0:
        raise MimeTooLarge(
            f"the text and the head of the mail are larger than the {_REQUEST} bytes that one request to Microsoft Graph holds; send the"
            " text as an attachment or the mail through a smarthost"
        )
    return room


def _fill(room: int, files: list[Attachment]) -> tuple[list[dict[str, object]], list[Attachment]]:
    """The files that fit into so many bytes, as JSON; and the others in their order."""
    inside = set()
    for number, each in sorted(enumerate(files), key=lambda pair: not pair[1].inline):
        size = 250 + len(json.dumps([each.name, each.content_type, each.content_id])) + (each.size + 2) // 3 * 4
        if size <= room:
            room -= size
            inside.add(number)
    kept = [_inside(each) for number, each in enumerate(files) if number in inside]
    return kept, [each for number, each in enumerate(files) if number not in inside]


def _inside(file: Attachment) -> dict[str, object]:
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.content_type,
        "contentBytes": base64.b64encode(file.read(0, file.size)).decode("ascii"),
        "isInline": file.inline,
        **({"contentId": file.content_id} if file.content_id else {}),
    }


def _lost_parts(body: Body, files: list[Attachment]) -> list[str]:
    lost = [f"another form of the text ({part.content_type})" for part in body.dropped]
    for part, file in zip(body.attachments, files, strict=True):
        if part.content_type == "text/calendar" and part.disposition != "attachment":
            lost.append(f"the invitation as such, it is attached as {file.name}")
        elif part.content_type in ("text/plain", "text/html") and part.disposition != "attachment" and not part.filename:
            lost.append(f"the place of a further text, it is attached as {file.name}")
    return lost + ["the signature of a part"] * len(body.broken)
