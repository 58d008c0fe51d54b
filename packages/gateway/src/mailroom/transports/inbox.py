"""The built-in inbox: a mail becomes an entry of a conversation.

An answer stands where what it answers stands. An answer to a mail of ours that stands in no conversation yet opens one with both.
Taking a mail twice changes nothing, so a lost end of an attempt needs no looking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from mailroom.conversations import ConversationId, Entry, EntryKind
from mailroom.defaults import ASSIGNEE, Defaults
from mailroom.ports import Job, Message, Remember, Store
from mailroom.transports.handed import found_to_answer
from mailroom.transports.ways import INBOX, not_ours, way_of
from mailroom_core.errors import MimeError, StoreError
from mailroom_core.inbound import Head
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.mime.texts import texts
from mailroom_core.model import Deferred, DeliveryId, Outcome, Reply, Sent, show_id

MOST_TEXT = 100_000
"""Characters of a mail that are kept with its entry; the mail itself has all of them."""


Copied = Callable[[str, str, Message, ReadAt], Awaitable[None]]
"""Sends a mail to those who follow: the destination, the address that was written to, the mail. Twice is once. Raises StoreError."""
ValuesOf = Callable[[Iterable[str]], Defaults]
"""The default values of the aliases that were written to."""


class InboxTransport:
    """One inbox."""

    def __init__(self, destination: str, store: Store, copied: Copied, values: ValuesOf) -> None:
        self._destination = destination
        self._store = store
        self._copied = copied
        self._values = values

    @property
    def way(self) -> str:
        return INBOX

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        try:
            conversation = await asyncio.to_thread(self._taken, job)
            await self._copied(self._destination, next(iter(job.recipients.values()), ""), job.message, job.source)
        except StoreError as problem:
            return dict.fromkeys(job.recipients, Deferred(Reply(0, f"the inbox can't store it at present ({problem}); it is tried again")))
        reply = Reply(250, f"it stands in conversation {show_id(conversation)}", "2.0.0")
        return dict.fromkeys(job.recipients, Sent(reply, remote_id=show_id(conversation)))

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "the inbox takes it again"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == INBOX else not_ours(job))

    async def close(self) -> None: ...

    def _taken(self, job: Job) -> ConversationId:
        head, text = _read(job)
        conversations, message = self._store.conversations, job.message
        entry = Entry(
            kind=EntryKind.MAIL_IN,
            at=message.accepted_at,
            author=head.sender,
            text=text,
            message_id=message.id,
            header_message_id=head.message_id,
        )
        spare = min(job.recipients)
        found = found_to_answer(job, self._store)
        where = self._where((*head.ids, *((found,) if found else ())), head, spare)
        assignee = str(self._values(job.recipients.values()).get(ASSIGNEE, ""))
        number, _ = conversations.add(
            self._destination, entry, subject=head.subject, customer=head.sender, to=where, assignee=assignee, spare=spare
        )
        return number

    def _where(self, names: Sequence[str], head: Head, spare: int) -> ConversationId | None:
        """By the mails that its author names, then by what the rules have found."""
        conversations = self._store.conversations
        known = conversations.of(names, destination=self._destination)
        for name in names:
            if name in known:
                return known[name]
        ours, elsewhere = self._store.sent_as(names), conversations.of(names)
        first = next((ours[name] for name in names if name in ours and name not in elsewhere), None)
        return self._opened_with(first, head, spare) if first else None

    def _opened_with(self, sent: Message, head: Head, spare: int) -> ConversationId:
        entry = Entry(
            kind=EntryKind.MAIL_OUT,
            at=sent.accepted_at,
            author=sent.header_from,
            text=self._words_of(sent),
            message_id=sent.id,
            header_message_id=sent.header_message_id,
        )
        number, _ = self._store.conversations.add(self._destination, entry, subject=sent.subject, customer=head.sender, spare=spare)
        return number

    def _words_of(self, sent: Message) -> str:
        """Of a mail that left; a large one is looked at by itself."""
        kept = self._store.read(sent.id)
        source = InMemory(kept.raw) if kept and kept.raw else None
        try:
            return texts(source, index(source)).text[:MOST_TEXT] if source else ""
        except MimeError:
            return ""


def _read(job: Job) -> tuple[Head, str]:
    """What cannot be read is taken all the same: its source can be looked at."""
    try:
        head = read_head_of(job.source)
    except MimeError as problem:
        return Head(), f"(This mail can't be shown: {problem})"
    try:
        found = texts(job.source, index(job.source))
    except MimeError as problem:
        return head, f"(The words of this mail can't be shown: {problem})"
    return head, (found.reply or found.text)[:MOST_TEXT]
