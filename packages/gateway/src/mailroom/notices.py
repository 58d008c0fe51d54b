"""Notices: what webhooks are told. A port beside `ports.Store`, over the same database; one contract suite runs over both of its kinds.

Every row of a timeline has a number that grows. A cursor over these rows says how far webhooks have been told: while there is no
webhook there is no cursor, and the way of a mail does nothing for it. `happenings` reads what is new, `enqueue` commits a notice for each
webhook that wants it together with the new cursor. So what is committed is neither skipped nor told by two notices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import NewType, Protocol

from mailroom.objects import Webhook
from mailroom_core.model import DeliveryId, MessageId, Reply, State

NOTICING = "webhooks"
"""The lease of the one worker that tells; a new boot ends it together with those of lanes."""

NoticeId = NewType("NoticeId", int)
"""Ours; the same over all tries, and what the target sees as `webhook-id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One row of a timeline, with what a program wants to know beside it. Without a message it is about an account."""

    at: datetime
    name: str
    text: str
    data: Mapping[str, str]
    message_id: MessageId | None = None
    header_message_id: str = ""
    application: str = ""
    tags: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    """All of the message's, if this is about the message as a whole."""
    delivery_id: DeliveryId | None = None
    recipient: str = ""
    state: State | None = None
    """Of the delivery, now; it may have changed since."""
    reply: Reply | None = None
    """The last one, now."""


@dataclass(frozen=True, slots=True)
class News:
    """What has happened between two cursors, and who may want to know: read after it, so that none is missing."""

    before: int
    after: int
    happenings: tuple[Happening, ...]
    webhooks: tuple[Webhook, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    id: NoticeId
    webhook: str
    event: str
    message_id: MessageId | None
    body: str
    """As it is sent, with every try."""


class NoticeState(Enum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    id: NoticeId
    webhook: str
    event: str
    message_id: MessageId | None
    body: str
    state: NoticeState
    due_at: datetime | None
    tries: int
    """Since it was made, or replayed."""


@dataclass(frozen=True, slots=True)
class Try:
    """One call of a target, as the log shows it."""

    at: datetime
    took: timedelta
    status: int
    """HTTP; 0: no answer."""
    answer: str
    """Its beginning, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one try comes to."""

    notice_id: NoticeId
    webhook: str
    tried: Try
    state: NoticeState
    due_at: datetime | None
    pause_until: datetime | None = None
    """The target wants nothing before."""
    gone: bool = False
    """The target wants nothing any more: its webhook becomes inactive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a webhook is doing."""

    waiting: int = 0
    given_up: int = 0
    told_at: datetime | None = None
    """The last time that its target has taken something."""
    failing_since: datetime | None = None
    paused_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class NoticeStory:
    notice: Notice
    tries: tuple[Try, ...] = field(default=())


class Notices(Protocol):
    """Blocking; each call is one transaction."""

    def happenings(self, *, limit: int) -> News | None:
        """What has been committed since the cursor, `limit` rows at most. None if there is no webhook."""

    def enqueue(self, news: News, notices: Sequence[NewNotice]) -> bool:
        """Commit the notices and the new cursor. False, and nothing is written, if somebody else has moved the cursor."""

    def due_notices(self, webhook: str, *, limit: int) -> list[Notice]:
        """What waits for this target and may be tried now, oldest first."""

    def record_tries(self, batch: Sequence[Tried], *, give_up: datetime) -> list[str]:
        """Write tries and what they come to. What was made before `give_up` is given up if its target has failed ever since then.

        Webhooks that became inactive because their target is gone.
        """

    def notices(self, webhook: str, *, state: NoticeState | None = None, limit: int, after: str = "") -> tuple[list[Notice], str]:
        """Newest first, and the cursor of the next page (empty at the end)."""

    def notice(self, number: NoticeId) -> NoticeStory | None: ...

    def replay(self, webhook: str, *, notice: NoticeId | None = None, since: datetime | None = None) -> int:
        """Try again at once: one notice whatever became of it, or all that have failed and were made since then. How many."""

    def health(self) -> dict[str, Health]:
        """Of webhooks that have something to tell."""

    def forget_notices(self, before: datetime, *, limit: int) -> int:
        """Drop what is done and was made before, and what nobody waits for; how many. 0: nothing is left to drop."""


def facts_of(reply: Reply | None) -> dict[str, str]:
    """A reply as an event keeps it."""
    if reply is None:
        return {}
    facts = {"code": str(reply.code) if reply.code else "", "enhanced": reply.enhanced, "name": reply.name, "reply": reply.text}
    return {name: value for name, value in facts.items() if value}


def reply_of(facts: Mapping[str, str]) -> Reply | None:
    """The reverse."""
    if "reply" not in facts:
        return None
    code = facts.get("code", "")
    return Reply(int(code) if code.isdecimal() else 0, facts["reply"], facts.get("enhanced", ""), facts.get("name", ""))
