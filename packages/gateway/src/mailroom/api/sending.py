"""`POST /v1/messages`: a mail as JSON or as MIME. 202 comes after the commit."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Header, Query
from pydantic import AwareDatetime
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from mailroom.accept import IN_ROW, NO_WISHES, Submission, Wishes
from mailroom.api import problems
from mailroom.api.bodies import read_json, read_mail
from mailroom.api.guard import MaySend, application_of, may_send, plain_bearer
from mailroom.api.mail import Batch, Mail, Tags, address, build, check_send_at
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.api.shapes import Accepted, BatchAnswer, BatchResult
from mailroom.objects import Application
from mailroom.spool import SpoolFile
from mailroom_core.errors import MailroomError, MimeError, Refused
from mailroom_core.model import Kind, MessageId, show_id

router = APIRouter(tags=["Sending"])
MIME = "message/rfc822"
LONGEST = 320
_ALONE = 64 * 1024
"""Bytes of JSON that are worth a thread."""
Key = Annotated[str, Header(max_length=200, description="The same key and body again give the same id, and no second mail")]
_MIME = {MIME: {"schema": {"type": "string", "description": "The mail as it is (RFC 5322)"}}}
_BODIES: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Mail"}}, **_MIME}}
}
_BATCH: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Batch"}}}}
}


class Straight(Route):
    """Before all other routes: a mail as MIME that comes with no more than a token and its envelope in the query goes straight to
    `_send_mime`. Everything else is `send`'s: FastAPI's look at each parameter costs more than accepting the mail."""

    def __init__(self) -> None:
        super().__init__("/v1/messages", _send_straight, methods=["POST"], include_in_schema=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self.path:
            return Match.NONE, {}
        headers = dict(scope["headers"])
        if len(headers) < len(scope["headers"]) or headers.get(b"content-type") != MIME.encode() or b"idempotency-key" in headers:
            return Match.NONE, {}
        envelope, bearer = _plain_envelope(scope["query_string"]), plain_bearer(headers.get(b"authorization", b""))
        if envelope is None or bearer is None:
            return Match.NONE, {}
        return Match.FULL, {"endpoint": self.endpoint, "path_params": {"envelope": envelope, "bearer": bearer}}


async def _send_straight(request: Request) -> Response:
    envelope, bearer = request.path_params["envelope"], request.path_params["bearer"]
    office: Office = request.app.state.office
    application = application_of(office, await may_send(request, office, bearer))
    number = await _send_mime(request, office, application, envelope_of(*envelope), NO_WISHES)
    return JSONResponse({"id": show_id(number)}, 202)


def _plain_envelope(query: bytes) -> tuple[str, list[str]] | None:
    """Sender and recipients, if a query has nothing else."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    senders = [value for name, value in pairs if name == "sender"]
    recipients = [value for name, value in pairs if name == "recipient"]
    if len(senders) != 1 or not recipients or len(pairs) > 1 + len(recipients) or len(senders[0]) > LONGEST:
        return None
    return senders[0], recipients


@router.post("/messages", status_code=202, openapi_extra=_BODIES)
async def send(
    request: Request,
    token: MaySend,
    office: TheOffice,
    idempotency_key: Key = "",
    sender: Annotated[str | None, Query(max_length=LONGEST, description="MIME only: the envelope sender; empty is the null one")] = None,
    recipient: Annotated[list[str] | None, Query(description="MIME only: the envelope recipients")] = None,
    x_envelope_from: Annotated[str | None, Header(max_length=LONGEST)] = None,
    x_envelope_to: Annotated[str | None, Header(description="Addresses with commas in between")] = None,
    tag: Annotated[Tags | None, Query(description="MIME only")] = None,
    send_at: Annotated[AwareDatetime | None, Query(description="MIME only")] = None,
    kind: Annotated[Kind | None, Query(description="MIME only")] = None,
) -> Accepted:
    """Hand in a mail, as JSON or as MIME. Once this is answered, nothing loses it."""
    application = application_of(office, token)
    media = _media(request)
    if media == "application/json":
        mail = await _mail(await read_json(request))
        return Accepted(id=show_id(await _send_mail(request, office, application, mail, idempotency_key)))
    if media != MIME:
        raise Problem(415, "Send a mail as application/json or as message/rfc822 (MIME)")
    envelope = envelope_of(
        x_envelope_from if sender is None else sender, recipient if recipient is not None else (x_envelope_to or "").split(",")
    )
    _check_time(send_at, office)
    wishes = Wishes(send_at=send_at, kind=kind, tags=tuple(tag or ()), idempotency_key=key_of(idempotency_key))
    return Accepted(id=show_id(await _send_mime(request, office, application, envelope, wishes)))


@router.post("/messages/batch", openapi_extra=_BATCH)
async def send_batch(request: Request, token: MaySend, office: TheOffice) -> BatchAnswer:
    """Hand in several mails. Each is accepted or refused by itself; `results` tells which."""
    application = application_of(office, token)
    body = await read_json(request)
    batch = await asyncio.to_thread(Batch.model_validate_json, body)
    return BatchAnswer(results=await asyncio.gather(*(_one_of_batch(request, office, application, mail) for mail in batch.messages)))


async def _send_mime(
    request: Request, office: Office, application: Application, envelope: tuple[str | None, tuple[str, ...]], wishes: Wishes
) -> MessageId:
    with SpoolFile(office.spool) as spool:
        raw = await read_mail(request, spool, min(application.max_size, office.max_size), digested=bool(wishes.idempotency_key))
        if wishes.idempotency_key:
            whole = repr((raw.digest, envelope, list(wishes.tags) or None, wishes.send_at, wishes.kind))
            wishes = replace(wishes, digest=hashlib.sha256(whole.encode()).hexdigest())
        path = spool.path if raw.raw is None else None
        return await _submit(request, office, application, envelope, (raw.raw, path, raw.size), wishes)


async def _one_of_batch(request: Request, office: Office, application: Application, mail: Mail) -> BatchResult:
    try:
        return BatchResult(id=show_id(await _send_mail(request, office, application, mail, "")))
    except Refused as refused:
        return BatchResult(problem=problems.of_refusal(refused))
    except Problem as problem:
        return BatchResult(problem=problems.body_of(problem.status_code, problem.detail, problem.errors))
    except MailroomError as problem:  # the others of the batch are accepted, and their ids must not be lost with this one
        return BatchResult(problem=problems.of_house(problem))


async def _mail(body: bytes) -> Mail:
    if len(body) < _ALONE:
        return Mail.model_validate_json(body)
    return await asyncio.to_thread(Mail.model_validate_json, body)


async def _send_mail(request: Request, office: Office, application: Application, mail: Mail, key: str) -> MessageId:
    _check_time(mail.send_at, office)
    key = key_of(key) or mail.idempotency_key
    try:
        raw = await asyncio.to_thread(build, mail)
    except (MimeError, ValueError) as problem:  # the email package has limits of its own
        raise Problem(422, f"No mail can be made of this: {problem}") from None
    limit = min(application.max_size, office.max_size)
    if len(raw) > limit:
        raise Problem(413, f"The mail has {len(raw)} bytes; {application.name} may send {limit}")
    digest = hashlib.sha256(mail.model_dump_json(exclude={"idempotency_key"}).encode()).hexdigest() if key else ""
    wishes = Wishes(send_at=mail.send_at, kind=mail.kind, tags=tuple(mail.tags), idempotency_key=key, digest=digest)
    envelope = (mail.sender.email, tuple(mail.recipients))
    if len(raw) <= IN_ROW:
        return await _submit(request, office, application, envelope, (raw, None, len(raw)), wishes)
    with SpoolFile(office.spool) as spool:
        await spool.append(raw)
        return await _submit(request, office, application, envelope, (None, spool.path, len(raw)), wishes)


async def _submit(
    request: Request,
    office: Office,
    application: Application,
    envelope: tuple[str | None, tuple[str, ...]],
    content: tuple[bytes | None, Path | None, int],
    wishes: Wishes,
) -> MessageId:
    sender, recipients = envelope
    if len(recipients) > office.max_recipients:
        raise Problem(422, f"The mail has {len(recipients)} recipients; {office.max_recipients} are allowed: split it")
    if (first := await _first_use(office, application, wishes)) is not None:
        return first
    raw, spool, size = content
    submission = Submission(
        application=application,
        sender=sender,
        recipients=recipients,
        raw=raw,
        spool=spool,
        size=size,
        client=_client(request),
        helo="http-api",
        tls="",
        authenticated=application.name,
        protocol="HTTP",
        wishes=wishes,
    )
    number = await office.accept(submission)
    await _first_use(office, application, wishes)  # somebody may have used the key at the same moment, for something else
    return number


async def _first_use(office: Office, application: Application, wishes: Wishes) -> MessageId | None:
    """The mail that came with this idempotency key before. Raises Problem if it was another one."""
    if not wishes.idempotency_key:
        return None
    found = await asyncio.to_thread(office.store.first_use, application.name, wishes.idempotency_key)
    if found is None:
        return None
    number, digest = found
    if digest != wishes.digest:
        raise Problem(409, f"This Idempotency-Key belongs to another mail, {show_id(number)}; use a new key for a new mail")
    return number


def envelope_of(sender: str | None, recipients: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    if sender is None:
        raise Problem(422, "MIME needs the envelope sender: give `sender` in the query or X-Envelope-From; empty is the null sender")
    wanted = [each.strip() for each in recipients if each.strip()]
    if not wanted:
        raise Problem(422, "MIME needs the envelope recipients: give `recipient` in the query or X-Envelope-To. Header fields are not read")
    sender = "" if sender.strip() == "<>" else sender.strip()
    try:
        return address(sender) if sender else None, tuple(dict.fromkeys(map(address, wanted)))
    except ValueError as problem:
        raise Problem(422, str(problem)) from None


def _check_time(send_at: Any, office: Office) -> None:
    try:
        check_send_at(send_at, office.clock())
    except ValueError as problem:
        raise Problem(422, str(problem)) from None


def key_of(key: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise Problem(422, "An Idempotency-Key is printable ASCII, for example a UUID")
    return key.strip()


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _client(request: Request) -> str:
    return _address(request.client.host if request.client else "")


@lru_cache(maxsize=1024)
def _address(host: str) -> str:
    with suppress(ValueError):
        return str(ip_address(host))
    return "unknown"  # a proxy may say anything
