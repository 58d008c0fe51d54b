"""What people ask for, and what they do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mailroom.conversations import ConversationId
from mailroom.ports.attempts import Attempt
from mailroom.ports.messages import Delivery, Event, Message
from mailroom_core.model import DeliveryId, LaneName, MessageId, Reply, State


@dataclass(frozen=True, slots=True)
class Story:
    """One message with all that happened to it."""

    message: Message
    deliveries: tuple[Delivery, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]

    @property
    def routed(self) -> tuple[Event, ...]:
        """What the rules have decided, the first time and each time since; nothing for what leaves."""
        return tuple(each for each in self.events if each.name == "routed")


ANSWERS = "answers"
"""Noted of a decision: the Message-ID of the mail of ours that it answers, whether its author has named it or not, or reports about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A selection of deliveries. All that is given must match."""

    message_id: MessageId | None = None
    delivery_id: DeliveryId | None = None
    states: frozenset[State] = frozenset()
    lane: str = ""
    account: str = ""
    came_in: bool = False
    """Only what has come in, on its way to a destination or in quarantine."""
    application: str = ""
    text: str = ""
    """Part of a recipient, sender or subject, letter case does not count, or the whole Message-ID."""
    header_message_id: str = ""
    """With or without its angle brackets."""
    tag: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Accepted before then."""
    unchanged_since: datetime | None = None
    """Nothing has happened to it from then on: so that work in many steps touches each delivery once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What one address has sent to us in a span of time, and got from us by itself."""

    opened: Mapping[str, int]
    """Mails handed over, by destination."""
    added: Mapping[ConversationId, int]
    """Of these, the ones that stand in a conversation."""
    answers: int
    """Answers of our own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameBack:
    """What a report says of one recipient of a mail of ours."""

    message_id: MessageId
    recipient: str
    """Normalised; empty if the report names nobody."""
    at: datetime
    name: str
    """Of the event: `bounced` or `complained`."""
    text: str
    reply: Reply
    reason: str
    """One of `mailroom_core.policy.reasons.Reason`."""
    permanent: bool
    hard: bool


@dataclass(frozen=True, slots=True)
class Found:
    delivery: Delivery
    message: Message


@dataclass(frozen=True, slots=True)
class Move:
    """Where waiting mail shall go instead."""

    server: str
    lane: Callable[[str, bool], LaneName | None]
    """The lane for a mail with this header From, which is bulk or not; None: the server does not take it."""


class Action(Enum):
    RETRY = "retry"
    SEND_NOW = "send now"
    CANCEL = "cancel"
    IGNORE = "ignore"
    HOLD = "hold"
