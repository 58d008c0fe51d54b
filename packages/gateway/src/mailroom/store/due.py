"""What a lane's owner has to do: deliveries whose time has come, and attempts that nobody knows the end of."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mailroom.ports import Attempt, Delivery, Lane, Work
from mailroom.store.database import Tx
from mailroom.store.values import ATTEMPT, DELIVERY, MESSAGE, attempt_of, delivery_of, message_of
from mailroom_core.model import AttemptId, Kind, MessageId

OPEN = "SELECT 1 FROM lanes WHERE name = ? AND epoch = ? AND held_at IS NULL AND defer_until <= ?"
DUE = """SELECT message_id, due_at, id FROM deliveries
    WHERE lane = ? AND state = 'queued' AND bulk = ? AND due_at <= ? AND (due_at, id) > (?, ?) ORDER BY due_at, id LIMIT ?"""
# MATERIALIZED: the messages are found first, whatever a planner without statistics thinks of the indices on lanes.
TOGETHER = f"""WITH d AS MATERIALIZED (SELECT * FROM deliveries WHERE message_id {{ids}})
    SELECT {DELIVERY} FROM d JOIN lanes l ON l.name = d.lane
    WHERE d.lane = ? AND d.state = 'queued' AND d.due_at <= ? ORDER BY d.id"""  # noqa: S608  # columns
MESSAGES = f"SELECT {MESSAGE}, r.bytes FROM messages m LEFT JOIN raws r ON r.message_id = m.id WHERE m.id {{ids}}"  # noqa: S608  # columns
UNRESOLVED = f"""SELECT {ATTEMPT} FROM attempts a WHERE a.lane = ? AND a.look_at <= ? AND (a.resolution = 'unsure' OR a.epoch < ?)
    ORDER BY a.look_at, a.id LIMIT ?"""  # noqa: S608  # columns
OF_ATTEMPTS = f"""SELECT d.attempt_id, {DELIVERY} FROM deliveries d JOIN lanes l ON l.name = d.lane
    WHERE d.id {{ids}} AND d.attempt_id IS NOT NULL ORDER BY d.id"""  # noqa: S608  # columns


def due(tx: Tx, lane: Lane, limit: int, kind: Kind | None, but: Collection[MessageId]) -> list[Work]:
    """See `Store.due`. Nothing for who does not own the lane any more."""
    if tx.one(OPEN, lane.name, lane.epoch, tx.now) is None:
        return []
    order: dict[MessageId, None] = {}
    for one in (Kind.TRANSACTIONAL, Kind.BULK) if kind is None else (kind,):
        _add_due(tx, lane, one, limit, order, but)
    rows = tx.by(TOGETHER, list(order), lane.name, tx.now)
    return works(tx, order, (delivery_of(row, tx.now) for row in rows))


def _add_due(tx: Tx, lane: Lane, kind: Kind, limit: int, order: dict[MessageId, None], but: Collection[MessageId]) -> None:
    """Up to `limit` messages in `order`, page by page: one message may have hundreds of deliveries."""
    last, length = (-1, -1), limit + len(but)
    while len(order) < limit:
        page = tx.rows(DUE, lane.name, 1 if kind is Kind.BULK else 0, tx.now, *last, length)
        for message, *last_of_page in page:
            if len(order) < limit and message not in but:
                order[message] = None
            last = tuple(last_of_page)
        if len(page) < length:
            return


def works(tx: Tx, order: Iterable[MessageId], deliveries: Iterable[Delivery]) -> list[Work]:
    """Deliveries with their messages and bytes, in the order of the messages; those without a message left are left out."""
    together: dict[MessageId, list[Delivery]] = {}
    for delivery in deliveries:
        together.setdefault(delivery.message_id, []).append(delivery)
    messages = {row[0]: message_of(row[:-1], row[-1]) for row in tx.by(MESSAGES, list(together))}
    return [Work(message=messages[one], deliveries=tuple(together[one])) for one in order if one in messages]


def unresolved(tx: Tx, lane: Lane, limit: int) -> list[tuple[Attempt, Work]]:
    """See `Store.unresolved`. With the raw bytes too: the same draft may have to be filled again."""
    if tx.one(OPEN, lane.name, lane.epoch, tx.now) is None:
        return []
    attempts = [attempt_of(row) for row in tx.rows(UNRESOLVED, lane.name, tx.now, lane.epoch, limit)]
    covered: dict[AttemptId, list[Delivery]] = {}
    for number, *row in tx.by(OF_ATTEMPTS, [d for attempt in attempts for d in attempt.delivery_ids]):
        covered.setdefault(number, []).append(delivery_of(row, tx.now))
    messages = {row[0]: message_of(row[:-1], row[-1]) for row in tx.by(MESSAGES, [a.message_id for a in attempts])}
    return [
        (attempt, Work(message=messages[attempt.message_id], deliveries=tuple(covered[attempt.id])))
        for attempt in attempts
        if attempt.id in covered
    ]
