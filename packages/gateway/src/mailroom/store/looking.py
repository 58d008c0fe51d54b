"""What people and the console look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import islice

from mailroom.ids import first_id
from mailroom.ports import Found, Message, Query, Story
from mailroom.store.database import Row, Tx
from mailroom.store.due import MESSAGES
from mailroom.store.glancing import CAME_IN
from mailroom.store.searching import candidates, fold, wanted
from mailroom.store.values import ATTEMPT, DELIVERY, EVENT, MESSAGE, attempt_of, delivery_of, event_of, message_of, micros
from mailroom_core.model import MessageId, State

COUNTS = "SELECT state, count(*) FROM deliveries GROUP BY state"
STORY_DELIVERIES = f"SELECT {DELIVERY} FROM deliveries d JOIN lanes l ON l.name = d.lane WHERE d.message_id = ? ORDER BY d.id"  # noqa: S608  # columns
STORY_ATTEMPTS = f"SELECT {ATTEMPT} FROM attempts a WHERE a.message_id = ? ORDER BY a.id"  # noqa: S608  # columns
STORY_EVENTS = f"SELECT {EVENT} FROM events WHERE message_id = ? ORDER BY id"  # noqa: S608  # columns
STORY_MESSAGE = f"SELECT {MESSAGE} FROM messages m WHERE m.id = ?"  # noqa: S608  # columns
FROM = "FROM deliveries d JOIN messages m ON m.id = d.message_id JOIN lanes l ON l.name = d.lane"
LIKE = "LIKE ? ESCAPE '\\'"
WIDTH = DELIVERY.count(",") + 1
WHOLE = f"SELECT {DELIVERY}, {MESSAGE} {FROM} WHERE d.id {{ids}} ORDER BY d.id DESC"  # columns
LOOK = """d.id, d.recipient, m.sender, m.subject, m.header_message_id FROM deliveries d JOIN messages m ON m.id = d.message_id"""
WALK = "SELECT id FROM deliveries WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT ?"
WALK_STATE = "SELECT id FROM deliveries WHERE state = ? AND id < ? AND id >= ? ORDER BY id DESC LIMIT ?"
# With the state as if it varied, so that only the index on both has this order: PostgreSQL would take the one on the id alone.
WALK_STATE_POSTGRESQL = """SELECT id FROM deliveries WHERE (state, id) < (?, ?) AND (state, id) >= (?, ?)
    ORDER BY state DESC, id DESC LIMIT ?"""
_HELD = f"SELECT d.id FROM deliveries d WHERE d.state = 'held' AND {CAME_IN}"  # noqa: S608  # a text
WALK_QUARANTINE = f"{_HELD} AND d.id < ? AND d.id >= ? ORDER BY d.id DESC LIMIT ?"
WALK_QUARANTINE_POSTGRESQL = f"""{_HELD} AND (d.state, d.id) < ('held', ?) AND (d.state, d.id) >= ('held', ?)
    ORDER BY d.state DESC, d.id DESC LIMIT ?"""
OF_MESSAGE = "SELECT id FROM deliveries WHERE message_id = ? AND id < ? ORDER BY id DESC"
ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; " + "; ".join(
    f"SET LOCAL enable_{way} = off" for way in ("hashjoin", "mergejoin", "bitmapscan")
)
"""On PostgreSQL: what is being indexed meanwhile is neither missed nor found twice. And a planner without statistics does not collect
all of a table to give a hundred rows of it."""

ENDLESS = 2**63 - 1
NEAR = 500
"""How many of the newest are looked at before the search index is asked."""
MISSES = 5000
"""After so many that were looked at in vain, a search ends for now, with a cursor to go on."""
FIRST_STEP, STEP = 100, 500


def selection(query: Query) -> tuple[str, list[object]]:
    """A WHERE clause over `d` and `m`, with its parameters; all of a query but its text, which `holds` looks at."""
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
    if query.came_in:
        add(CAME_IN)
    if query.application:
        add("m.application = ?", query.application)
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
    if query.unchanged_since is not None:
        add("d.updated_at < ?", micros(query.unchanged_since))
    return " AND ".join(terms), parameters


def _literal(text: str) -> str:
    """What stands for itself in a pattern of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def find(tx: Tx, query: Query, limit: int, after: str) -> tuple[list[Found], str]:
    """See `Store.find`. The cursor is the id of the last delivery that was looked at."""
    below = int(after) if after else ENDLESS
    numbers: list[int] = []
    misses = 0
    for looked in search(tx, query, below):
        numbers += looked.matching
        misses += len(looked.numbers) - len(looked.matching)
        if len(numbers) > limit:
            return _whole(tx, numbers[:limit]), str(numbers[limit - 1])
        if misses >= MISSES:
            return _whole(tx, numbers), str(looked.numbers[-1])
    return _whole(tx, numbers), ""


def _whole(tx: Tx, numbers: Sequence[int]) -> list[Found]:
    return [_found(row, tx) for row in tx.by(WHOLE, numbers)]


def _found(row: Row, tx: Tx) -> Found:
    return Found(delivery_of(row[:WIDTH], tx.now), message_of(row[WIDTH:]))


@dataclass(frozen=True, slots=True)
class Looked:
    """Some neighbours, the newest first, and those of them that match."""

    numbers: Sequence[int]
    matching: Sequence[int]


def search(tx: Tx, query: Query, below: int = ENDLESS, *, also: str = "", values: Sequence[object] = ()) -> Iterator[Looked]:
    """All deliveries that match, the newest first, with those between them that were looked at. It has to be asked for each next few.

    `also` is one more condition on `d` and `m`. The transaction must not have read anything before.
    """
    if not tx.sqlite:
        tx.run(ONE_MOMENT)
    where, parameters = selection(query)
    statement = f"SELECT {LOOK} WHERE d.id {{ids}} AND {where} {also} ORDER BY d.id DESC"
    numbers = _candidates(tx, query, below)
    step = FIRST_STEP
    while few := list(islice(numbers, step)):
        rows = tx.by(statement, few, *parameters, *values)
        yield Looked(few, [row[0] for row in rows if not query.text or _holds(row, query.text)])
        step = STEP


def _holds(row: Row, text: str) -> bool:
    _, recipient, sender, subject, message_id = row
    part = fold(text)
    return part in fold(recipient) or part in fold(sender or "") or part in fold(subject) or message_id in (text, f"<{text}>")


def _candidates(tx: Tx, query: Query, below: int) -> Iterator[int]:
    """First the newest, which is where the common things are, and all that is in a rare state; then what the search index says.

    What is too short for the index is looked for in all mail, from the newest on.
    """
    since = 0 if query.since is None else first_id(query.since)
    if query.until is not None:
        below = min(below, first_id(query.until))
    known = _known(tx, query, below)
    if known is not None:
        yield from known
        return
    if query.came_in and query.states == {State.HELD}:
        newest = _walk(partial(tx.rows, WALK_QUARANTINE if tx.sqlite else WALK_QUARANTINE_POSTGRESQL), below, since)
    elif query.states:
        newest = merge(*(_walk(partial(_page, tx, state), below, since) for state in query.states), reverse=True)
    else:
        newest = _walk(partial(tx.rows, WALK), below, since)
    for number in islice(newest, NEAR):
        below = number
        yield number
    alternatives = wanted(query)
    yield from candidates(tx, alternatives, below, since) if alternatives else newest


def _known(tx: Tx, query: Query, below: int) -> list[int] | None:
    """If the query names what it means."""
    if query.delivery_id is not None:
        return [query.delivery_id] if query.delivery_id < below else []
    if query.message_id is not None:
        return [row[0] for row in tx.rows(OF_MESSAGE, query.message_id, below)]
    return None


def _walk(page: Callable[[int, int, int], Sequence[Row]], below: int, since: int) -> Iterator[int]:
    while rows := page(below, since, STEP):
        yield from (row[0] for row in rows)
        below = rows[-1][0]


def _page(tx: Tx, state: State, below: int, since: int, limit: int) -> Sequence[Row]:
    if tx.sqlite:
        return tx.rows(WALK_STATE, state.value, below, since, limit)
    return tx.rows(WALK_STATE_POSTGRESQL, state.value, below, state.value, since, limit)


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
