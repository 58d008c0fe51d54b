"""Conversations: mail in, mail out, bounces and notes in one thread; what the store keeps of the built-in inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NewType, Protocol

from mailroom_core.model import MessageId

ConversationId = NewType("ConversationId", int)
"""That of its first mail, where no other destination has got it before."""


class Stage(Enum):
    OPEN = "open"
    CLOSED = "closed"


class EntryKind(Enum):
    MAIL_IN = "mail in"
    MAIL_OUT = "mail out"
    BOUNCE = "bounce"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was said, or happened."""

    kind: EntryKind
    at: datetime
    author: str
    """An address, or for a note who wrote it."""
    text: str
    """Its words: without quotes and signature where they could be told apart."""
    message_id: MessageId | None = None
    header_message_id: str = ""
    """By which answers find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    id: ConversationId
    destination: str
    subject: str
    customer: str
    """Who wrote the first mail."""
    stage: Stage
    assignee: str
    opened_at: datetime
    changed_at: datetime


class Conversations(Protocol):
    """A part of the store, on its clock; each method is one transaction."""

    def add(
        self,
        destination: str,
        entry: Entry,
        *,
        subject: str,
        customer: str,
        to: ConversationId | None = None,
        assignee: str = "",
        spare: int = 0,
    ) -> tuple[ConversationId, bool]:
        """Add a mail to a conversation, or open one; a mail that is in it already changes nothing. Also whether it was new there.

        A mail opens one conversation at each destination; `spare` is the id of one that it opens after another destination's, and no
        mail's. Only one that is opened gets the assignee. Mail that comes in opens again what was closed.
        """

    def of(self, header_message_ids: Sequence[str], *, destination: str = "") -> dict[str, ConversationId]:
        """The conversations that mails with these Message-IDs stand in, by Message-ID; those that stand in none are left out.

        With a destination: only its own.
        """

    def all(self, *, stage: Stage | None = None, destination: str = "", limit: int, after: str = "") -> tuple[list[Conversation], str]:
        """Those that changed last come first, and the cursor of the next page (empty at the end)."""

    def one(self, conversation: ConversationId) -> tuple[Conversation, list[Entry]] | None:
        """With its entries, oldest first."""

    def note(self, conversation: ConversationId, entry: Entry) -> bool:
        """Whether there is such a conversation."""

    def change(self, conversation: ConversationId, *, by: str, stage: Stage | None = None, assignee: str | None = None) -> bool:
        """Whether there is such a conversation. What differs is noted in the audit log."""
