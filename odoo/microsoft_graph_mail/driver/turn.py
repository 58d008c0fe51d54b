"""A mailbox takes four requests at a time, from all of our workers together; we stay at three (`mailroom_core`'s `limits`).

PostgreSQL's advisory locks count them: they belong to a database connection, so that a worker that is killed gives its turn back.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from mailroom_core.providers.graph.limits import MAILBOX

PATIENCE = 30.0
"""Seconds that a conversation waits for its turn."""
_PAUSE = 0.05
_OURS = 0x6D677270  # "mgrp", so that nobody else's locks are ours


class Cursor(Protocol):
    """As much of Odoo's cursor as is needed; it stays open around the turn."""

    def execute(self, query: str, params: Sequence[int], /) -> Any: ...
    def fetchone(self) -> Any: ...
    def commit(self) -> Any: ...
    def rollback(self) -> Any: ...


@contextmanager
def turn(cr: Cursor, mailbox: str, patience: float = PATIENCE) -> Iterator[bool]:
    """Around everything that is asked of a mailbox. Yields whether the turn came in time."""
    slot = _taken(cr, mailbox, time.monotonic() + patience)
    try:
        yield slot is not None
    finally:
        if slot is not None:
            cr.rollback()  # after an error it would execute nothing, and the lock outlives the cursor: Odoo keeps the connection
            cr.execute("SELECT pg_advisory_unlock(%s, %s)", [_OURS, slot])
            cr.commit()


def _taken(cr: Cursor, mailbox: str, until: float) -> int | None:
    while True:
        for slot in slots(mailbox):
            cr.execute("SELECT pg_try_advisory_lock(%s, %s)", [_OURS, slot])
            if cr.fetchone()[0]:
                cr.commit()
                return slot
        cr.commit()
        if time.monotonic() >= until:
            return None
        time.sleep(_PAUSE)


def slots(mailbox: str) -> list[int]:
    """Numbers of the mailbox's own, as PostgreSQL wants them: signed, 32 bits."""
    first = zlib.crc32(mailbox.lower().encode()) >> 4
    return [first * 4 + number - 2**29 for number in range(MAILBOX.concurrency)]
