"""Ids that grow with time and never meet: 41 bits of milliseconds, 10 bits of node, 12 bits of sequence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Lock

from mailroom.ports import Clock

EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z


def first_id(at: datetime) -> int:
    """The smallest id that can be made at that time: a span of time is a range of ids."""
    return max(0, int(at.timestamp() * 1000) - EPOCH_MS) << 22


class Ids:
    """One per process; `node` is `Store.node`, so that two processes, or two boots, can't make the same id. It is asked for the
    first id, and blocks: a process that only looks needs no id, and waits for nobody who writes."""

    def __init__(self, node: Callable[[], int], clock: Clock) -> None:
        self._ask = node
        self._node: int | None = None
        self._clock = clock
        self._lock = Lock()
        self._ms = 0
        self._sequence = 0

    def __call__(self) -> int:
        """The next id. A clock that is set back changes nothing: time stands still here until it has caught up."""
        with self._lock:
            if self._node is None:
                self._node = self._ask() & 1023
            now = int(self._clock().timestamp() * 1000) - EPOCH_MS
            if now > self._ms:
                self._ms, self._sequence = now, 0
            else:
                self._sequence += 1
                if self._sequence > 4095:
                    self._ms, self._sequence = self._ms + 1, 0
            return (self._ms << 22) | (self._node << 12) | self._sequence
