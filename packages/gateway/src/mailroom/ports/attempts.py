"""Who may work on what, what was tried, and what came of it: lanes, attempts, outcomes, usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from mailroom.objects import Suppression
from mailroom.ports.messages import Delivery, Event, Message, NewMessage
from mailroom_core.model import AttemptId, DeliveryId, LaneName, MessageId, Outcome, Remote, Reply, State


@dataclass(frozen=True, slots=True)
class Lane:
    """A lease: until it ends, only its owner touches the lane. `epoch` grows with every new owner."""

    name: LaneName
    epoch: int


@dataclass(frozen=True, slots=True)
class LaneStatus:
    name: LaneName
    waiting: int
    """Deliveries that are queued or unsure."""
    due_at: datetime | None
    """The earliest."""
    held: str
    """Why it is held; empty if it is not."""
    owned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A message and its deliveries on one lane that are due together."""

    message: Message
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    id: AttemptId
    message_id: MessageId
    delivery_ids: tuple[DeliveryId, ...]
    lane: LaneName
    epoch: int
    started_at: datetime
    deadline: datetime
    marker: str
    facts: Mapping[str, str] = field(default_factory=dict)
    """For a second `/send` of the same draft: what the first attempt knew."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the provider called it, as the lane's owner of this epoch has learnt."""

    attempt_id: AttemptId
    lane: LaneName
    epoch: int
    facts: Mapping[str, str]
    left: Further | None = None
    """What leaves right after it, beyond the mail that the attempt itself counts as."""


@dataclass(frozen=True, slots=True)
class Further:
    """One more mail of an attempt: a look that sends its draft again, or a recipient who is tried alone."""

    recipients: int
    """Those that the attempt has not counted already."""


SENT_AGAIN = "sent_again"
"""The fact that a look is about to send a draft."""
TURN = "turn"
"""The fact that the next recipient's own mail is about to be sent."""
ALONE = "alone"
"""The fact that each recipient was tried by itself; what was noted of one of them then begins with its `Attempt.place`."""


class Resolution(Enum):
    OPEN = "open"
    """Bytes may be leaving right now."""
    UNSURE = "unsure"
    """It ended without an answer; the provider is to be asked."""
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    id: AttemptId
    message_id: MessageId
    delivery_ids: tuple[DeliveryId, ...]
    lane: LaneName
    epoch: int
    started_at: datetime
    deadline: datetime
    marker: str
    facts: Mapping[str, str]
    """What `note` committed on the way: draft_id, internet_message_id, conversation_id."""
    resolution: Resolution
    looks: int
    """How often the provider was asked what became of it."""
    ended_at: datetime | None
    text: str
    """The outcome in one line; empty while it is open."""

    def place(self, delivery: DeliveryId) -> str:
        """What this delivery's own facts begin with."""
        return f"{self.delivery_ids.index(delivery)}."

    def facts_of(self, delivery: DeliveryId) -> Mapping[str, str]:
        """What was noted of one delivery, by itself or together with the others."""
        if ALONE not in self.facts:
            return self.facts
        place = self.place(delivery)
        own = {name.removeprefix(place): value for name, value in self.facts.items() if name.startswith(place)}
        return {name: self.facts[name] for name in ("way", "through") if name in self.facts} | own


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """What one delivery becomes."""

    id: DeliveryId
    state: State
    due_at: datetime | None
    reply: Reply | None
    remote: Remote = field(default_factory=Remote)
    event: Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The end of an attempt, or of one look at it."""

    attempt_id: AttemptId
    lane: LaneName
    epoch: int
    text: str
    looked: bool = False
    """Count one more look."""
    deliveries: tuple[DeliveryResult, ...]
    suppress: tuple[Suppression, ...] = ()
    replies: tuple[NewMessage, ...] = ()
    """Mail of our own that this gives rise to (a DSN), stored in the same transaction."""
    outcomes: tuple[Outcome, ...] = ()
    """What the transport said; not stored."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What left through a lane in a span of time."""

    attempts: int
    recipients: int
    size: int
