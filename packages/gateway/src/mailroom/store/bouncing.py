"""Mail that came back: which delivery a report is about, and what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mailroom.ports import CameBack, Event
from mailroom.store.accepting import EVENTS, event_rows
from mailroom.store.attempts import drop_attempts
from mailroom.store.database import Tx
from mailroom.store.values import dump_reply, micros, moment
from mailroom_core.model import DeliveryId, MessageId, State
from mailroom_core.policy.addresses import normalize

SENT = "SELECT id, recipient, state, attempt_id FROM deliveries WHERE message_id = ? ORDER BY id {update}"
BOUNCED = "UPDATE deliveries SET state = ?, reply = ?, updated_at = ?, due_at = NULL, attempt_id = NULL WHERE id = ?"
LEFT = frozenset({State.SENT.value, State.UNSURE.value})
"""What can have come back; where nobody knew whether it was sent, its bounce says so."""
REMEMBER = "INSERT INTO bounces (delivery_id, address, at, reason, permanent, hard) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
LATELY = "SELECT at, reason, permanent, hard FROM bounces WHERE address = ? AND at >= ? ORDER BY at"
BY_MARKER = "SELECT message_id FROM attempts WHERE id = ?"
FORGET = "DELETE FROM bounces WHERE at < ?"
KEEP = timedelta(weeks=26)


def came_back(tx: Tx, batch: Sequence[CameBack]) -> list[DeliveryId]:
    """See `Store.came_back`."""
    changed = []
    tx.run(FORGET, tx.now - KEEP // timedelta(microseconds=1))
    for each in batch:
        found = _delivery(tx, each)
        if found is None:
            continue
        number, recipient, attempt = found
        tx.run(BOUNCED, State.BOUNCED.value, dump_reply(each.reply), tx.now, number)
        tx.run(REMEMBER, number, normalize(recipient), micros(each.at), each.reason, int(each.permanent), int(each.hard))
        event = Event(at=each.at, name=each.name, text=each.text, delivery_id=number, data={"reason": each.reason})
        tx.many(EVENTS, list(event_rows(each.message_id, (event,))))
        drop_attempts(tx, set() if attempt is None else {attempt})
        changed.append(number)
    return changed


def bounces_of(tx: Tx, address: str, since: datetime) -> list[tuple[datetime, str, bool, bool]]:
    """See `Store.bounces_of`."""
    rows = tx.rows(LATELY, address, micros(since))
    return [(moment(at), reason, bool(permanent), bool(hard)) for at, reason, permanent, hard in rows]


def attempted(tx: Tx, marker: str) -> MessageId | None:
    """See `Store.attempted`."""
    try:
        row = tx.one(BY_MARKER, int(marker, 16))
    except (ValueError, OverflowError):
        return None
    return None if row is None else MessageId(row[0])


def _delivery(tx: Tx, about: CameBack) -> tuple[DeliveryId, str, int | None] | None:
    """The delivery that was sent to this recipient; where the report names none, the only one that the mail had."""
    rows = tx.rows(SENT, about.message_id)
    meant = [row for row in rows if normalize(row[1]) == about.recipient] if about.recipient else rows if len(rows) == 1 else []
    sent = [(DeliveryId(number), recipient, attempt) for number, recipient, state, attempt in meant if state in LEFT]
    return sent[0] if sent else None
