"""Between rows and values: times, JSON, and the columns of what is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from mailroom.ports import Attempt, Delivery, Event, Message, Resolution
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId, Remote, Reply, State

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_STATES = {state.value: state for state in State}
_KINDS = {kind.value: kind for kind in Kind}

MESSAGE = """m.id, m.accepted_at, m.sender, m.header_from, m.header_message_id, m.subject, m.application, m.kind, m.size, m.rewrite_from,
    m.blob, m.tags, m.source"""
DELIVERY = """d.id, d.message_id, d.recipient, d.server, d.lane, d.state, d.due_at,
    d.lane_expiry + l.paused, l.held_at,
    d.attempts, d.reply, d.remote_id, d.internet_message_id, d.conversation_id, d.updated_at"""
"""`d` is the delivery, `l` its lane."""
ATTEMPT = """a.id, a.message_id, a.delivery_ids, a.lane, a.epoch, a.started_at, a.deadline, a.marker, a.facts, a.resolution, a.looks,
    a.ended_at, a.text"""
EVENT = "at, name, text, delivery_id, data"


def micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def span(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def dump_map(data: Mapping[str, str]) -> str:
    return json.dumps(dict(data)) if data else ""


def load_map(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def dump_reply(reply: Reply | None) -> str | None:
    return None if reply is None else json.dumps((reply.code, reply.text, reply.enhanced, reply.name))


def dump_tags(tags: Sequence[str]) -> str:
    """With a space around each, so that a whole tag can be looked for; a tag has none inside."""
    return f" {' '.join(tags)} " if tags else ""


def message_of(row: Sequence[Any], raw: bytes | None = None) -> Message:
    """From the columns `MESSAGE`."""
    number, accepted, sender, header_from, header_message_id, subject, application, kind, size, rewrite, blob, tags, source = row
    return Message(
        id=MessageId(number),
        accepted_at=moment(accepted),
        sender=sender,
        header_from=header_from,
        header_message_id=header_message_id,
        subject=subject,
        application=application,
        kind=_KINDS[kind],
        size=size,
        rewrite_from=rewrite,
        raw=raw,
        blob=blob,
        tags=tuple(tags.split()),
        source=source,
    )


def delivery_of(row: Sequence[Any], now: int) -> Delivery:
    """From the columns `DELIVERY`. The end of its lifetime moves on while its lane is held: see `lanes` in `schema.py`."""
    number, message, recipient, server, lane, state, due, expires, held, attempts, reply, *remote, updated = row
    return Delivery(
        id=DeliveryId(number),
        message_id=MessageId(message),
        recipient=recipient,
        server=server,
        lane=LaneName(lane),
        state=_STATES[state],
        due_at=None if due is None else moment(due),
        expires_at=moment(expires if held is None else expires + now - held),
        attempts=attempts,
        reply=None if reply is None else Reply(*json.loads(reply)),
        remote=Remote(*remote),
        updated_at=moment(updated),
    )


def attempt_of(row: Sequence[Any]) -> Attempt:
    """From the columns `ATTEMPT`."""
    number, message, deliveries, lane, epoch, started, deadline, marker, facts, resolution, looks, ended, text = row
    return Attempt(
        id=AttemptId(number),
        message_id=MessageId(message),
        delivery_ids=tuple(json.loads(deliveries)),
        lane=LaneName(lane),
        epoch=epoch,
        started_at=moment(started),
        deadline=moment(deadline),
        marker=marker,
        facts=load_map(facts),
        resolution=Resolution(resolution),
        looks=looks,
        ended_at=None if ended is None else moment(ended),
        text=text,
    )


def event_of(row: Sequence[Any]) -> Event:
    """From the columns `EVENT`."""
    at, name, text, delivery, data = row
    return Event(
        at=moment(at),
        name=name,
        text=text,
        delivery_id=None if delivery is None else DeliveryId(delivery),
        data=load_map(data),
    )
