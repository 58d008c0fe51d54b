"""What a destination that is a webhook fetches by the links in its calls: the whole mail, or one of its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from mailroom.api.guard import MayWriteObjects
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.objects import WebhookTarget
from mailroom.ports import Message, OpenBlob
from mailroom.webhooks.links import Links
from mailroom.webhooks.received import RAW
from mailroom_core.errors import MimeError, StoreError
from mailroom_core.mime.index import decoded_pieces, index
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import MessageId, read_id

router = APIRouter(tags=["Mail that comes in"])
CHUNK = 256 * 1024
Id = Annotated[str, Path(pattern=r"^[0-9a-zA-Z]{13}$")]
PartName = Annotated[str, Path(pattern=r"^(raw|[0-9]{1,6})$")]
Proof = Annotated[str, Path(pattern=r"^[0-9]{1,14}-[0-9a-f]{40}$")]


@router.get(
    "/inbound/{id}/{part}/{proof}",
    response_class=Response,
    responses={200: {"content": {"message/rfc822": {}, "application/octet-stream": {}}}},
)
def received_part(office: TheOffice, id: Id, part: PartName, proof: Proof) -> Response:
    """A link out of a call of a webhook destination. It needs no token, and is good for a week."""
    message = _message(office, id, part, proof)
    if message.raw is None:
        try:
            blob: OpenBlob | None = office.blobs.open(message.blob)
        except (StoreError, OSError):
            raise Problem(410, "The bytes of this mail are gone") from None
    else:
        blob = None
    source: ReadAt = blob or InMemory(message.raw or b"")
    close = BackgroundTask(blob.close) if blob else None
    headers = {"Content-Disposition": "attachment"}
    if part == RAW:
        return StreamingResponse(_pieces(source), media_type="message/rfc822", headers=headers, background=close)
    try:
        found = list(index(source).walk())[int(part)]
    except (MimeError, IndexError, ValueError):
        if blob:
            blob.close()
        raise Problem(404, "The mail has no such part") from None
    return StreamingResponse(decoded_pieces(source, found), media_type="application/octet-stream", headers=headers, background=close)


class Secret(BaseModel):
    """What a destination's calls are signed with. Shown this once."""

    secret: str


@router.post("/destinations/{name:path}/secret")
def new_secret(token: MayWriteObjects, office: TheOffice, name: str) -> Secret:
    """A new secret for a destination that is a webhook. One of before stays good for a day."""
    office.look()
    found = office.directory().destinations.get(name)
    if found is None or not isinstance(found.target, WebhookTarget):
        raise Problem(404, f"There is no destination {name!r} that is a webhook; GET /v1/destinations lists those that there are")
    return Secret(secret=office.webhooks.rotate_of(found, by=f"token:{token.name}"))


def _message(office: Office, id: str, part: str, proof: str) -> Message:
    try:
        number = MessageId(read_id(id))
    except ValueError:
        number = MessageId(0)
    if not Links(office.key).opens(number, part, proof, office.clock()):
        raise Problem(403, "This link is none of ours, or its time is over; GET /v1/messages/{id}/raw gives the mail to who has a token")
    message = office.store.read(number)
    if message is None or (message.raw is None and not message.blob):
        raise Problem(410, "The bytes of this mail are gone: they are kept for the time that `queue.keep_raw` says")
    return message


def _pieces(source: ReadAt) -> Iterator[bytes]:
    return (source.read_at(offset, CHUNK) for offset in range(0, source.size, CHUNK))
