"""What a target is told: the shape of every notice, as docs/api.md and the OpenAPI description have it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from mailroom.notices import Happening, reply_of
from mailroom.objects import Webhook, WebhookEvent
from mailroom_core.model import State, show_id

_STATES = {
    WebhookEvent.ACCEPTED: State.QUEUED,
    WebhookEvent.SENT: State.SENT,
    WebhookEvent.DEFERRED: State.QUEUED,
    WebhookEvent.HELD: State.HELD,
    WebhookEvent.FAILED: State.FAILED,
    WebhookEvent.BOUNCED: State.BOUNCED,
    WebhookEvent.COMPLAINED: State.BOUNCED,
}
_KNOWN = {event.value: event for event in WebhookEvent}


class Raw(BaseModel):
    """What the next hop said, word for word."""

    code: int
    """SMTP or HTTP; 0 if there was none."""
    enhanced: str
    """RFC 3463, such as 5.1.1; may be empty."""
    name: str
    """The provider's own code; may be empty."""
    text: str


class MailData(BaseModel):
    """One mail, or one delivery of it."""

    id: str
    """Of the message, as in /v1/messages/{id}."""
    message_id: str
    """The header field Message-ID."""
    application: str
    tags: list[str]
    delivery: str | None
    """Of one recipient; null if this is about the whole mail (`accepted`)."""
    recipient: str | None
    recipients: list[str]
    """All of the mail's, if this is about the whole mail."""
    state: State
    """That this event has led to."""
    text: str
    """What happened, in words."""
    reply: Raw | None


class AccountData(BaseModel):
    """An account, or a server that signs in by itself, that can't go on without a person."""

    account: str
    lane: str
    """What waits for it."""
    text: str
    """Why, and what to do."""


class MailEvent(BaseModel):
    """Something that happened to a mail."""

    type: Literal["accepted", "sent", "deferred", "held", "failed", "bounced", "complained"]
    timestamp: datetime
    """When it happened."""
    data: MailData


class AccountEvent(BaseModel):
    """Something that happened to an account."""

    type: Literal["account.needs_attention"]
    timestamp: datetime
    data: AccountData


class DomainData(BaseModel):
    """A look at an alias domain, or at the installation, that found something else than the one before."""

    domain: str
    """Empty: the installation."""
    harmful: bool
    """Whether something harmful is there now."""
    new: list[str]
    """Findings that were not there before, in words."""
    gone: list[str]
    """Findings that are there no longer."""
    text: str


class DomainEvent(BaseModel):
    """Something that the doctor found."""

    type: Literal["doctor.changed"]
    timestamp: datetime
    data: DomainData


class TestData(BaseModel):
    __test__ = False  # pytest looks for names that begin so

    webhook: str
    text: str = "Mailroom reaches this address."


class TestEvent(BaseModel):
    """What the test button sends. It stands for nothing that happened."""

    __test__ = False

    type: Literal["test"] = "test"
    timestamp: datetime
    data: TestData


def event_of(happening: Happening) -> WebhookEvent | None:
    """None for what no webhook is told, such as what people do in the console."""
    return _KNOWN.get(happening.name)


def wanted(webhooks: Sequence[Webhook], happening: Happening) -> list[Webhook]:
    """Who is told of it."""
    event = event_of(happening)
    return [
        each
        for each in webhooks
        if each.active and event in each.events and (not each.application or each.application == happening.application)
    ]


def body_of(happening: Happening) -> str:
    """The body of a notice. The happening is one that `wanted` has found somebody for."""
    event = _KNOWN[happening.name]
    if event is WebhookEvent.DOCTOR_CHANGED:
        known = happening.data
        seen = DomainData(
            domain=known.get("domain", ""),
            harmful=bool(known.get("harmful")),
            new=known.get("new", "").splitlines(),
            gone=known.get("gone", "").splitlines(),
            text=happening.text,
        )
        return DomainEvent(type="doctor.changed", timestamp=happening.at, data=seen).model_dump_json()
    if event is WebhookEvent.ACCOUNT_NEEDS_ATTENTION or happening.message_id is None:
        about = AccountData(account=happening.data.get("account", ""), lane=happening.data.get("lane", ""), text=happening.text)
        return AccountEvent(type="account.needs_attention", timestamp=happening.at, data=about).model_dump_json()
    state = _STATES[event]
    reply = reply_of(happening.data) or (happening.reply if happening.state is state else None)
    data = MailData(
        id=show_id(happening.message_id),
        message_id=happening.header_message_id,
        application=happening.application,
        tags=list(happening.tags),
        delivery=None if happening.delivery_id is None else show_id(happening.delivery_id),
        recipient=happening.recipient or None,
        recipients=list(happening.recipients),
        state=state,
        text=happening.text,
        reply=None if reply is None else Raw(code=reply.code, enhanced=reply.enhanced, name=reply.name, text=reply.text),
    )
    return MailEvent.model_validate({"type": event.value, "timestamp": happening.at, "data": data}).model_dump_json()
