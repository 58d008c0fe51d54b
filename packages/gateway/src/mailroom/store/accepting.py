"""The way in: messages with their deliveries, bytes and first events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mailroom.ports import Event, NewDelivery, NewMessage
from mailroom.store.conversing import stand
from mailroom.store.database import Tx
from mailroom.store.nudges import nudge
from mailroom.store.searching import WAITS
from mailroom.store.values import dump_map, dump_reply, dump_tags, micros
from mailroom_core.model import Kind, MessageId, Reply, State, show_id
from mailroom_core.policy.addresses import normalize

MESSAGES = """INSERT INTO messages (id, accepted_at, lifetime, sender, header_from, header_message_id, subject, application, kind, size,
    rewrite_from, blob, tags, source, author) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
RAWS = "INSERT INTO raws (message_id, bytes) VALUES (?, ?)"
DELIVERIES = """INSERT INTO deliveries (id, message_id, recipient, server, lane, bulk, state, due_at, lane_expiry, reply, updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
EVENTS = "INSERT INTO events (message_id, delivery_id, at, name, text, data) VALUES (?, ?, ?, ?, ?, ?)"
LANES = "INSERT INTO lanes (name) VALUES (?) ON CONFLICT DO NOTHING"
CLOCKS = "SELECT name, paused, held_at FROM lanes WHERE name {names}"
KEYS = "INSERT INTO idempotency_keys (application, key, message_id, digest) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
LIFETIME = "SELECT lifetime, kind = 'bulk' FROM messages WHERE id = ?"
KNOWN = "SELECT server, recipient FROM deliveries WHERE message_id = ? ORDER BY id {update}"
ONCE = "once"
"""The scope of what is handed over once."""
FIRST = "SELECT message_id, digest FROM idempotency_keys WHERE application = ? AND key = ?"


def put(tx: Tx, batch: Sequence[NewMessage]) -> Mapping[MessageId, MessageId]:
    """See `Store.put`."""
    first = _used_keys(tx, [message for message in batch if message.idempotency_key])
    fresh = [message for message in batch if message.id not in first] if first else batch
    if replies := [reply for message in fresh for reply in message.replies]:
        put(tx, replies)
    fresh = [_handed_over_once(tx, message) if any(each.once for each in message.deliveries) else message for message in fresh]
    paused = lane_clocks(tx, {delivery.lane for message in fresh for delivery in message.deliveries})
    tx.many(MESSAGES, [_message_row(message) for message in fresh])
    tx.many(RAWS, [(message.id, message.raw) for message in fresh if message.raw is not None])
    tx.many(DELIVERIES, [_delivery_row(tx, m, d, paused[d.lane]) for m in fresh for d in m.deliveries])
    tx.many(WAITS, [(d.id,) for m in fresh for d in m.deliveries])
    tx.many(EVENTS, [row for message in fresh for row in event_rows(message.id, message.events)])
    for message in fresh:
        if message.entry is not None:
            stand(tx, *message.entry)
    nudge(tx)
    return first


def hand_on(tx: Tx, message: MessageId, deliveries: Sequence[NewDelivery], event: Event) -> int:
    """See `Store.hand_on`. The same server and recipient are the same delivery."""
    row = tx.one(LIFETIME, message)
    if row is None:
        return 0
    lifetime, bulk = row
    known = {(server, recipient) for server, recipient in tx.rows(KNOWN, message)}
    fresh, dropped = _once(tx, message, [each for each in deliveries if (each.server, each.recipient) not in known], event.at)
    paused = lane_clocks(tx, {each.lane for each in fresh})
    tx.many(DELIVERIES, [_row(tx, message, each, bulk, tx.now + lifetime - paused[each.lane]) for each in fresh])
    tx.many(WAITS, [(each.id,) for each in fresh])
    tx.many(EVENTS, list(event_rows(message, (event, *dropped))) if fresh else [])
    nudge(tx)
    return len(fresh)


def _handed_over_once(tx: Tx, message: NewMessage) -> NewMessage:
    deliveries, dropped = _once(tx, message.id, message.deliveries, message.accepted_at)
    return replace(message, deliveries=tuple(deliveries), events=(*message.events, *dropped)) if dropped else message


def _once(tx: Tx, message: MessageId, deliveries: Sequence[NewDelivery], now: datetime) -> tuple[list[NewDelivery], list[Event]]:
    """The same deliveries, IGNORED where another message came before with the same key, and what is told of those."""
    tx.many(KEYS, [(ONCE, each.once, message, "") for each in deliveries if each.once])
    kept, dropped = [], []
    for each in deliveries:
        row = tx.one(FIRST, ONCE, each.once) if each.once else None
        if row is not None and row[0] != message:
            reply = Reply(0, f"it is a copy of {show_id(row[0])}, which was handed over to {each.server} already")
            each = replace(each, state=State.IGNORED, reply=reply)
            dropped.append(Event(at=now, name="ignored", text=f"Not handed over again: {reply.text}", delivery_id=each.id))
        kept.append(each)
    return kept, dropped


def event_rows(message: MessageId, events: Iterable[Event]) -> Iterable[tuple[object, ...]]:
    """Rows for `EVENTS`."""
    return ((message, e.delivery_id, micros(e.at), e.name, e.text, dump_map(e.data)) for e in events)


def _used_keys(tx: Tx, messages: Sequence[NewMessage]) -> dict[MessageId, MessageId]:
    """Those whose key somebody used before, with the first message's id. Whoever comes second on PostgreSQL waits here."""
    tx.many(KEYS, [(_scope(m), m.idempotency_key, m.id, m.digest) for m in messages])
    first = {}
    for message in messages:
        row = tx.one(FIRST, _scope(message), message.idempotency_key)
        if row is not None and row[0] != message.id:
            first[message.id] = MessageId(row[0])
    return first


def _scope(message: NewMessage) -> str:
    return message.idempotency_scope or message.application


def first_use(tx: Tx, application: str, key: str) -> tuple[MessageId, str] | None:
    """See `Store.first_use`."""
    row = tx.one(FIRST, application, key)
    return None if row is None else (MessageId(row[0]), row[1])


def lane_clocks(tx: Tx, lanes: set[str]) -> dict[str, int]:
    """How far each lane's clock is behind; makes the lanes that are new."""
    names = sorted(lanes)
    known = {name: paused + (0 if held is None else tx.now - held) for name, paused, held in tx.by(CLOCKS, names)}
    missing = [name for name in names if name not in known]
    tx.many(LANES, [(name,) for name in missing])
    return known | dict.fromkeys(missing, 0)


def _message_row(message: NewMessage) -> tuple[object, ...]:
    accepted = micros(message.accepted_at)
    return (
        message.id,
        accepted,
        micros(message.expires_at) - accepted,
        message.sender,
        message.header_from,
        message.header_message_id,
        message.subject,
        message.application,
        message.kind.value,
        message.size,
        message.rewrite_from,
        message.blob,
        dump_tags(message.tags),
        message.source,
        normalize(message.header_from) if message.source else "",
    )


def _delivery_row(tx: Tx, message: NewMessage, delivery: NewDelivery, paused: int) -> tuple[object, ...]:
    return _row(tx, message.id, delivery, message.kind is Kind.BULK, micros(message.expires_at) - paused)


def _row(tx: Tx, message: MessageId, delivery: NewDelivery, bulk: bool, expiry: int) -> tuple[object, ...]:
    return (
        delivery.id,
        message,
        delivery.recipient,
        delivery.server,
        delivery.lane,
        1 if bulk else 0,
        delivery.state.value,
        micros(delivery.due_at) if delivery.state is State.QUEUED else None,
        expiry,
        dump_reply(delivery.reply),
        tx.now,
    )
