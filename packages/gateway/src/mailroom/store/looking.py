"""What people and the console look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

from mailroom.ids import first_id
from mailroom.ports import Found, Message, Query, Story
from mailroom.store.database import Row, Tx
from mailroom.store.due import MESSAGES
from mailroom.store.values import ATTEMPT, DELIVERY, EVENT, MESSAGE, attempt_of, delivery_of, event_of, message_of
from mailroom_core.model import MessageId, State

COUNTS = "SELECT state, count(*) FROM deliveries GROUP BY state"
STORY_DELIVERIES = f"SELECT {DELIVERY} FROM deliveries d JOIN lanes l ON l.name = d.lane WHERE d.message_id = ? ORDER BY d.id"  # noqa: S608  # columns
STORY_ATTEMPTS = f"SELECT {ATTEMPT} FROM attempts a WHERE a.message_id = ? ORDER BY a.id"  # noqa: S608  # columns
STORY_EVENTS = f"SELECT {EVENT} FROM events WHERE message_id = ? ORDER BY id"  # noqa: S608  # columns
STORY_MESSAGE = f"SELECT {MESSAGE} FROM messages m WHERE m.id = ?"  # noqa: S608  # columns
FROM = "FROM deliveries d JOIN messages m ON m.id = d.message_id JOIN lanes l ON l.name = d.lane"
LIKE = "LIKE ? ESCAPE '\\'"
WIDTH = DELIVERY.count(",") + 1


def selection(query: Query) -> tuple[str, list[object]]:
    """A WHERE clause over `d`, `m` and `l`, with its parameters."""
    terms, parameters = ["TRUE"], list[object]()

    def add(term: str, *values: object) -> None:
        terms.append(term)
        parameters.extend(values)

    if query.message_id is not None:
        add("d.message_id = ?", query.message_id)
    if query.delivery_id is not None:
        add("d.id = ?", query.delivery_id)
    if query.states:
        add(f"d.state IN ({', '.join('?' * len(query.states))})", *sorted(state.value for state in query.states))
    if query.lane:
        add("d.lane = ?", query.lane)
    if query.application:
        add("m.application = ?", query.application)
    if query.text:
        part = f"%{_literal(query.text.lower())}%"
        like = LIKE
        add(
            f"(lower(d.recipient) {like} OR lower(m.sender) {like} OR lower(m.subject) {like} OR m.header_message_id IN (?, ?))",
            *(part, part, part, query.text, f"<{query.text}>"),
        )
    if query.account:
        add(f"d.lane {LIKE}", f"graph:{_literal(query.account)}:%")
    if query.header_message_id:
        add("m.header_message_id IN (?, ?)", query.header_message_id, f"<{query.header_message_id}>")
    if query.tag:
        add(f"m.tags {LIKE}", f"% {_literal(query.tag)} %")
    if query.since is not None:
        add("d.id >= ?", first_id(query.since))
    if query.until is not None:
        add("d.id < ?", first_id(query.until))
    return " AND ".join(terms), parameters


def _literal(text: str) -> str:
    """What stands for itself in a pattern of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def find(tx: Tx, query: Query, limit: int, after: str) -> tuple[list[Found], str]:
    """See `Store.find`. The cursor is the last delivery's id.

    Each state is asked for by itself, because only so an index gives its newest: what is rare is found at once among millions.
    """
    each = [replace(query, states=frozenset({state})) for state in query.states] or [query]
    rows = sorted((row for one in each for row in _newest(tx, one, limit + 1, after)), key=itemgetter(0), reverse=True)
    found = [Found(delivery_of(row[:WIDTH], tx.now), message_of(row[WIDTH:])) for row in rows[:limit]]
    return found, str(found[-1].delivery.id) if len(rows) > limit else ""


def _newest(tx: Tx, query: Query, limit: int, after: str) -> Sequence[Row]:
    where, parameters = selection(query)
    if after:
        where, parameters = f"{where} AND d.id < ?", [*parameters, int(after)]
    return tx.rows(f"SELECT {DELIVERY}, {MESSAGE} {FROM} WHERE {where} ORDER BY d.id DESC LIMIT ?", *parameters, limit)


def counts(tx: Tx) -> dict[State, int]:
    """All states, also those that nothing is in."""
    return dict.fromkeys(State, 0) | {State(state): count for state, count in tx.rows(COUNTS)}


def story(tx: Tx, message: MessageId) -> Story | None:
    row = tx.one(STORY_MESSAGE, message)
    if row is None:
        return None
    return Story(
        message_of(row),
        tuple(delivery_of(row, tx.now) for row in tx.rows(STORY_DELIVERIES, message)),
        tuple(map(attempt_of, tx.rows(STORY_ATTEMPTS, message))),
        tuple(map(event_of, tx.rows(STORY_EVENTS, message))),
    )


def read(tx: Tx, message: MessageId) -> Message | None:
    """See `Store.read`."""
    row = next(iter(tx.by(MESSAGES, [message])), None)
    return None if row is None else message_of(row[:-1], row[-1])
