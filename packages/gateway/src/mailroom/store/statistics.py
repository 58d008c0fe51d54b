"""What SQLite's planner is told about the sizes of our tables.

Without it, it takes `deliveries_state` for the best index of all: right for ten deliveries, a scan with a million waiting. So a young
database gets the statistics of a grown one, and the plans never change. https://www.sqlite.org/queryplanner-ng.html#howtofix
"""

from __future__ import annotations

from mailroom.store.database import Database

# table, index, rows and then rows per distinct prefix of the index: https://www.sqlite.org/fileformat2.html#the_sqlite_stat1_table
GROWN = (
    ("messages", None, "5000000"),
    ("messages", "messages_blob", "10000 1"),
    ("messages", "messages_author", "1000000 10 1"),
    ("messages", "messages_own", "100000 100000 1"),
    ("raws", None, "1000000"),
    ("deliveries", "deliveries_due", "1000000 5000 2500 2 1"),
    ("deliveries", "deliveries_expiry", "1000000 5000 2 2"),
    ("deliveries", "deliveries_message", "10000000 2"),
    ("deliveries", "deliveries_state", "10000000 1000000 1"),
    ("attempts", "attempts_look", "1000 5 1"),
    ("attempts", "attempts_usage", "10000000 50000 1 1 1"),
    ("attempts", "attempts_message", "10000000 2"),
    ("events", "events_message", "20000000 4"),
    ("entries", "entries_of_message", "1000000 1"),
    ("lanes", "sqlite_autoindex_lanes_1", "200 1"),
)


def tell_planner(database: Database) -> None:
    """Once for each database, by whoever opens it first; each connection reads it when it is made."""
    with database.read() as tx:
        there = tx.one("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'")
        if there and {tuple(row) for row in tx.rows("SELECT tbl, idx, stat FROM sqlite_stat1")} == set(GROWN):
            return
    with database.write() as tx:
        tx.run("ANALYZE sqlite_schema")  # makes the table if need be, and later reads it
        tx.run("DELETE FROM sqlite_stat1")
        tx.many("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", GROWN)
        tx.run("ANALYZE sqlite_schema")
