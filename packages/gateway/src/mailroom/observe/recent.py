"""What this process has refused lately, for the doctor. In memory alone: it goes with the process, and the oldest make room."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone

MOST = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    at: datetime
    kind: str
    """`sign-in`, `submission`, `session` or `tls`."""
    client: str
    """Its address."""
    who: str
    """The user or the application, as far as it is known."""
    text: str


_refusals: deque[Refusal] = deque(maxlen=MOST)


def remember(kind: str, client: str, who: str, text: str) -> None:
    _refusals.append(Refusal(datetime.now(timezone.utc), kind, client, who, text))


def refusals() -> tuple[Refusal, ...]:
    """The newest first."""
    return tuple(reversed(_refusals))
