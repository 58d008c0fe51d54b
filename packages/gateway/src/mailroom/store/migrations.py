"""Brings a database to the tables of this version, step by step, each step in the transaction that counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.store import schema
from mailroom.store.database import Database
from mailroom_core.errors import StoreError

MIGRATIONS: Mapping[int, Sequence[str]] = {1: schema.FIRST, 2: schema.TAGS}
"""Number -> statements. What is released never changes; a change of the tables is a new number, and keeps every row."""

_ONE_AT_A_TIME = 0x6D61696C  # any number that everybody who migrates agrees on


def migrate(database: Database, migrations: Mapping[int, Sequence[str]] = MIGRATIONS) -> None:
    """Raises StoreError, also if a newer Mailroom has changed the tables already."""
    newest = max(migrations)
    with database.write() as tx:
        if not database.dialect.sqlite:
            tx.run("SELECT pg_advisory_xact_lock(?)", _ONE_AT_A_TIME)
        tx.run("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
        row = tx.one("SELECT value FROM meta WHERE name = 'schema'")
        version = 0 if row is None else row[0]
        if version > newest:
            raise StoreError(
                f"the database has tables of version {version}, made by a newer Mailroom; this one knows {newest}. "
                "Install the newer one again, or restore a backup from before the update"
            )
        for number in range(version + 1, newest + 1):
            for statement in migrations[number]:
                tx.run(statement)
            tx.run("INSERT INTO meta (name, value) VALUES ('schema', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", number)
