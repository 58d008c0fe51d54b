"""Attachments of a draft: small ones in one request, large ones in ranges over an upload session.

Sources: Microsoft Graph docs, concepts/outlook-large-attachments.md and api-reference/v1.0/api/attachment-createuploadsession.md,
read 2026-11-20. Whether `GET uploadUrl` tells the next range is not documented; where it does not, a new session is opened.

Only one thing must not happen: an attachment that is there twice. So where the last range was sent and no answer came, and nobody
tells whether it arrived, the attempt is given up; its draft is deleted and nothing was sent.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from mailroom_core.flow import Flow, NoResponse, Request, Response, Streamed, ask, json_object
from mailroom_core.model import Deferred, Held, Reply, Trouble
from mailroom_core.providers.graph.errors import judge, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox

SMALL = 3_000_000
"""Bytes; below this an attachment goes in one request. The vendor says "3 MB", and means 2^20 or 10^6."""
SMALLEST_SESSION = 3 * 1024 * 1024
RANGE = 3 * 1024 * 1024
"""Bytes per PUT; each must stay below 4 MB."""
SESSIONS = 3
"""How often a spoilt session is replaced in one attempt; the vendor's upload hosts have had days of 401 (O365/python-o365#1027)."""
LOSSES = 3
"""How often a range may get lost before the next one arrives."""

_BLOCK = 3 * 64 * 1024  # bytes read at once, a multiple of three for base64


class Upload(Protocol):
    """An attachment whose bytes lie somewhere."""

    @property
    def name(self) -> str: ...

    @property
    def content_type(self) -> str: ...

    @property
    def size(self) -> int:
        """Decoded, in bytes, exact."""

    @property
    def inline(self) -> bool: ...

    @property
    def content_id(self) -> str:
        """Without angle brackets; empty if it has none."""

    def read(self, start: int, length: int) -> bytes:
        """Exactly `length` decoded bytes from `start`."""


@dataclass(frozen=True, slots=True)
class _Spoilt:
    """This session is no good any more; another one may be."""

    why: Deferred


@dataclass(frozen=True, slots=True)
class _Lost:
    """A range that got no usable answer."""

    why: Deferred
    may_have_arrived: bool


def attach(mailbox: Mailbox, draft_id: str, upload: Upload) -> Flow[Trouble | None]:
    """Attach one file to a draft. After trouble the draft is good for nothing but deletion."""
    if upload.size < SMALL:
        return (yield from _post(mailbox, draft_id, upload))
    trouble = yield from _upload(mailbox, draft_id, upload)
    if trouble and trouble.reply.name == "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize" and upload.size < SMALLEST_SESSION:
        return (yield from _post(mailbox, draft_id, upload))
    return trouble


def _post(mailbox: Mailbox, draft_id: str, upload: Upload) -> Flow[Trouble | None]:
    try:
        response = yield from ask(mailbox.post("messages", draft_id, "attachments", body=_attachment(upload)))
    except NoResponse as problem:
        return no_answer(problem)
    return None if response.status in (200, 201) else judge(response)


def _attachment(upload: Upload) -> Streamed:
    """The JSON of an attachment, with its bytes encoded while they are sent."""
    fields: dict[str, object] = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": upload.name,
        "contentType": upload.content_type,
        "isInline": upload.inline,
    }
    if upload.content_id:
        fields["contentId"] = upload.content_id
    head = json.dumps(fields).encode("ascii")[:-1] + b', "contentBytes": "'

    def chunks() -> Iterator[bytes]:
        yield head
        for start in range(0, upload.size, _BLOCK):
            yield base64.b64encode(upload.read(start, min(_BLOCK, upload.size - start)))
        yield b'"}'

    return Streamed(len(head) + (upload.size + 2) // 3 * 4 + 2, chunks)


def _upload(mailbox: Mailbox, draft_id: str, upload: Upload, sessions: int = SESSIONS) -> Flow[Trouble | None]:
    session = yield from _open(mailbox, draft_id, upload)
    if not isinstance(session, str):
        return session
    end = yield from _fill(session, upload)
    if not isinstance(end, _Spoilt):
        return end
    return (yield from _upload(mailbox, draft_id, upload, sessions - 1)) if sessions > 1 else end.why


def _open(mailbox: Mailbox, draft_id: str, upload: Upload) -> Flow[str | Trouble]:
    """An upload URL. It carries its own token: it is used as it is, and never stored or logged."""
    item: dict[str, object] = {
        "attachmentType": "file",
        "name": upload.name,
        "size": upload.size,
        "contentType": upload.content_type,
        "isInline": upload.inline,
    }
    if upload.content_id:
        item["contentId"] = upload.content_id
    request = mailbox.post_json("messages", draft_id, "attachments", "createUploadSession", fields={"AttachmentItem": item})
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return no_answer(problem)
    if response.status == 403:
        return _no_upload_here(judge(response))
    if response.status not in (200, 201):
        return judge(response)
    url = _lower(response).get("uploadurl")
    if isinstance(url, str) and url:
        return url
    return Deferred(Reply(response.status, "Graph opened an upload without saying where to; it is tried again"), unmapped=True)


def _no_upload_here(trouble: Trouble) -> Held:
    """The draft could be made with the same permission, so this is the known issue of shared mailboxes (concepts/known-issues.md)."""
    text = (
        "Graph does not let this account upload large attachments into a shared mailbox. Sign in as that mailbox, use an app-only"
        " account, or send large mail through another server"
    )
    return Held(Reply(trouble.reply.code, text, name=trouble.reply.name))


def _fill(url: str, upload: Upload) -> Flow[Trouble | _Spoilt | None]:
    start = furthest = losses = 0
    while start < upload.size:
        length = min(RANGE, upload.size - start)
        step = yield from _put(url, upload, start, length)
        if isinstance(step, _Lost):
            step = yield from _after_loss(url, upload, start, length, step)
        if not isinstance(step, int):
            return step
        losses = 0 if step > furthest else losses + 1
        if losses > LOSSES:
            return Deferred(Reply(0, "An upload to Graph does not get on; the mail is tried again later"))
        start, furthest = step, max(step, furthest)
    return None


def _put(url: str, upload: Upload, start: int, length: int) -> Flow[int | _Lost | _Spoilt | Trouble]:
    """Send one range; the answer is where the next one starts."""

    def chunks() -> Iterator[bytes]:
        for at in range(start, start + length, _BLOCK):
            yield upload.read(at, min(_BLOCK, start + length - at))

    headers = {
        "content-type": "application/octet-stream",
        "content-range": f"bytes {start}-{start + length - 1}/{upload.size}",
    }
    try:
        response = yield from ask(Request("PUT", url, headers, Streamed(length, chunks), auth=False))
    except NoResponse as problem:
        return _Lost(no_answer(problem), may_have_arrived=problem.sent)
    if response.status == 201:
        return upload.size
    if response.status in (200, 202):
        following = _next_range(response)
        return start + length if following is None else min(following, upload.size)
    if response.status in (401, 404, 410):
        return _Spoilt(Deferred(Reply(response.status, "Graph's upload host forgot an upload; the mail is tried again later")))
    trouble = judge(response)
    if isinstance(trouble, Deferred) and response.status >= 500 and not trouble.lane:
        return _Lost(trouble, may_have_arrived=True)
    return trouble


def _after_loss(url: str, upload: Upload, start: int, length: int, lost: _Lost) -> Flow[int | _Spoilt | Deferred]:
    if not lost.may_have_arrived:
        return start
    following = yield from _ask_next_range(url)
    if following is not None:
        return min(following, upload.size)
    return lost.why if start + length == upload.size else _Spoilt(lost.why)


def _ask_next_range(url: str) -> Flow[int | None]:
    try:
        response = yield from ask(Request("GET", url, {"accept": "application/json"}, auth=False))
    except NoResponse:
        return None
    return _next_range(response) if response.status == 200 else None


def _next_range(response: Response) -> int | None:
    """Where to go on: `nextExpectedRanges` has been seen as ["0-"], ["2097152"] and ["2097152-4194303"], in any letter case."""
    ranges = _lower(response).get("nextexpectedranges")
    starts = [str(each).partition("-")[0] for each in ranges] if isinstance(ranges, list) else []
    numbers = [int(start) for start in starts if start.isdecimal() and len(start) < 16]
    return min(numbers, default=None)


def _lower(response: Response) -> dict[str, object]:
    return {name.lower(): value for name, value in json_object(response).items()}
