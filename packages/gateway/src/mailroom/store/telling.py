"""What webhooks are told: see `mailroom.notices`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from mailroom.ids import first_id
from mailroom.notices import Happening, Health, NewNotice, News, Notice, NoticeId, NoticeState, NoticeStory, Tried, Try
from mailroom.objects import Webhook
from mailroom.store.database import Row, Tx
from mailroom.store.documents import NEW_VERSION, PUT, dump, load
from mailroom.store.following import CURSOR, NEWEST, WEBHOOKS, step_back
from mailroom.store.values import load_map, micros, moment, span
from mailroom_core.model import DeliveryId, MessageId, Reply, State

# A transaction holds this lock from its first row until it is over, and its numbers are given out in between: what was given out
# before `NEWEST` is there for good when every holder of then has ended (https://www.postgresql.org/docs/current/view-pg-locks.html).
WRITERS = """SELECT virtualtransaction FROM pg_locks WHERE relation = 'events'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
PATIENCE = 50
"""So many times ten milliseconds; then it is looked again with the next round."""
HAPPENINGS = """SELECT e.id, e.at, e.name, e.text, e.data, m.id, m.header_message_id, m.application, m.tags,
        d.id, d.recipient, d.state, d.reply
    FROM events e LEFT JOIN messages m ON m.id = e.message_id LEFT JOIN deliveries d ON d.id = e.delivery_id
    WHERE e.id > ? AND e.id <= ? ORDER BY e.id LIMIT ?"""
RECIPIENTS = "SELECT message_id, recipient FROM deliveries WHERE message_id {ids} ORDER BY id"
MOVE = "UPDATE meta SET value = ? WHERE name = 'webhooks' AND value = ?"
ENQUEUE = "INSERT INTO notices (id, webhook, event, message_id, body, state, due_at) VALUES (?, ?, ?, ?, ?, 'waiting', ?)"

NOTICE = "n.id, n.webhook, n.event, n.message_id, n.body, n.state, n.due_at, n.tries"
DUE = f"""SELECT {NOTICE} FROM notices n WHERE n.webhook = ? AND n.state = 'waiting' AND n.due_at <= ?
    AND NOT EXISTS (SELECT 1 FROM webhook_targets t WHERE t.webhook = n.webhook AND t.paused_until > ?)
    ORDER BY n.due_at, n.id LIMIT ?"""  # noqa: S608  # columns
TRIED = "INSERT INTO notice_tries (notice_id, at, took, status, answer) VALUES (?, ?, ?, ?, ?)"
END = "UPDATE notices SET state = ?, due_at = ?, tries = tries + 1 WHERE id = ? AND state = 'waiting'"
TOLD = """INSERT INTO webhook_targets (webhook, told_at) VALUES (?, ?)
    ON CONFLICT (webhook) DO UPDATE SET told_at = excluded.told_at, failing_since = NULL"""
FAILED = """INSERT INTO webhook_targets (webhook, failing_since, paused_until) VALUES (?, ?, ?)
    ON CONFLICT (webhook) DO UPDATE SET failing_since = COALESCE(webhook_targets.failing_since, excluded.failing_since),
    paused_until = CASE WHEN webhook_targets.paused_until > excluded.paused_until THEN webhook_targets.paused_until
                        ELSE excluded.paused_until END"""
GIVE_UP = """UPDATE notices SET state = 'given up', due_at = NULL WHERE webhook = ? AND state = 'waiting' AND id < ?
    AND EXISTS (SELECT 1 FROM webhook_targets t WHERE t.webhook = notices.webhook AND t.failing_since < ?)"""
DOCUMENT = "SELECT body FROM objects WHERE kind = 'webhook' AND name = ? {update}"

LOG = f"SELECT {NOTICE} FROM notices n WHERE n.webhook = ? AND n.id < ?"  # noqa: S608  # columns
ONE = f"SELECT {NOTICE} FROM notices n WHERE n.id = ?"  # noqa: S608  # columns
TRIES = "SELECT at, took, status, answer FROM notice_tries WHERE notice_id = ? ORDER BY id"
REPLAY_ONE = "UPDATE notices SET state = 'waiting', due_at = ?, tries = 0 WHERE webhook = ? AND id = ?"
REPLAY_FAILED = """UPDATE notices SET state = 'waiting', due_at = ?, tries = 0 WHERE webhook = ? AND id >= ?
    AND (state = 'given up' OR (state = 'waiting' AND tries > 0))"""
GO_ON = "UPDATE webhook_targets SET paused_until = 0 WHERE webhook = ?"
COUNTS = """SELECT webhook, state, count(*) FROM notices WHERE state = 'waiting' GROUP BY webhook, state
    UNION ALL SELECT webhook, state, count(*) FROM notices WHERE state = 'given up' GROUP BY webhook, state"""
TARGETS = "SELECT webhook, told_at, failing_since, paused_until FROM webhook_targets"

OLD = """SELECT id FROM notices WHERE (state <> 'waiting' AND id < ?)
    OR NOT EXISTS (SELECT 1 FROM objects o WHERE o.kind = 'webhook' AND o.name = notices.webhook) ORDER BY id LIMIT ?"""
DROP = ("DELETE FROM notice_tries WHERE notice_id {ids}", "DELETE FROM notices WHERE id {ids}")
DROP_EVENTS = "DELETE FROM events WHERE message_id = 0 AND at < ? AND id <= COALESCE((SELECT value FROM meta WHERE name = 'webhooks'), id)"
NOTHING_NEWER = 2**63 - 1


def happenings(tx: Tx, limit: int, pause: Callable[[float], None] = time.sleep) -> News | None:
    """See `Notices.happenings`."""
    cursor = tx.one(CURSOR)
    if cursor is None:
        return None
    newest = _newest(tx, pause)
    rows = tx.rows(HAPPENINGS, cursor[0], newest, limit) if newest > cursor[0] else ()
    whole = sorted({row[5] for row in rows if row[5] is not None and row[9] is None})
    recipients: dict[int, list[str]] = {}
    for message, recipient in tx.by(RECIPIENTS, whole):
        recipients.setdefault(message, []).append(recipient)
    return News(
        before=cursor[0],
        after=rows[-1][0] if rows else cursor[0],
        happenings=tuple(_happening(row, recipients) for row in rows),
        webhooks=_webhooks(tx) if rows else (),
    )


def _newest(tx: Tx, pause: Callable[[float], None]) -> int:
    """The highest number below which nothing can appear any more; 0 if that is not to be found out now."""
    row = tx.one(NEWEST)
    assert row is not None
    if tx.sqlite:  # one writes at a time
        return int(row[0])
    writers = {each for (each,) in tx.rows(WRITERS)}
    for _ in range(PATIENCE):
        if not writers:
            return int(row[0])
        pause(0.01)
        writers &= {each for (each,) in tx.rows(WRITERS)}
    return 0


def _webhooks(tx: Tx) -> tuple[Webhook, ...]:
    found = (load("webhook", name, body) for name, body in tx.rows(WEBHOOKS))
    return tuple(each for each in found if isinstance(each, Webhook))


def _happening(row: Row, recipients: dict[int, list[str]]) -> Happening:
    _, at, name, text, data, message, header_message_id, application, tags, delivery, recipient, state, reply = row
    return Happening(
        at=moment(at),
        name=name,
        text=text,
        data=load_map(data),
        message_id=None if message is None else MessageId(message),
        header_message_id=header_message_id or "",
        application=application or "",
        tags=tuple((tags or "").split()),
        recipients=tuple(recipients.get(message, ())) if delivery is None else (),
        delivery_id=None if delivery is None else DeliveryId(delivery),
        recipient=recipient or "",
        state=None if state is None else State(state),
        reply=None if reply is None else Reply(*json.loads(reply)),
    )


def enqueue(tx: Tx, news: News, notices: Sequence[NewNotice]) -> bool:
    """See `Notices.enqueue`."""
    if not tx.run(MOVE, news.after, news.before):
        return False
    tx.many(ENQUEUE, [(n.id, n.webhook, n.event, n.message_id or 0, n.body, tx.now) for n in notices])
    return True


def due(tx: Tx, webhook: str, limit: int) -> list[Notice]:
    return [_notice(row) for row in tx.rows(DUE, webhook, tx.now, tx.now, limit)]


def _notice(row: Sequence[Any]) -> Notice:
    number, webhook, event, message, body, state, due_at, tries = row
    return Notice(
        id=NoticeId(number),
        webhook=webhook,
        event=event,
        message_id=MessageId(message) if message else None,
        body=body,
        state=NoticeState(state),
        due_at=None if due_at is None else moment(due_at),
        tries=tries,
    )


def record(tx: Tx, batch: Sequence[Tried], give_up: datetime) -> list[str]:
    """See `Notices.record_tries`."""
    tx.many(TRIED, [(t.notice_id, micros(t.tried.at), span(t.tried.took), t.tried.status, t.tried.answer) for t in batch])
    tx.many(END, [(t.state.value, None if t.due_at is None else micros(t.due_at), t.notice_id) for t in batch])
    failed = set()
    for each in batch:
        if each.state is NoticeState.DELIVERED:
            tx.run(TOLD, each.webhook, tx.now)
        else:
            tx.run(FAILED, each.webhook, tx.now, 0 if each.pause_until is None else micros(each.pause_until))
            failed.add(each.webhook)
    for webhook in sorted(failed):
        tx.run(GIVE_UP, webhook, first_id(give_up), micros(give_up))
    return [webhook for webhook in sorted({each.webhook for each in batch if each.gone}) if _disable(tx, webhook)]


def _disable(tx: Tx, name: str) -> bool:
    row = tx.one(DOCUMENT, name)
    item = None if row is None else load("webhook", name, row[0])
    if not isinstance(item, Webhook) or not item.active:
        return False
    tx.run(PUT, "webhook", name, dump(replace(item, active=False)), tx.now, "its target, with 410 Gone")
    tx.run(NEW_VERSION)
    return True


def log(tx: Tx, webhook: str, state: NoticeState | None, limit: int, after: str) -> tuple[list[Notice], str]:
    """See `Notices.notices`."""
    where, more = ("", ()) if state is None else (" AND n.state = ?", (state.value,))
    before = min(int(after), NOTHING_NEWER) if after else NOTHING_NEWER
    rows = tx.rows(f"{LOG}{where} ORDER BY n.id DESC LIMIT ?", webhook, before, *more, limit + 1)
    found = [_notice(row) for row in rows[:limit]]
    return found, str(found[-1].id) if len(rows) > limit else ""


def story(tx: Tx, number: NoticeId) -> NoticeStory | None:
    row = tx.one(ONE, number)
    if row is None:
        return None
    tries = (Try(moment(at), moment(took) - moment(0), status, answer) for at, took, status, answer in tx.rows(TRIES, number))
    return NoticeStory(_notice(row), tuple(tries))


def replay(tx: Tx, webhook: str, notice: NoticeId | None, since: datetime | None) -> int:
    """See `Notices.replay`."""
    tx.run(GO_ON, webhook)
    if notice is not None:
        return tx.run(REPLAY_ONE, tx.now, webhook, notice)
    return tx.run(REPLAY_FAILED, tx.now, webhook, 0 if since is None else first_id(since))


def health(tx: Tx) -> dict[str, Health]:
    """See `Notices.health`."""
    found: dict[str, Health] = {}
    for webhook, told, failing, paused in tx.rows(TARGETS):
        found[webhook] = Health(
            told_at=None if told is None else moment(told),
            failing_since=None if failing is None else moment(failing),
            paused_until=moment(paused) if paused > tx.now else None,
        )
    for webhook, state, count in tx.rows(COUNTS):
        known = found.get(webhook, Health())
        found[webhook] = replace(known, waiting=count) if state == NoticeState.WAITING.value else replace(known, given_up=count)
    return found


def forget(tx: Tx, before: datetime, limit: int) -> int:
    """See `Notices.forget_notices`. What happened to accounts belongs to no message, and goes with it."""
    old = [row[0] for row in tx.rows(OLD, first_id(before), limit)]
    for statement in DROP:
        tx.change(statement, old)
    tx.run(DROP_EVENTS, micros(before))
    step_back(tx)
    return len(old)
