"""Answers that many people look at again and again, asked anew only as often as they are cheap."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")
SHARE = 20
"""An answer is as good as new for so many times as long as it took: looking costs at most a twentieth of one core."""


class Kept(Generic[T]):
    """An answer and when it was made. For several threads; one of them asks, the others wait for it."""

    def __init__(self, ask: Callable[[], T], *, least: float, clock: Callable[[], float] = monotonic) -> None:
        """`least` is for how many seconds an answer is good in any case."""
        self._ask = ask
        self._least = least
        self._clock = clock
        self._lock = Lock()
        self._answer: T | None = None
        self._until = 0.0

    def __call__(self) -> T:
        with self._lock:
            began = self._clock()
            if self._answer is None or began >= self._until:
                self._answer = self._ask()
                ended = self._clock()
                self._until = ended + max(self._least, SHARE * (ended - began))
            return self._answer

    def forget(self) -> None:
        """Somebody has just changed what it is about."""
        with self._lock:
            self._answer = None
