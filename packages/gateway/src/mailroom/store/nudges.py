"""LISTEN/NOTIFY: on PostgreSQL, whoever stores mail nudges the workers of all machines. Losing a nudge costs a poll interval."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy.engine import make_url

from mailroom.store.database import Tx

CHANNEL = "mailroom"
RETRY = 5.0
"""Seconds until a lost connection is made anew."""


def nudge(tx: Tx) -> None:
    """With the commit of this transaction; on SQLite the processes of the one machine have a pipe."""
    if not tx.sqlite:
        tx.rows("SELECT pg_notify(?, '')", CHANNEL)


def listen(url: str, heard: Callable[[], None]) -> threading.Thread:
    """Call `heard` for every nudge, in a thread of its own that ends with the process."""
    import psycopg  # an extra of the distribution: whoever runs on SQLite may not have it

    place = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    def run() -> None:
        pause = threading.Event()
        while True:
            try:
                with psycopg.connect(place, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    for _ in connection.notifies():
                        heard()
            except psycopg.Error:
                pause.wait(RETRY)  # the poll goes on meanwhile

    thread = threading.Thread(target=run, name="nudges", daemon=True)
    thread.start()
    return thread
