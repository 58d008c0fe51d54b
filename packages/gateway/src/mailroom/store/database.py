"""Transactions over SQLite or PostgreSQL, one dialect of statements for both, and one kind of error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError

from mailroom.ports import Clock
from mailroom.store.problems import store_error
from mailroom.store.values import micros

Row = Sequence[Any]

_TOKENS = {
    # token: (SQLite, PostgreSQL)
    "{ids}": ("IN (SELECT value FROM json_each(?))", "= ANY(?::bigint[])"),
    "{names}": ("IN (SELECT value FROM json_each(?))", "= ANY(?::text[])"),
    "{update}": ("", "FOR UPDATE"),
    "{update d}": ("", "FOR UPDATE OF d"),
    "{share}": ("", "FOR SHARE"),
    "{skip locked}": ("", "FOR UPDATE OF l SKIP LOCKED"),
    "{id}": ("INTEGER", "BIGINT"),
    "{serial}": ("INTEGER PRIMARY KEY", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    "{bytes}": ("BLOB", "BYTEA"),
    "{clustered}": ("WITHOUT ROWID", ""),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """Statements are written with `?` and the tokens above, and translated once each."""

    sqlite: bool
    _known: dict[str, str] = field(default_factory=dict)

    def __call__(self, statement: str) -> str:
        known = self._known.get(statement)
        if known is None:
            known = statement
            for token, (sqlite, postgresql) in _TOKENS.items():
                known = known.replace(token, sqlite if self.sqlite else postgresql)
            if not self.sqlite:
                known = known.replace("%", "%%").replace("?", "%s")
            self._known[statement] = known
        return known

    def several(self, values: Sequence[int] | Sequence[str]) -> object:
        """The parameter for `{ids}` and `{names}`."""
        return json.dumps(values) if self.sqlite else values


class Tx:
    """One transaction. `now` is the store's clock when it began, in microseconds."""

    __slots__ = ("_cursor", "_dialect", "now")

    def __init__(self, cursor: DBAPICursor, dialect: Dialect, now: int) -> None:
        self._cursor = cursor
        self._dialect = dialect
        self.now = now

    @property
    def sqlite(self) -> bool:
        return self._dialect.sqlite

    def rows(self, statement: str, *parameters: object) -> Sequence[Row]:
        self._cursor.execute(self._dialect(statement), parameters)
        return self._cursor.fetchall()

    def one(self, statement: str, *parameters: object) -> Row | None:
        self._cursor.execute(self._dialect(statement), parameters)
        row: Row | None = self._cursor.fetchone()
        return row

    def run(self, statement: str, *parameters: object) -> int:
        """How many rows it changed."""
        self._cursor.execute(self._dialect(statement), parameters)
        return self._cursor.rowcount

    def many(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """The same statement for each of `rows`, in one call."""
        if rows:
            self._cursor.executemany(self._dialect(statement), rows)

    def several(self, values: Sequence[int] | Sequence[str]) -> object:
        """The parameter for a second `{ids}` or `{names}`; `by` and `change` make the first one."""
        return self._dialect.several(values)

    def by(self, statement: str, values: Sequence[int] | Sequence[str], *parameters: object) -> Sequence[Row]:
        """Rows for many ids or names at once; their token comes first in the statement."""
        return self.rows(statement, self._dialect.several(values), *parameters) if values else ()

    def change(self, statement: str, values: Sequence[int] | Sequence[str], *parameters: object) -> int:
        """The same for a statement that changes rows; how many it were."""
        return self.run(statement, self._dialect.several(values), *parameters) if values else 0


@dataclass(frozen=True, slots=True)
class Database:
    """`alone` gives the right to write; PostgreSQL needs none, its transactions may meet."""

    engine: Engine
    dialect: Dialect
    clock: Clock
    alone: Callable[[], AbstractContextManager[None]]

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """Commits at the end, or nothing happened. Raises StoreError."""
        with self._explained(), self.alone(), self._transaction("BEGIN IMMEDIATE") as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """On SQLite all of it sees one moment. Raises StoreError."""
        with self._explained(), self._transaction("BEGIN") as tx:
            yield tx

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Tx]:
        """At the driver itself, over a connection of the pool: SQLAlchemy's transactions cost as much as ten mails in one of them."""
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            if self.dialect.sqlite:  # PostgreSQL's driver begins by itself
                cursor.execute(begin)
            yield Tx(cursor, self.dialect, micros(self.clock()))
            connection.commit()
        except BaseException:
            self._undo(connection)
            raise
        finally:
            connection.close()

    def _undo(self, connection: PoolProxiedConnection) -> None:
        """A connection that can't do even that is not used again."""
        try:
            connection.rollback()
        except self.engine.dialect.loaded_dbapi.Error:
            connection.invalidate()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error, OSError) as problem:
            raise store_error(problem, self.engine) from problem
