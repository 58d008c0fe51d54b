"""A mailbox takes four requests at a time, from all of our workers together; we stay at three (`mailroom_core`'s `limits`).

PostgreSQL's advisory locks count them: they belong to a database connection, so that a worker that is killed gives its turn back.
"""

import time
import zlib
from contextlib import contextmanager

from mailroom_core.providers.graph.limits import MAILBOX

PATIENCE = 30.0
"""Seconds that a conversation waits for its turn."""
_PAUSE = 0.05
_OURS = 0x6D677270  # "mgrp", so that nobody else's locks are ours


@contextmanager
def turn(cr, mailbox: str, patience: float = PATIENCE):
    """Around everything that is asked of a mailbox. Yields whether the turn came in time; `cr` must stay open until the end."""
    slot = _taken(cr, mailbox, time.monotonic() + patience)
    try:
        yield slot is not None
    finally:
        if slot is not None:
            cr.execute("SELECT pg_advisory_unlock(%s, %s)", [_OURS, slot])
            cr.commit()


def _taken(cr, mailbox, until):
    slots = _slots(mailbox)
    while True:
        for slot in slots:
            cr.execute("SELECT pg_try_advisory_lock(%s, %s)", [_OURS, slot])
            if cr.fetchone()[0]:
                cr.commit()
                return slot
        cr.commit()
        if time.monotonic() >= until:
            return None
        time.sleep(_PAUSE)


def _slots(mailbox):
    """Numbers of the mailbox's own, as PostgreSQL wants them: signed, 32 bits."""
    first = zlib.crc32(mailbox.lower().encode()) >> 4
    return [first * 4 + number - 2**29 for number in range(MAILBOX.concurrency)]
