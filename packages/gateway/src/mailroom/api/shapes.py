"""What is answered, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from mailroom import ports
from mailroom_core.model import State, show_id


class Accepted(BaseModel):
    """It is committed; the gateway answers for it from now on."""

    id: str


class BatchResult(BaseModel):
    """Either the id of an accepted mail, or why it was refused."""

    id: str = ""
    problem: dict[str, Any] | None = None


class BatchAnswer(BaseModel):
    results: list[BatchResult]
    """In the order of the mails."""


class Message(BaseModel):
    id: str
    accepted_at: datetime
    sender: str | None
    """Of the envelope; null is the null reverse-path."""
    header_from: str
    message_id: str
    """The header field Message-ID."""
    subject: str
    application: str
    kind: str
    size: int
    tags: list[str]


class Delivery(BaseModel):
    """One message to one recipient."""

    id: str
    recipient: str
    state: State
    server: str
    lane: str
    next: datetime | None
    """When it is looked at next."""
    expires_at: datetime
    attempts: int
    reply: str
    """What the next hop said last."""
    remote_id: str
    """The provider's name for it."""
    internet_message_id: str
    updated_at: datetime


class Found(BaseModel):
    message: Message
    delivery: Delivery


class Page(BaseModel):
    """Deliveries, newest first. `next` is the cursor of the next page, empty at the end."""

    items: list[Found]
    next: str


class Event(BaseModel):
    at: datetime
    name: str
    text: str
    delivery: str | None
    data: dict[str, str]


class Attempt(BaseModel):
    started_at: datetime
    ended_at: datetime | None
    deliveries: list[str]
    resolution: str
    looks: int
    text: str


class Story(BaseModel):
    """One message with all that happened to it."""

    message: Message
    deliveries: list[Delivery]
    attempts: list[Attempt]
    events: list[Event]


class Changed(BaseModel):
    changed: int
    """Deliveries."""
    done: bool = True
    """False: there are more; ask again."""


def message(item: ports.Message) -> Message:
    return Message(
        id=show_id(item.id),
        accepted_at=item.accepted_at,
        sender=item.sender,
        header_from=item.header_from,
        message_id=item.header_message_id,
        subject=item.subject,
        application=item.application,
        kind=item.kind.value,
        size=item.size,
        tags=list(item.tags),
    )


def delivery(item: ports.Delivery) -> Delivery:
    return Delivery(
        id=show_id(item.id),
        recipient=item.recipient,
        state=item.state,
        server=item.server,
        lane=item.lane,
        next=item.due_at,
        expires_at=item.expires_at,
        attempts=item.attempts,
        reply=str(item.reply or ""),
        remote_id=item.remote.remote_id,
        internet_message_id=item.remote.internet_message_id,
        updated_at=item.updated_at,
    )


def page(found: Iterable[ports.Found], cursor: str) -> Page:
    return Page(items=[Found(message=message(one.message), delivery=delivery(one.delivery)) for one in found], next=cursor)


def story(item: ports.Story) -> Story:
    return Story(
        message=message(item.message),
        deliveries=[delivery(each) for each in item.deliveries],
        attempts=[_attempt(each) for each in item.attempts],
        events=[_event(each) for each in item.events],
    )


def _attempt(item: ports.Attempt) -> Attempt:
    return Attempt(
        started_at=item.started_at,
        ended_at=item.ended_at,
        deliveries=[show_id(number) for number in item.delivery_ids],
        resolution=item.resolution.value,
        looks=item.looks,
        text=item.text,
    )


def _event(item: ports.Event) -> Event:
    of = None if item.delivery_id is None else show_id(item.delivery_id)
    return Event(at=item.at, name=item.name, text=item.text, delivery=of, data=dict(item.data))
