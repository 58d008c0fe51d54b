"""Webhooks: secrets, tests, what they were told, and what they are told in the first place."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from mailroom import notices
from mailroom.api.guard import MayReadObjects, MayWriteObjects
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.notices import NoticeState
from mailroom.objects import Webhook
from mailroom.webhooks.bodies import AccountEvent, DomainEvent, MailEvent, TestEvent
from mailroom.webhooks.received import ReceivedEvent
from mailroom.webhooks.signing import BOTH
from mailroom_core.model import show_id

router = APIRouter(tags=["Webhooks"])
Name = Annotated[str, Path(max_length=120)]
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,19}$")]


class Secret(BaseModel):
    """What its calls are signed with. Shown this once."""

    secret: str
    former_until: datetime | None
    """Until then each call bears a second signature, with the secret of before."""


class Tested(BaseModel):
    """What a target said to a test."""

    delivered: bool
    status: int
    """HTTP; 0: no answer."""
    took: float
    """Seconds."""
    answer: str
    """Its beginning, or why there is none."""


class Health(BaseModel):
    waiting: int
    given_up: int
    told_at: datetime | None
    """The last time that its target has taken something."""
    failing_since: datetime | None
    paused_until: datetime | None


class NoticeShape(BaseModel):
    """One event on its way to one webhook."""

    id: str
    """What the target sees as `webhook-id`."""
    event: str
    message: str | None
    state: NoticeState
    next: datetime | None
    """When it is tried next."""
    tries: int
    """Since it was made, or replayed."""


class NoticePage(BaseModel):
    """Newest first. `next` is the cursor of the next page, empty at the end."""

    items: list[NoticeShape]
    next: str


class TryShape(BaseModel):
    at: datetime
    status: int
    took: float
    answer: str


class NoticeStory(BaseModel):
    notice: NoticeShape
    body: str
    tries: list[TryShape]


class Since(BaseModel):
    """From which time on; without one, all that there are."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = None


class Replayed(BaseModel):
    replayed: int


def _known(office: Office, name: str) -> Webhook:
    office.look()
    found = office.directory().webhooks.get(name)
    if found is None:
        raise Problem(404, f"There is no webhook {name!r}; GET /v1/webhooks lists those that there are")
    return found


def _notice(office: Office, name: str, number: str) -> notices.NoticeStory:
    found = office.webhooks.look_up(name, number)
    if found is None:
        raise Problem(404, f"The webhook {name!r} was told nothing with the id {number!r}; it may have been forgotten (webhooks.keep)")
    return found


def _shape(item: notices.Notice) -> NoticeShape:
    return NoticeShape(
        id=show_id(item.id),
        event=item.event,
        message=None if item.message_id is None else show_id(item.message_id),
        state=item.state,
        next=item.due_at,
        tries=item.tries,
    )


@router.post("/webhooks/{name:path}/secret")
def new_secret(token: MayWriteObjects, office: TheOffice, name: Name) -> Secret:
    """A new secret. The one of before stays good for a day, so that the target can be changed in peace."""
    webhook = _known(office, name)
    had = office.webhooks.has_secret(webhook)
    secret = office.webhooks.rotate(webhook, by=f"token:{token.name}")
    return Secret(secret=secret, former_until=office.clock() + BOTH if had else None)


@router.post("/webhooks/{name:path}/test")
async def test_webhook(token: MayWriteObjects, office: TheOffice, name: Name) -> Tested:
    """Call the target once with an event of the type `test`, and say what it answers."""
    called = await office.webhooks.test(await asyncio.to_thread(_known, office, name))
    tried = called.tried
    return Tested(delivered=200 <= tried.status < 300, status=tried.status, took=tried.took.total_seconds(), answer=tried.answer)


@router.get("/webhooks/{name:path}/health")
def webhook_health(token: MayReadObjects, office: TheOffice, name: Name) -> Health:
    """How it is doing."""
    item = office.webhooks.notices.health().get(_known(office, name).name, notices.Health())
    return Health(
        waiting=item.waiting,
        given_up=item.given_up,
        told_at=item.told_at,
        failing_since=item.failing_since,
        paused_until=item.paused_until,
    )


@router.get("/webhooks/{name:path}/notices")
def list_notices(
    token: MayReadObjects,
    office: TheOffice,
    name: Name,
    state: NoticeState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Cursor = "",
) -> NoticePage:
    """What it was told, or is still to be told."""
    found, cursor = office.webhooks.notices.notices(_known(office, name).name, state=state, limit=limit, after=after)
    return NoticePage(items=[_shape(each) for each in found], next=cursor)


@router.get("/webhooks/{name:path}/notices/{number}")
def get_notice(token: MayReadObjects, office: TheOffice, name: Name, number: str) -> NoticeStory:
    """One notice with its body and each try."""
    item = _notice(office, name, number)
    tries = [TryShape(at=each.at, status=each.status, took=each.took.total_seconds(), answer=each.answer) for each in item.tries]
    return NoticeStory(notice=_shape(item.notice), body=item.notice.body, tries=tries)


@router.post("/webhooks/{name:path}/notices/{number}/replay")
def replay_notice(token: MayWriteObjects, office: TheOffice, name: Name, number: str) -> Replayed:
    """Send it again at once, with the same id, whatever became of it."""
    item = _notice(office, name, number)
    return Replayed(replayed=office.webhooks.notices.replay(name, notice=item.notice.id))


@router.post("/webhooks/{name:path}/replay")
def replay_failed(token: MayWriteObjects, office: TheOffice, name: Name, since: Since) -> Replayed:
    """Send again at once all that have failed and were made since then."""
    return Replayed(replayed=office.webhooks.notices.replay(_known(office, name).name, since=since.since))


def describe(app: FastAPI) -> None:
    """What targets are told, in the section `webhooks` of the description."""

    @app.webhooks.post("mail")
    def mail_event(event: MailEvent) -> None:
        """Something happened to a mail. Answer 2xx as soon as you have it; everything else is tried again for about three days.
        The header fields `webhook-id`, `webhook-timestamp` and `webhook-signature` are those of Standard Webhooks."""

    @app.webhooks.post("account")
    def account_event(event: AccountEvent) -> None:
        """An account can't go on without a person."""

    @app.webhooks.post("domain")
    def domain_event(event: DomainEvent) -> None:
        """The doctor's daily look at an alias domain or the installation has found something else than the one before."""

    @app.webhooks.post("received")
    def received_event(event: ReceivedEvent) -> None:
        """A mail that came in, to a destination that is a webhook. 2xx takes it; 400, 409, 413, 415 and 422 refuse this one mail, which
        waits in quarantine; 410 stops all of them; everything else is tried again, with the same `webhook-id`."""

    @app.webhooks.post("test")
    def test_event(event: TestEvent) -> None:
        """Somebody tries out whether you can be reached."""
