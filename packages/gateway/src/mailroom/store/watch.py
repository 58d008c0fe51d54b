"""When each incoming server is looked at, and how far it has been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mailroom.ports import Lane, Watched
from mailroom.store.accepting import LANES
from mailroom.store.database import Database, Row, Tx
from mailroom.store.due import OPEN
from mailroom.store.nudges import nudge
from mailroom.store.values import micros, moment
from mailroom_core.model import LaneName

COLUMNS = "name, lane, due_at, cursor, looked_at, trouble, subscription, subscribed_until, failing_since"
RESTING = "resting "
"""What the lane of one that is switched off begins with: there is none of that name, so that nobody looks."""
ALL = f"SELECT {COLUMNS} FROM sources WHERE substr(lane, 1, {len(RESTING)}) <> '{RESTING}' ORDER BY name"  # noqa: S608  # columns
KNOWN = "SELECT name, lane FROM sources"
DUE = f"SELECT {COLUMNS} FROM sources WHERE lane = ? AND due_at <= ? ORDER BY name"  # noqa: S608  # columns
PUT = f"""INSERT INTO sources (name, lane, due_at) VALUES (?, ?, ?) ON CONFLICT (name)
    DO UPDATE SET lane = excluded.lane, due_at = excluded.due_at, trouble = '', failing_since = NULL, subscription = '',
        subscribed_until = NULL, cursor = CASE WHEN sources.lane = '{RESTING}' || excluded.lane THEN sources.cursor ELSE '' END"""  # noqa: S608
REST = "UPDATE sources SET lane = ? WHERE name = ?"
REMOVE = "DELETE FROM sources WHERE name = ?"
# A look that is under way has another due time then, and leaves it alone when it ends.
NOW = "UPDATE sources SET due_at = CASE WHEN due_at > ? THEN ? ELSE due_at + 1 END WHERE name = ?"
KEEP = "UPDATE sources SET cursor = ? WHERE name = ? AND lane = ?"
SUBSCRIBED = "UPDATE sources SET subscription = ?, subscribed_until = ? WHERE name = ? AND lane = ?"
AWAITED = "UPDATE sources SET subscribed_until = ? WHERE name = ?"
LOOKED = """UPDATE sources SET looked_at = ?, trouble = ?, failing_since = {since}, due_at = CASE WHEN due_at = ? THEN ? ELSE due_at END
    WHERE name = ? AND lane = ?"""
OWNED = "SELECT 1 FROM lanes WHERE name = ? AND epoch = ?"


class SqlWatch:
    """See `ports.Watch` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._write = database.write
        self._read = database.read

    def over(self, servers: Mapping[str, LaneName], resting: Mapping[str, LaneName] = {}) -> None:  # never changed
        asleep = {name: f"{RESTING}{lane}" for name, lane in resting.items()}
        with self._read() as tx:
            known = {row[0]: row[1] for row in tx.rows(KNOWN)}
            if known == {**servers, **{name: lane for name, lane in asleep.items() if name in known}}:
                return
        with self._write() as tx:
            known = {row[0]: row[1] for row in tx.rows(KNOWN)}
            new = {name: lane for name, lane in servers.items() if known.get(name) != lane}
            stay = {*servers, *(name for name, lane in asleep.items() if known.get(name) in (lane, resting[name]))}
            tx.many(LANES, [(lane,) for lane in sorted(set(new.values()))])
            tx.many(PUT, [(name, lane, tx.now) for name, lane in new.items()])
            tx.many(REST, [(asleep[name], name) for name in sorted(stay - servers.keys())])
            tx.many(REMOVE, [(name,) for name in known if name not in stay])
            nudge(tx)

    def all(self) -> list[Watched]:
        with self._read() as tx:
            return [_watched(row) for row in tx.rows(ALL)]

    def due(self, lane: Lane) -> list[Watched]:
        with self._read() as tx:
            if tx.one(OPEN, lane.name, lane.epoch, tx.now) is None:
                return []
            return [_watched(row) for row in tx.rows(DUE, lane.name, tx.now)]

    def now(self, names: Sequence[str]) -> None:
        with self._write() as tx:
            tx.many(NOW, [(tx.now, tx.now, name) for name in names])
            nudge(tx)

    def keep(self, lane: Lane, name: str, cursor: str) -> None:
        with self._write() as tx:
            if _owned(tx, lane):
                tx.run(KEEP, cursor, name, lane.name)

    def subscribed(self, lane: Lane, name: str, subscription: str, until: datetime | None) -> None:
        with self._write() as tx:
            if _owned(tx, lane):
                tx.run(SUBSCRIBED, subscription, None if until is None else micros(until), name, lane.name)

    def awaited(self, name: str, until: datetime | None) -> None:
        with self._write() as tx:
            tx.run(AWAITED, None if until is None else micros(until), name)

    def looked(self, lane: Lane, seen: Watched, *, next_at: datetime, trouble: str = "") -> None:
        with self._write() as tx:
            if _owned(tx, lane):
                since = f"COALESCE(failing_since, {tx.now})" if trouble else "NULL"
                tx.run(LOOKED.format(since=since), tx.now, trouble, micros(seen.due_at), micros(next_at), seen.name, lane.name)


def _owned(tx: Tx, lane: Lane) -> bool:
    return tx.one(OWNED, lane.name, lane.epoch) is not None


def _watched(row: Row) -> Watched:
    name, lane, due_at, cursor, looked_at, trouble, subscription, until, failing = row
    return Watched(
        name=name,
        lane=LaneName(lane),
        due_at=moment(due_at),
        cursor=cursor,
        looked_at=None if looked_at is None else moment(looked_at),
        trouble=trouble,
        subscription=subscription,
        subscribed_until=None if until is None else moment(until),
        failing_since=None if failing is None else moment(failing),
    )
