"""What people do to deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import islice

from mailroom.audit import told
from mailroom.ports import Action, Query
from mailroom.store.accepting import EVENTS
from mailroom.store.attempts import drop_attempts
from mailroom.store.auditing import audit
from mailroom.store.database import Tx
from mailroom.store.looking import search
from mailroom.store.values import dump_map
from mailroom_core.model import State, show_id

_TAKES = {
    Action.RETRY: {State.FAILED, State.HELD, State.BOUNCED},
    Action.SEND_NOW: {State.QUEUED},
    Action.CANCEL: {State.QUEUED, State.HELD},
    Action.IGNORE: {State.UNSURE, State.HELD, State.FAILED, State.BOUNCED},
    Action.HOLD: {State.QUEUED},
}
"""What each action takes, out of all that matches. What is being sent right now belongs to its attempt; so does what is unsure, which
may be sent once more by a look at any moment: a person may only say that it needs no more care."""
_TARGETS = {
    Action.RETRY: State.QUEUED,
    Action.SEND_NOW: State.QUEUED,
    Action.CANCEL: State.CANCELLED,
    Action.IGNORE: State.IGNORED,
    Action.HOLD: State.HELD,
}
_EVENTS = {
    Action.RETRY: ("retried", "Sent again by"),
    Action.SEND_NOW: ("hurried", "Sent at once by"),
    Action.CANCEL: ("cancelled", "Cancelled by"),
    Action.IGNORE: ("ignored", "Marked as dealt with by"),
    Action.HOLD: ("held", "Held by"),
}

CANDIDATES = """SELECT d.id, d.message_id, d.attempt_id, d.lane_expiry, m.lifetime, COALESCE(l.held_at, ?) - l.paused
    FROM deliveries d JOIN messages m ON m.id = d.message_id JOIN lanes l ON l.name = d.lane"""
HAS_BYTES = "(m.blob <> '' OR EXISTS (SELECT 1 FROM raws r WHERE r.message_id = m.id))"
CHANGE = "UPDATE deliveries SET state = ?, due_at = ?, attempt_id = NULL, lane_expiry = ?, updated_at = ? WHERE id = ?"


def chosen(tx: Tx, query: Query, action: Action, limit: int) -> list[int]:
    """Up to `limit` deliveries that match and may."""
    states = _taken(query, action) & (query.states or frozenset(State))
    if not states:
        return []
    may, values = _may(tx, action)
    each = search(tx, replace(query, states=frozenset(states)), also=may, values=values)
    return list(islice((number for looked in each for number in looked.matching), limit))


def act(tx: Tx, numbers: Sequence[int], query: Query, action: Action, by: str) -> int:
    """Do it to those of them that still may; how many these were.

    What lost its bytes can't be sent again. An unanswered attempt is asked about no longer: the person has decided.
    """
    target = _TARGETS[action]
    rows = _still(tx, numbers, query, action)
    waits = target is State.QUEUED
    changes, events = [], []
    name, text = _EVENTS[action]
    for number, message, _, expiry, lifetime, lane_now in rows:
        fresh = lane_now + lifetime if waits and expiry <= lane_now else expiry
        changes.append((target.value, tx.now if waits else None, fresh, tx.now, number))
        events.append((message, number, tx.now, name, f"{text} {told(by)}", dump_map({"by": by})))
    tx.many(CHANGE, changes)
    drop_attempts(tx, {row[2] for row in rows if row[2] is not None})
    tx.many(EVENTS, events)
    if rows:
        count = f"{len(rows)} {'delivery' if len(rows) == 1 else 'deliveries'}"
        audit(tx, by=by, what=action.value, kind="mail", name=told_query(query), after=count)
    return len(rows)


def told_query(query: Query) -> str:
    """A selection of mail in short: one mail's id, or what it was selected by."""
    if query.message_id is not None:
        return show_id(query.message_id)
    given = {field.name: getattr(query, field.name) for field in fields(query)}
    given["states"] = ", ".join(sorted(state.value for state in query.states))
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in given.items() if value) or "all mail"


def _may(tx: Tx, action: Action) -> tuple[str, list[object]]:
    """What else must be so, as a condition on `d` and `m`."""
    terms, values = "", list[object]()
    if action is Action.SEND_NOW:
        terms += " AND d.due_at > ?"
        values.append(tx.now)
    if _TARGETS[action] is State.QUEUED:
        terms += f" AND {HAS_BYTES}"
    return terms, values


def _still(tx: Tx, numbers: Sequence[int], query: Query, action: Action) -> list[tuple[int, int, int | None, int, int, int]]:
    may, values = _may(tx, action)
    states = sorted(state.value for state in _taken(query, action) & (query.states or frozenset(State)))
    statement = f"""{CANDIDATES} WHERE d.id {{ids}} AND d.state IN ({", ".join("?" * len(states))}) {may} ORDER BY d.id {{update d}}"""
    return [tuple(row) for row in tx.rows(statement, tx.now, tx.several(numbers), *states, *values)]


def _taken(query: Query, action: Action) -> set[State]:
    """What was cancelled goes out after all only if it is meant: named by its state, or alone."""
    named = State.CANCELLED in query.states or query.delivery_id is not None
    return _TAKES[action] | ({State.CANCELLED} if action is Action.RETRY and named else set())
