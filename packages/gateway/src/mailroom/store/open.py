"""Opens a store, and makes or updates its tables."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from mailroom.ports import Clock
from mailroom.store.database import Database, Dialect
from mailroom.store.lock import WriteLock
from mailroom.store.migrations import migrate
from mailroom.store.problems import store_error
from mailroom.store.sql import SqlStore
from mailroom.store.statistics import tell_planner
from mailroom_core.errors import ConfigError, StoreError

BUSY = 10.0
"""Seconds that SQLite waits for a program which does not know our lock, such as its own command line."""
CHECKPOINT = 4000
"""Pages of the write-ahead log (16 MB) after which they are copied into the database: each page once, however often it was written.

With SQLite's own 1000, mails of 20 kB cost a tenth more. What is committed is synced in the log; this changes nothing of that.
"""


def open_store(where: str | Path, *, clock: Clock) -> SqlStore:
    """A path or `sqlite:///path`, or `postgresql://user@host/database`. Raises StoreError, ConfigError."""
    url = _url(where)
    if url.get_backend_name() == "sqlite":
        return _sqlite(Path(url.database or ""), clock)
    return _postgresql(url, clock)


def _url(where: str | Path) -> URL:
    text = str(where)
    if text and "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in ("sqlite", "postgresql") or not url.database:
        raise ConfigError("the database must be a path, sqlite:///path or postgresql://user@host/database")
    return url


def _sqlite(path: Path, clock: Clock) -> SqlStore:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY},
        hide_parameters=True,  # they hold subjects and bodies
        pool_size=4,
        max_overflow=64,
        pool_reset_on_return=None,
    )
    event.listen(engine, "connect", _prepare)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        lock = WriteLock(path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise store_error(problem, engine) from problem
    database = Database(engine, Dialect(sqlite=True), clock, _alone(path, lock))
    return _made_ready(SqlStore(database, on_close=lock.close), database)


def _alone(path: Path, lock: WriteLock) -> Callable[[], AbstractContextManager[None]]:
    """The right to write, as long as the file is the one that we have opened: SQLite would go on writing to one that was removed."""
    opened = os.stat(path)

    @contextmanager
    def alone() -> Iterator[None]:
        with lock.held():
            try:
                there = os.path.samestat(os.stat(path), opened)
            except FileNotFoundError:
                there = False
            if not there:
                raise StoreError(f"the database {path} was removed or replaced while Mailroom runs; put it back, or start Mailroom again")
            yield

    return alone


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # `Database` says how a transaction starts
    pragmas = ("journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 67108864", "cache_size = -16384")
    for pragma in (*pragmas, f"wal_autocheckpoint = {CHECKPOINT}"):
        connection.execute(f"PRAGMA {pragma}")


def _sync_folder(folder: Path) -> None:
    """So that a power cut can't take the new file's name away."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _postgresql(url: URL, clock: Clock) -> SqlStore:
    engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_size=8, max_overflow=24, pool_pre_ping=True, hide_parameters=True)
    event.listen(engine, "connect", _trust_indices)
    database = Database(engine, Dialect(sqlite=False), clock, nullcontext)
    return _made_ready(SqlStore(database), database)


def _trust_indices(connection: Any, _record: Any) -> None:
    """A plan that was made while a table was nearly empty stays in the session, and would read all of it when it is full.

    No statement here is worth a compiler, which starts as soon as a plan looks dear.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("SET jit = off")
    connection.commit()


def _made_ready(store: SqlStore, database: Database) -> SqlStore:
    try:
        migrate(database)
        if database.dialect.sqlite:
            tell_planner(database)
    except StoreError:
        store.close()
        raise
    return store
