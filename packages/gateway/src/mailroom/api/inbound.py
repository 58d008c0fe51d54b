"""`POST /v1/inbound`: mail from elsewhere, as it is, through the same rules as mail that is fetched; `POST /v1/route/explain`: what
these rules would say."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.requests import Request

from mailroom.api.bodies import read_mail
from mailroom.api.guard import MayReadObjects, MayWriteInbound
from mailroom.api.messages import Words
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.api.sending import LONGEST, MIME, Key, envelope_of, key_of
from mailroom.intake.judge import Came, explained, told
from mailroom.intake.take import Fetched
from mailroom.intake.trace import envelope_fields
from mailroom.spool import SpoolFile
from mailroom_core.model import Envelope, MessageId, show_id
from mailroom_core.policy.decision import Decision

router = APIRouter(tags=["Mail that comes in"])
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {MIME: {"schema": {"type": "string", "description": "The mail as it is (RFC 5322)"}}}}
}


class Taken(BaseModel):
    """It is committed; nothing loses it from now on."""

    id: str
    verdict: str
    """What became of it, in a word: bounce, reply, alias, fallback, answered, loop, ignored, quarantined."""
    why: str
    destinations: list[str]
    """Who gets it."""
    duplicate: bool
    """It came with this key before; the rest is what was decided then."""


class Route(BaseModel):
    destination: str
    thread: str
    """What it is added to; empty: it opens something new."""
    alias: str
    automatic: bool
    defaults: dict[str, Any]
    """The alias's default values of what it opens."""


class Answer(BaseModel):
    to: str
    code: int
    enhanced: str
    text: str


class Step(BaseModel):
    rule: str
    said: str
    decided: bool


class Explanation(BaseModel):
    """A decision with every rule that was asked; the last one has decided."""

    verdict: str
    why: str
    routes: list[Route]
    answers: list[Answer]
    withheld: str
    """Why an answer that the rules ask for would not be written."""
    steps: list[Step]


@router.post("/inbound", status_code=202, openapi_extra=_BODY)
async def take(
    request: Request,
    token: MayWriteInbound,
    office: TheOffice,
    idempotency_key: Key = "",
    sender: Annotated[str | None, Query(max_length=LONGEST, description="The envelope sender; empty is the null one")] = None,
    recipient: Annotated[list[str] | None, Query(description="The envelope recipients; they alone decide where it goes")] = None,
    x_envelope_from: Annotated[str | None, Header(max_length=LONGEST)] = None,
    x_envelope_to: Annotated[str | None, Header(description="Addresses with commas in between")] = None,
    refuse: Annotated[bool, Query(description="Say no to what nobody here takes; your server then tells its sender, not we")] = False,
    destination: Annotated[Words, Query(description="Takes what no alias wants")] = "",
) -> Taken:
    """Hand over a mail that has come for us elsewhere, as MIME with its envelope."""
    envelope = Envelope(*envelope_of(x_envelope_from if sender is None else sender, recipient or (x_envelope_to or "").split(",")))
    if len(envelope.recipients) > office.max_recipients:
        raise Problem(422, f"The mail has {len(envelope.recipients)} recipients; {office.max_recipients} are allowed: split it")
    if destination and destination not in office.directory().destinations:
        raise Problem(422, f"There is no destination {destination!r}; see: mailroom destination list")
    key = key_of(idempotency_key)
    came = Came(by=f"http:{token.name}", envelope=envelope, fallback=destination, in_session=refuse)
    async with _mail(request, office, envelope_fields(envelope)) as (file, digest):
        whole = hashlib.sha256(repr((digest, envelope)).encode()).hexdigest()
        fetched = Fetched(came=came, key=came.by, remote_id=key, file=file, digest=whole if key else "")
        number, decision = await office.intake(fetched)
    if decision is None:
        return await asyncio.to_thread(_before, office, came.by, key, whole, number)
    office.notify()
    return _taken(number, decision)


@router.post("/route/explain", openapi_extra=_BODY)
async def explain(
    request: Request,
    token: MayReadObjects,
    office: TheOffice,
    incoming: Annotated[Words, Query(description="As if this incoming server had fetched it")] = "",
    recipient: Annotated[list[Words] | None, Query(description="As if it had been handed over for this address")] = None,
) -> Explanation:
    """What would become of a mail now, and why. Nothing is changed."""
    await asyncio.to_thread(office.look)
    async with _mail(request, office, b"") as (file, _):
        decision = await asyncio.to_thread(_explained, office, file, incoming, tuple(recipient or ()))
    return Explanation(**told(decision))


def _explained(office: Office, file: Path, incoming: str, recipients: tuple[str, ...]) -> Decision:
    source = office.intake.opened(file)
    try:
        return explained(office.intake.judge, source, office.clock(), incoming=incoming, recipients=recipients)
    finally:
        source.close()


@asynccontextmanager
async def _mail(request: Request, office: Office, before: bytes) -> AsyncIterator[tuple[Path, str]]:
    """The body in a file, behind `before`, and its digest."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MIME:
        raise Problem(415, "Send the mail as it is, as message/rfc822 (MIME)")
    with SpoolFile(office.spool) as spool:
        await spool.append(before)
        raw = await read_mail(request, spool, office.max_size, digested=True)
        if raw.raw is not None:
            await spool.append(raw.raw)
        yield spool.path, raw.digest


def _before(office: Office, scope: str, key: str, digest: str, number: MessageId) -> Taken:
    """What was decided when this key came first. Raises Problem if that was another mail."""
    first = office.store.first_use(scope, key)
    if first is not None and first[1] != digest:
        raise Problem(409, f"This Idempotency-Key belongs to another mail, {show_id(number)}; use a new key for a new mail")
    story = office.store.story(number)
    routed = next((each for each in story.events if each.name == "routed"), None) if story else None
    return Taken(
        id=show_id(number),
        verdict=routed.data.get("verdict", "").lower() if routed else "",
        why=routed.text if routed else "",
        destinations=list(dict.fromkeys(each.server for each in story.deliveries if each.server)) if story else [],
        duplicate=True,
    )


def _taken(number: MessageId, decision: Decision) -> Taken:
    names = list(dict.fromkeys(each.target.destination for each in decision.routes))
    return Taken(id=show_id(number), verdict=decision.verdict.name.lower(), why=decision.why, destinations=names, duplicate=False)
