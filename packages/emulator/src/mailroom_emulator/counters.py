"""What was asked of the emulator, for tests and benchmarks to look at."""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_RECENT = 2000


@dataclass
class Counters:
    """Counts since the last reset; `recent` are the last requests, newest last."""

    requests: int = 0
    throttled: int = 0
    by_mailbox: Counter[str] = field(default_factory=Counter)
    by_operation: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    max_concurrency: dict[str, int] = field(default_factory=dict)
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def enter(self, mailbox: str) -> None:
        self.in_flight[mailbox] += 1
        if self.in_flight[mailbox] > self.max_concurrency.get(mailbox, 0):
            self.max_concurrency[mailbox] = self.in_flight[mailbox]

    def leave(self, mailbox: str) -> None:
        self.in_flight[mailbox] -= 1

    def record(self, now: datetime, method: str, path: str, operation: str, mailbox: str, status: int) -> None:
        self.requests += 1
        self.by_operation[operation] += 1
        self.by_status[str(status)] += 1
        if mailbox:
            self.by_mailbox[mailbox] += 1
        if status == 429:
            self.throttled += 1
        self.recent.append(
            {
                "at": now,
                "method": method,
                "path": path,
                "operation": operation,
                "mailbox": mailbox,
                "status": status,
            }
        )

    def json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "throttled": self.throttled,
            "by_mailbox": dict(self.by_mailbox),
            "by_operation": dict(self.by_operation),
            "by_status": dict(self.by_status),
            "max_concurrency": dict(self.max_concurrency),
        }
