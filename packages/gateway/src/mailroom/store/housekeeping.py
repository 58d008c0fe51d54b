"""The end of a mail's life: what is too old to be sent, and what nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailroom.ids import first_id
from mailroom.ports import DeliveryResult, NewMessage, Work
from mailroom.store.accepting import EVENTS, event_rows, put
from mailroom.store.attempts import RESULT, check_transition, result_row
from mailroom.store.database import Tx
from mailroom.store.due import works
from mailroom.store.following import step_back
from mailroom.store.searching import drop
from mailroom.store.values import DELIVERY, delivery_of, micros
from mailroom_core.model import FINAL, State

OVER = "d.state = 'queued' AND d.lane_expiry <= ? - l.paused AND l.held_at IS NULL"
# CROSS JOIN: SQLite takes the lanes first then (https://www.sqlite.org/optoverview.html#crossjoin), and PostgreSQL does not mind.
EXPIRED = f"SELECT d.message_id FROM lanes l CROSS JOIN deliveries d WHERE d.lane = l.name AND {OVER} LIMIT ?"  # noqa: S608  # ours
TOGETHER = f"""WITH d AS MATERIALIZED (SELECT * FROM deliveries WHERE message_id {{ids}})
    SELECT {DELIVERY} FROM d JOIN lanes l ON l.name = d.lane WHERE {OVER} ORDER BY d.message_id, d.id"""  # noqa: S608  # ours
STILL = f"""SELECT d.id, d.message_id FROM deliveries d JOIN lanes l ON l.name = d.lane WHERE d.id {{ids}} AND {OVER}
    ORDER BY d.id {{update d}}"""  # noqa: S608  # ours

# Final, and unchanged since then. Ids grow with time, so that an old message has a small id: no index on a time is needed.
OLD = f"""NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id
    AND (d.state NOT IN ({", ".join(f"'{state.value}'" for state in sorted(FINAL, key=str))}) OR d.updated_at >= ?))"""  # noqa: S608  # ours
RAWS = f"""SELECT m.id FROM raws r JOIN messages m ON m.id = r.message_id WHERE r.message_id < ? AND {OLD}
    ORDER BY r.message_id LIMIT ?"""  # noqa: S608  # ours
BLOBS = f"SELECT m.id FROM messages m WHERE m.blob <> '' AND m.id < ? AND {OLD} LIMIT ?"  # noqa: S608  # ours
# A webhook has to hear of it first; without one there is no cursor, and nothing is newer.
HEARD = "NOT EXISTS (SELECT 1 FROM events e WHERE e.message_id = m.id AND e.id > (SELECT value FROM meta WHERE name = 'webhooks'))"
ROWS = f"SELECT m.id FROM messages m WHERE m.id < ? AND {OLD} AND {HEARD} ORDER BY m.id LIMIT ?"  # noqa: S608  # ours
STILL_OLD = f"SELECT m.id, m.blob FROM messages m WHERE m.id {{ids}} AND {OLD}"  # noqa: S608  # ours
AND_HEARD = f"{STILL_OLD} AND {HEARD}"
LOCK = "SELECT id FROM deliveries WHERE message_id {ids} ORDER BY id {update}"
DROP_RAWS = "DELETE FROM raws WHERE message_id {ids}"
DROP_BLOBS = "UPDATE messages SET blob = '' WHERE id {ids}"
DROP_ROWS = (
    "DELETE FROM raws WHERE message_id {ids}",
    "DELETE FROM events WHERE message_id {ids}",
    "DELETE FROM further WHERE attempt_id IN (SELECT id FROM attempts WHERE message_id {ids})",
    "DELETE FROM attempts WHERE message_id {ids}",
    "DELETE FROM deliveries WHERE message_id {ids}",
    "DELETE FROM idempotency_keys WHERE message_id {ids}",
    "DELETE FROM messages WHERE id {ids}",
)
NUMBERS = "SELECT id FROM deliveries WHERE message_id {ids}"
REFERRED = "SELECT blob FROM messages WHERE blob <> '' AND blob {names}"


def expired(tx: Tx, limit: int) -> list[Work]:
    """See `Store.expired`. Up to `limit` messages, each with all that is over of it, lane by lane."""
    messages = sorted({row[0] for row in tx.rows(EXPIRED, tx.now, limit)})
    over = [delivery_of(row, tx.now) for row in tx.by(TOGETHER, messages, tx.now)]
    return [
        work
        for lane in sorted({delivery.lane for delivery in over})
        for work in works(tx, messages, (delivery for delivery in over if delivery.lane == lane))
    ]


def fail_expired(tx: Tx, batch: Sequence[DeliveryResult], replies: Sequence[NewMessage]) -> None:
    """See `Store.fail_expired`."""
    over = {row[0]: row[1] for row in tx.by(STILL, sorted(result.id for result in batch), tx.now)}
    if len(over) < len(batch):
        return
    for result in batch:
        check_transition(result.id, State.QUEUED, result.state)
    tx.many(RESULT, [result_row(None, result, tx.now) for result in batch])
    tx.many(EVENTS, [row for result in batch if result.event for row in event_rows(over[result.id], (result.event,))])
    put(tx, replies)


@dataclass(frozen=True, slots=True)
class Forgettable:
    """Messages whose bytes in a row, whose blob, and of which everything may go."""

    raws: Sequence[int]
    blobs: Sequence[int]
    rows: Sequence[int]

    def __bool__(self) -> bool:
        return bool(self.raws or self.blobs or self.rows)


def forgettable(tx: Tx, raw_before: datetime, rows_before: datetime, limit: int) -> Forgettable:
    """Only reads, because it may have to pass many that are held."""
    raw, rows = (first_id(raw_before), micros(raw_before), limit), (first_id(rows_before), micros(rows_before), limit)
    return Forgettable(*([row[0] for row in tx.rows(statement, *of)] for statement, of in ((RAWS, raw), (BLOBS, raw), (ROWS, rows))))


def forget(tx: Tx, what: Forgettable, raw_before: datetime, rows_before: datetime) -> list[str]:
    """The names of blobs that nothing refers to any more. Looks again at each message: a person may have acted meanwhile."""
    tx.by(LOCK, sorted({*what.raws, *what.blobs, *what.rows}))
    blobs = tx.by(STILL_OLD, what.blobs, micros(raw_before))
    rows = tx.by(AND_HEARD, what.rows, micros(rows_before))
    tx.change(DROP_RAWS, [row[0] for row in tx.by(STILL_OLD, what.raws, micros(raw_before))])
    tx.change(DROP_BLOBS, [row[0] for row in blobs])
    messages = [row[0] for row in rows]
    numbers = [row[0] for row in tx.by(NUMBERS, messages)]
    for statement in DROP_ROWS:
        tx.change(statement, messages)
    drop(tx, numbers)
    step_back(tx)
    names = sorted({row[1] for row in (*blobs, *rows)} - {""})
    still = referred(tx, names)
    return [name for name in names if name not in still]


def referred(tx: Tx, names: Sequence[str]) -> set[str]:
    return {row[0] for row in tx.by(REFERRED, names)}
