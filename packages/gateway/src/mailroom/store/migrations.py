"""Brings a database to the tables of this version, step by step, each step in the transaction that counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.store import schema
from mailroom.store.database import Database, Tx
from mailroom_core.errors import StoreError

MIGRATIONS: Mapping[int, Sequence[str]] = {
    1: schema.FIRST,
    2: schema.TAGS,
    3: schema.USERS,
    4: schema.NOTICES,
    5: schema.INCOMING,
    6: schema.FURTHER,
    7: schema.SEARCH,
    8: schema.SUBSCRIPTIONS,
    9: schema.AUDIT,
    10: schema.BOUNCES,
    11: schema.BUDGETS,
    12: schema.FAILING,
    13: schema.DIAGNOSES,
    14: schema.AUTHORS,
    15: schema.CUTOVER,
    16: schema.QUARANTINE,
    17: schema.PROVIDERS_CONVERSATIONS,
    18: schema.FETCHED,
}
"""Number -> statements. What is released never changes; a change of the tables is a new number, and keeps every row."""

SQLITE_KNOWS = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'"
POSTGRESQL_KNOWS = "SELECT 1 WHERE to_regclass('meta') IS NOT NULL"
_ONE_AT_A_TIME = 0x6D61696C  # any number that everybody who migrates agrees on


def migrate(database: Database, migrations: Mapping[int, Sequence[str]] = MIGRATIONS) -> None:
    """Writes only if a step is due, so that opening a database that others write to waits for nobody.

    Raises StoreError, also if a newer Mailroom has changed the tables already.
    """
    newest = max(migrations)
    with database.read() as tx:
        if tx.one(SQLITE_KNOWS if tx.sqlite else POSTGRESQL_KNOWS) and _version(tx) == newest:
            return
    with database.write() as tx:
        if not database.dialect.sqlite:
            tx.run("SELECT pg_advisory_xact_lock(?)", _ONE_AT_A_TIME)
        tx.run("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
        version = _version(tx)
        if version > newest:
            raise StoreError(
                f"the database has tables of version {version}, made by a newer Mailroom; this one knows {newest}. "
                "Install the newer one again, or restore a backup from before the update"
            )
        for number in range(version + 1, newest + 1):
            for statement in migrations[number]:
                tx.run(statement)
            tx.run("INSERT INTO meta (name, value) VALUES ('schema', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", number)


def _version(tx: Tx) -> int:
    row = tx.one("SELECT value FROM meta WHERE name = 'schema'")
    return 0 if row is None else int(row[0])
