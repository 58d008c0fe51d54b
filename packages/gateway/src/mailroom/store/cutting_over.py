"""Which addresses move here, and which of them have: read from the mail that was accepted since the last look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mailroom.ids import first_id
from mailroom.ports import Mover
from mailroom.store.auditing import audit
from mailroom.store.database import Database, Row, Tx
from mailroom.store.values import micros, moment
from mailroom_core.model import MessageId
from mailroom_core.policy.addresses import normalize

COLUMNS = "address, application, made, mails, tls, protocols, reported_at, listed_at, done_at, message_id"
ENLIST = f"""INSERT INTO cutover ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL) ON CONFLICT (address) DO UPDATE
    SET mails = excluded.mails, tls = excluded.tls, protocols = excluded.protocols, reported_at = excluded.reported_at"""  # noqa: S608
ALL = f"SELECT {COLUMNS} FROM cutover ORDER BY address"  # noqa: S608
DROP = "DELETE FROM cutover WHERE address {names}"
OPEN = f"SELECT {COLUMNS} FROM cutover WHERE done_at IS NULL"  # noqa: S608
CURSOR = "SELECT value FROM meta WHERE name = 'cutover'"
MOVE = "INSERT INTO meta (name, value) VALUES ('cutover', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
CAME = """SELECT id, accepted_at, application, sender, header_from FROM messages
    WHERE application {names} AND id > ? AND source = '' ORDER BY id LIMIT ?"""
DONE = "UPDATE cutover SET done_at = ?, message_id = ? WHERE address = ? AND done_at IS NULL"
AT_ONCE = 5000
LATE = timedelta(minutes=2)
"""How long after its id was made a mail may be committed."""


class SqlCutovers:
    """See `ports.Cutovers` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._write = database.write
        self._read = database.read

    def enlist(self, movers: Sequence[Mover], *, by: str) -> None:
        with self._write() as tx:
            known = {row[0] for row in tx.by("SELECT address FROM cutover WHERE address {names}", [each.address for each in movers])}
            tx.many(ENLIST, [_values(each) for each in movers])
            for each in movers:
                if each.address not in known:
                    audit(tx, by=by, what="add", kind="cutover", name=each.address, after=f"application: {each.application}")

    def all(self) -> list[Mover]:
        with self._read() as tx:
            return [_mover(row) for row in tx.rows(ALL)]

    def drop(self, addresses: Sequence[str], *, by: str) -> None:
        with self._write() as tx:
            there = tx.by(f"SELECT {COLUMNS} FROM cutover WHERE address {{names}}", list(addresses))  # noqa: S608
            tx.change(DROP, list(addresses))
            for each in map(_mover, there):
                audit(tx, by=by, what="remove", kind="cutover", name=each.address, before=f"application: {each.application}")

    def look(self) -> list[Mover]:
        with self._read() as tx:
            waiting = [_mover(row) for row in tx.rows(OPEN)]
            if not waiting:
                return []
            cursor = tx.one(CURSOR)
            done, end = _first_mails(tx, waiting, cursor[0] if cursor else 0)
        with self._write() as tx:
            tx.run(MOVE, end)
            return [each for each in done if tx.run(DONE, micros(_at(each)), each.message_id, each.address)]


def _first_mails(tx: Tx, waiting: Sequence[Mover], cursor: int) -> tuple[list[Mover], int]:
    """Who has sent, with the mail; and up to which id all is known."""
    done = dict[str, Mover]()
    after = max(cursor, min(first_id(each.listed_at) for each in waiting) - 1)
    while True:
        left = [each for each in waiting if each.address not in done]
        rows = tx.by(CAME, sorted({each.application for each in left}), after, AT_ONCE)
        for number, at, application, sender, header_from in rows:
            after = number
            for each in _whose(left, number, application, {normalize(sender or ""), normalize(header_from)}):
                done.setdefault(each.address, replace(each, done_at=moment(at), message_id=MessageId(number)))
        if len(rows) < AT_ONCE:
            return list(done.values()), max(cursor, first_id(moment(tx.now) - LATE))


def _whose(waiting: Iterable[Mover], number: int, application: str, senders: set[str]) -> Iterable[Mover]:
    for each in waiting:
        if each.application == application and number >= first_id(each.listed_at) and (each.made or each.address in senders):
            yield each


def _at(mover: Mover) -> datetime:
    assert mover.done_at is not None
    return mover.done_at


def _values(each: Mover) -> tuple[object, ...]:
    times = (micros(each.reported_at), micros(each.listed_at))
    return each.address, each.application, int(each.made), each.mails, each.tls, each.protocols, *times


def _mover(row: Row) -> Mover:
    address, application, made, mails, tls, protocols, reported_at, listed_at, done_at, message_id = row
    return Mover(
        address=address,
        application=application,
        made=bool(made),
        mails=mails,
        tls=tls,
        protocols=protocols,
        reported_at=moment(reported_at),
        listed_at=moment(listed_at),
        done_at=None if done_at is None else moment(done_at),
        message_id=None if message_id is None else MessageId(message_id),
    )
