"""Programs and people: tokens with their scopes, roles, webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Scope(Enum):
    """What a token may be used for."""

    SEND = "messages:send"
    READ = "messages:read"
    ACT = "messages:act"
    OBJECTS_READ = "objects:read"
    OBJECTS_WRITE = "objects:write"
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"
    """Notes, answers, stage and assignee."""
    INBOUND_WRITE = "inbound:write"
    """Hand over mail that has come for us elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A right to use the HTTP API."""

    name: str
    key: str
    """Keyed SHA-256 of the token, hexadecimal."""
    scopes: tuple[Scope, ...]
    application: str = ""
    """Sends as this one, and sees and touches its mail alone; empty: all mail."""
    expires_at: datetime | None = None
    per_minute: int = 6000
    """Requests; 0 is no limit."""


class Role(Enum):
    """What a person may do in the console; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    """Acts on mail: retry, cancel, hold."""
    ADMIN = "admin"
    """Changes accounts, servers, applications and people."""

    def covers(self, other: Role) -> bool:
        """Whether this one may do what the other may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


class WebhookEvent(Enum):
    """What a webhook may want to hear of."""

    ACCEPTED = "accepted"
    SENT = "sent"
    DEFERRED = "deferred"
    HELD = "held"
    FAILED = "failed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ACCOUNT_NEEDS_ATTENTION = "account.needs_attention"
    DOCTOR_CHANGED = "doctor.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A program that is told what happens. Its secret lies in the vault as `webhook:<name>`."""

    name: str
    url: str
    """`https://...`; `http://...` only within `webhooks.private_networks`."""
    events: tuple[WebhookEvent, ...] = tuple(WebhookEvent)
    application: str = ""
    """Only about this one's mail, and then nothing about accounts; empty: everything."""
    active: bool = True
    """Nothing is kept for one that is not, and what waits for it stays."""
