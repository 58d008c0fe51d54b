"""What comes in and what becomes of it: messages, their deliveries, their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mailroom.conversations import ConversationId, Entry
from mailroom_core.model import DeliveryId, Kind, LaneName, MessageId, Remote, Reply, State


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    id: DeliveryId
    recipient: str
    server: str
    """Name of the outgoing server."""
    lane: LaneName
    state: State = State.QUEUED
    """QUEUED; FAILED for a suppressed recipient; HELD or IGNORED for mail that came in and has no destination."""
    due_at: datetime
    reply: Reply | None = None
    once: str = ""
    """What another mail has been handed over under already is IGNORED; see `mailroom_core.policy.decision.dedupe_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """Everything that one transaction makes durable. Exactly one of `raw` and `blob` carries the bytes."""

    id: MessageId
    accepted_at: datetime
    expires_at: datetime
    sender: str | None
    header_from: str
    header_message_id: str
    subject: str
    application: str
    kind: Kind
    size: int
    rewrite_from: str = ""
    """If the choice of the server demands another From: that header's new value; the stored bytes stay as they came."""
    raw: bytes | None = None
    blob: str = ""
    """A name that `Blobs.keep` gave, already synced."""
    deliveries: tuple[NewDelivery, ...]
    events: tuple[Event, ...] = ()
    idempotency_key: str = ""
    idempotency_scope: str = ""
    """Within which the key is used once; empty: the application."""
    digest: str = ""
    """Of what came with the idempotency key, so that another body under the same key is noticed."""
    tags: tuple[str, ...] = ()
    source: str = ""
    """The incoming server that it was fetched by; empty on the way out."""
    entry: tuple[ConversationId, Entry] | None = None
    """Where it stands from now on."""
    replies: tuple[NewMessage, ...] = ()
    """Mail of our own that this gives rise to, stored with it or not at all; one that was stored before gives rise to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    id: MessageId
    accepted_at: datetime
    sender: str | None
    header_from: str
    header_message_id: str
    subject: str
    application: str
    kind: Kind
    size: int
    rewrite_from: str
    tags: tuple[str, ...] = ()
    source: str = ""
    raw: bytes | None
    """The bytes where they lie in the row and were asked for."""
    blob: str
    """The blob's name where they lie in a file; both empty: the bytes are gone (retention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    id: DeliveryId
    message_id: MessageId
    recipient: str
    server: str
    lane: LaneName
    state: State
    due_at: datetime | None
    """When it is looked at next; None if nothing is to be done."""
    expires_at: datetime
    """The end of its lifetime, which stands still while its lane is held."""
    attempts: int
    reply: Reply | None
    """The last one."""
    remote: Remote
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of a message's timeline."""

    at: datetime
    name: str
    """One of `observe.events`."""
    text: str
    """In words that an office person understands."""
    delivery_id: DeliveryId | None = None
    data: Mapping[str, str] = field(default_factory=dict)
