"""Waiting mail is given to another outgoing server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from mailroom.audit import told
from mailroom.ports import Move, Query
from mailroom.store import searching
from mailroom.store.accepting import EVENTS, lane_clocks
from mailroom.store.acting import told_query
from mailroom.store.auditing import audit
from mailroom.store.database import Tx
from mailroom.store.glancing import CAME_IN
from mailroom.store.looking import search
from mailroom.store.values import dump_map
from mailroom_core.model import State

TAKES = frozenset({State.QUEUED, State.HELD, State.FAILED})
"""What is being sent, and what nobody knows the outcome of, belongs to its attempt, which asks by the way that it went."""
# Who hands a mail on (a forward) may come again after a crash and knows by server and recipient what it has handed on already.
SETTLED_IN = """NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.message_id = d.message_id AND substr(o.lane, 1, 12) = 'destination:'
    AND o.state IN ('queued', 'sending', 'unsure'))"""
MAY = f" AND NOT {CAME_IN} AND d.server <> '' AND d.server <> ? AND d.attempt_id IS NULL AND {SETTLED_IN}"
ROWS = f"""SELECT d.id, d.message_id, d.server, d.lane, d.lane_expiry, m.lifetime, m.header_from, d.bulk
    FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE d.id {{ids}} AND d.state IN ('queued', 'held', 'failed') {MAY} ORDER BY d.id {{update d}}"""  # noqa: S608  # ours
CHANGE = "UPDATE deliveries SET server = ?, lane = ?, lane_expiry = ?, updated_at = ? WHERE id = ?"


def candidates(tx: Tx, query: Query, move: Move, limit: int) -> list[int]:
    """Up to `limit` deliveries that match and could go another way."""
    states = TAKES & (query.states or TAKES)
    if not states:
        return []
    found = search(tx, replace(query, states=states), also=MAY, values=[move.server])
    return list(islice((number for looked in found for number in looked.matching), limit))


def move(tx: Tx, numbers: Sequence[int], query: Query, way: Move, by: str) -> int:
    """Give those of them to the server that still may and that it takes; how many these were.

    What is left of a mail's lifetime stays, by the clock of the lane that it comes to; what has none left gets a new one.
    """
    rows = [(*row, lane) for row in tx.rows(ROWS, tx.several(numbers), way.server) if (lane := way.lane(row[6], bool(row[7]))) is not None]
    clocks = lane_clocks(tx, {each for row in rows for each in (row[3], row[8])})
    changes, events = [], []
    for number, message, server, before, expiry, lifetime, _, _, lane in rows:
        left = expiry - (tx.now - clocks[before])
        fresh = tx.now - clocks[lane] + (left if left > 0 else lifetime)
        changes.append((way.server, lane, fresh, tx.now, number))
        text = f"Moved from {server} to {way.server} by {told(by)}"
        events.append((message, number, tx.now, "moved", text, dump_map({"by": by, "from": server, "to": way.server})))
    tx.many(CHANGE, changes)
    searching.move(tx, {row[0]: row[8] for row in rows})
    tx.many(EVENTS, events)
    if rows:
        count = f"{len(rows)} {'delivery' if len(rows) == 1 else 'deliveries'} to {way.server}"
        audit(tx, by=by, what="move", kind="mail", name=told_query(query), after=count)
    return len(rows)
