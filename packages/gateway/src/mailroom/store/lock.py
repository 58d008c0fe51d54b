"""A fair lock between the threads of all processes that write to one SQLite file.

SQLite's own lock is a poll with growing pauses: the process that has just written usually wins it again. Here whoever waits holds
the turn, and gets the lock as soon as its holder lets go; the one that has just written has to queue for the turn.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock


class WriteLock:
    """`<database>.lock` and `<database>.turn`. The kernel frees both when their process dies."""

    def __init__(self, database: Path) -> None:
        self._files = [os.open(f"{database}.{name}", os.O_RDWR | os.O_CREAT, 0o600) for name in ("turn", "lock")]
        self._turn, self._lock = Lock(), Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits as long as it takes. Not reentrant."""
        turn, lock = self._files
        with self._turn:
            self._lock.acquire()
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            finally:
                fcntl.flock(turn, fcntl.LOCK_UN)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)
        finally:
            self._lock.release()

    def close(self) -> None:
        while self._files:
            os.close(self._files.pop())
