"""What Graph posts to whoever has subscribed: the handshake, notifications of new mail, and events in the life of a subscription.

Anybody on the internet can call the address, so nobody is believed: a notification proves itself by the state that we gave Graph, and
is only a reason to look. The answer must be quick (Graph wants one within three seconds) and 2xx also for what is ignored, or Graph goes
on for hours. Microsoft Graph docs, concepts/change-notifications-delivery-webhooks.md and change-notifications-lifecycle-events.md,
read 2026-11-20.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from html import escape

MOST_TOKEN = 2000
MOST_BODY = 256 * 1024
MOST = 1000
"""Notifications in one request that are looked at."""
REAUTHORIZE = "reauthorizationRequired"
"""Renewing does it."""
REMOVED = "subscriptionRemoved"
MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification whose state is ours."""

    owner: str
    """Whom it is for: what stands in the state before its last dot."""
    subscription: str
    event: str
    """Of the subscription's own life; empty for new mail."""

    @property
    def ends(self) -> bool:
        """Whether nothing is told any more until it is renewed, or made anew."""
        return self.event in (REAUTHORIZE, REMOVED)


@dataclass(frozen=True, slots=True)
class Notices:
    proven: tuple[Notice, ...]
    ignored: int
    """How many proved nothing."""


def handshake(token: str) -> str | None:
    """What to answer as text/plain to a request with `validationToken`; None: 400, it is none of Graph's."""
    return escape(token) if len(token) <= MOST_TOKEN else None


def read(body: bytes, state_of: Callable[[str], str]) -> Notices:
    """What a request says; whatever it holds, no error. `state_of` gives the state of an owner, with its name before the last dot."""
    try:
        value = json.loads(body) if len(body) <= MOST_BODY else None
    except (ValueError, RecursionError):
        value = None
    listed = value.get("value") if isinstance(value, dict) else None
    given = [each for each in listed[:MOST] if isinstance(each, dict)] if isinstance(listed, list) else []
    proven = tuple(notice for each in given if (notice := _proven(each, state_of)))
    return Notices(proven, len(given) - len(proven))


def _proven(given: dict[str, object], state_of: Callable[[str], str]) -> Notice | None:
    said = str(given.get("clientState", "")).encode("utf-8", "replace")  # JSON can hold halves of characters
    owner, dot, _ = said.decode().rpartition(".")
    if not dot or not compare_digest(said, state_of(owner).encode()):
        return None
    return Notice(owner, str(given.get("subscriptionId", "")), str(given.get("lifecycleEvent") or ""))
