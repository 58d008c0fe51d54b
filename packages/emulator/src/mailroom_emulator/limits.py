"""The limits of Outlook and Exchange Online (facts 5.4, 5.5), counted over rolling windows.

Windows are shortened by the clock's scale. Throttled requests count as requests, as Microsoft says they do.
"""

import math
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailroom_emulator.clock import Clock

CONCURRENCY = 4  # per app and mailbox
REQUESTS = 10_000
REQUEST_WINDOW = timedelta(minutes=10)
UPLOAD_BYTES = 150 * 1024 * 1024  # bodies of PATCH, POST, PUT
UPLOAD_WINDOW = timedelta(minutes=5)
RECIPIENTS = 10_000  # per mailbox
DAY = timedelta(days=1)


def external_limit(licences: int) -> int:
    """The tenant external recipient rate limit, TERRL."""
    return int(500 * max(licences, 1) ** 0.7 + 9500)


@dataclass
class Window:
    """How much of something happened within the last while."""

    limit: int
    span: timedelta
    entries: deque[tuple[datetime, int]] = field(default_factory=deque)
    total: int = 0

    def wait(self, now: datetime, amount: int) -> timedelta | None:
        """How long until `amount` more fits; None if it does now."""
        while self.entries and self.entries[0][0] + self.span <= now:
            self.total -= self.entries.popleft()[1]
        excess = self.total + amount - self.limit
        if excess <= 0:
            return None
        for moment, spent in self.entries:
            excess -= spent
            if excess <= 0:
                return moment + self.span - now
        return self.span

    def add(self, now: datetime, amount: int) -> None:
        self.entries.append((now, amount))
        self.total += amount


@dataclass(frozen=True)
class Throttled(Exception):
    """One limit was reached: its name as Graph's text has it, and when to come back (real time)."""

    limit: str
    wait: timedelta

    def text(self) -> str:
        return f"Application is over its {self.limit} limit."


class Limits:
    """Counts per (client id, mailbox oid), per mailbox, and for the tenant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_flight: Counter[tuple[str, str]] = Counter()
        self._requests: dict[tuple[str, str], Window] = {}
        self._uploads: dict[tuple[str, str], Window] = {}
        self._recipients: dict[str, Window] = {}
        self._external: Window | None = None
        self._random = random.Random(0)  # noqa: S311 - a repeatable sequence is wanted

    def enter(self, client_id: str, mailbox: str, scope: str) -> tuple[str, str]:
        """Take a place among the requests in flight, to be given back with `leave`; or raise Throttled."""
        key = (client_id, mailbox if scope == "mailbox" else "")
        if self._in_flight[key] >= CONCURRENCY:
            wait = timedelta(seconds=self._random.uniform(0.5, 2.5))
            raise Throttled("MailboxConcurrency", self._clock.span(wait))
        self._in_flight[key] += 1
        return key

    def leave(self, key: tuple[str, str]) -> None:
        self._in_flight[key] -= 1

    def request(self, client_id: str, mailbox: str, body_size: int) -> None:
        """Count one request with so many bytes of body; raises Throttled."""
        now, key = self._clock.now(), (client_id, mailbox)
        requests = self._requests.setdefault(key, Window(REQUESTS, self._clock.span(REQUEST_WINDOW)))
        wait = requests.wait(now, 1)
        requests.add(now, 1)
        if wait is not None:
            raise Throttled("RequestRate", wait)
        if body_size == 0:
            return
        uploads = self._uploads.setdefault(key, Window(UPLOAD_BYTES, self._clock.span(UPLOAD_WINDOW)))
        wait = uploads.wait(now, body_size)
        if wait is not None:
            raise Throttled("UploadSize", wait)
        uploads.add(now, body_size)

    def recipients(self, mailbox: str, count: int) -> bool:
        """Count the recipients of a mail; False when the day's are used up."""
        now = self._clock.now()
        window = self._recipients.setdefault(mailbox, Window(RECIPIENTS, self._clock.span(DAY)))
        if window.wait(now, count) is not None:
            return False
        window.add(now, count)
        return True

    def external(self, count: int, licences: int) -> bool:
        """Count external recipients of the tenant; False when the day's are used up."""
        now = self._clock.now()
        if self._external is None:
            self._external = Window(external_limit(licences), self._clock.span(DAY))
        self._external.limit = external_limit(licences)
        if self._external.wait(now, count) is not None:
            return False
        self._external.add(now, count)
        return True


@dataclass(frozen=True)
class Load:
    """Mail to be sent, spread evenly over mailboxes by one application. Sizes are of request bodies, in bytes."""

    messages: int
    requests_per_message: float = 2
    bytes_per_message: int = 0
    recipients_per_message: int = 1
    external_per_message: int = 0
    mailboxes: int = 1


def least_time(load: Load, *, latency: timedelta, licences: int, clock: Clock) -> dict[str, float]:
    """The seconds below which no client can send a load under these limits; `seconds` is the largest of the parts.

    A rolling window lets its limit through at once, and as much again each time it has passed.
    """
    each = math.ceil(load.messages / load.mailboxes)
    requests = math.ceil(each * load.requests_per_message)
    spans = {
        "requests": _windows(requests, REQUESTS) * REQUEST_WINDOW,
        "upload": _windows(each * load.bytes_per_message, UPLOAD_BYTES) * UPLOAD_WINDOW,
        "recipients": _windows(each * load.recipients_per_message, RECIPIENTS) * DAY,
        "external": _windows(load.messages * load.external_per_message, external_limit(licences)) * DAY,
        "concurrency": requests / CONCURRENCY * latency,
    }
    parts = {name: clock.span(span).total_seconds() for name, span in spans.items()}
    return {"seconds": max(parts.values()), **parts}


def _windows(amount: int, limit: int) -> int:
    """How many times one has to wait for the window to pass."""
    return max(0, math.ceil(amount / limit) - 1)
