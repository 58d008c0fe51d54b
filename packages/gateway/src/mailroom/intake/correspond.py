"""Answering from a conversation: a mail like any other, that stands in the conversation from the moment it is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from mailroom.accept import IN_ROW, Submission, Wishes
from mailroom.conversations import Conversation, ConversationId, Entry, EntryKind
from mailroom.intake.followers import Followers
from mailroom.intake.letter import Letter, Plan, copied_to, written
from mailroom.intake.lookup import tables_of
from mailroom.mailboxes import address_of
from mailroom.objects import Application, Directory, InboxTarget
from mailroom.observe import events
from mailroom.ports import Blobs, Message, OpenBlob, Store
from mailroom.spool import SpoolFile
from mailroom_core.errors import ConfigError, MimeError, StoreError
from mailroom_core.inbound import Head
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.recipients import can_be_written
from mailroom_core.mime.source import InMemory
from mailroom_core.model import MessageId, show_id
from mailroom_core.policy.addresses import domain_of, is_deliverable, normalize

CONVERSATIONS = "conversations"
"""The application of answers."""
MOST_REFERENCES = 20


class OtherAnswer(ConfigError):
    """The key of an answer belongs to another one."""

    def __init__(self, number: MessageId) -> None:
        super().__init__(f"This Idempotency-Key belongs to another answer, {show_id(number)}; use a new key for a new answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an answer would be, before anybody has written one."""

    senders: tuple[str, ...]
    """As whom one may answer; the first is taken if nobody says otherwise."""
    to: tuple[tuple[str, str], ...] = ()
    cc: tuple[tuple[str, str], ...] = ()
    """Who else was written to, as far as they are not ours."""
    problem: str = ""
    """Why nobody can answer here, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondence:
    """Writes the answers of one gateway."""

    store: Store
    blobs: Blobs
    directory: Callable[[], Directory]
    accept: Callable[[Submission], Awaitable[MessageId]]
    followers: Followers

    async def answer(self, number: ConversationId, letter: Letter) -> MessageId:
        """Raises ConfigError for what can't be, OtherAnswer, Refused, StoreError."""
        plan = await asyncio.to_thread(self._plan, number, letter)
        accepted = await self._first_use(letter)
        if accepted is None:
            accepted = await self._accepted(number, letter, plan)
            await self._first_use(letter)  # somebody may have used the key at the same moment, for something else
        await self._copied(accepted, plan)
        return accepted

    async def _first_use(self, letter: Letter) -> MessageId | None:
        """The answer that came with this key before. Raises OtherAnswer."""
        found = await asyncio.to_thread(self.store.first_use, CONVERSATIONS, letter.key) if letter.key else None
        if found is None:
            return None
        number, digest = found
        if digest != letter.digest:
            raise OtherAnswer(number)
        return number

    async def _accepted(self, number: ConversationId, letter: Letter, plan: Plan) -> MessageId:
        with SpoolFile(self.followers.spool) as spool:
            raw, size = await _gathered(written(plan, letter), spool)
            return await self.accept(
                Submission(
                    application=Application(name=CONVERSATIONS, senders=(plan.sender,), alias_domain=domain_of(plan.sender)),
                    sender=plan.sender,
                    recipients=plan.recipients,
                    raw=raw,
                    spool=spool.path if raw is None else None,
                    size=size,
                    client="127.0.0.1",
                    helo="inbox",
                    tls="",
                    authenticated=CONVERSATIONS,
                    protocol="HTTP",
                    wishes=Wishes(idempotency_key=letter.key, digest=letter.digest, conversation=number, words=letter.text),
                )
            )

    async def _copied(self, accepted: MessageId, plan: Plan) -> None:
        """To those who follow. What goes wrong here is told in the log: the answer is accepted, and must not be sent again."""
        message = await asyncio.to_thread(self.store.read, accepted)
        if message is None or (message.raw is None and not message.blob):
            return
        try:
            with closing(await asyncio.to_thread(self._opened, message)) as source:
                await self.followers(plan.destination, plan.sender, message, source)
        except (StoreError, OSError) as problem:
            events.report_left_out(accepted, str(problem))

    def draft(self, number: ConversationId) -> Draft:
        """To whom an answer would go, and as whom. Blocking."""
        whole = self.store.conversations.one(number)
        if whole is None:
            return Draft(senders=(), problem="There is no such conversation")
        senders = tuple(dict.fromkeys(self._senders(*whole)))
        try:
            plan = self._plan(number, Letter(text=""))
        except ConfigError as problem:
            return Draft(senders=senders, problem=str(problem).removeprefix("from: ").removeprefix("to: "))
        return Draft(senders=senders, to=plan.to, cc=self._others(whole, plan))

    def _others(self, whole: tuple[Conversation, list[Entry]], plan: Plan) -> tuple[tuple[str, str], ...]:
        """Those whom the last mail was sent to beside us."""
        directory, last = self.directory(), self._last(*whole)
        head = self._head(last) if last else Head()
        known = {normalize(each) for each in (*plan.recipients, *self._following(plan.destination))}
        found = {normalize(address): (name, address) for name, address in (*head.to, *head.cc) if _may_get(address)}
        return tuple(each for key, each in found.items() if key not in known and not _is_ours(directory, key))

    def _plan(self, number: ConversationId, letter: Letter) -> Plan:
        whole = self.store.conversations.one(number)
        if whole is None:
            raise ConfigError("there is no such conversation")
        conversation, entries = whole
        sender = self._sender(conversation, entries, letter.sender)
        last = self._last(conversation, entries)
        head = self._head(last) if last else Head()
        to = tuple(each for each in head.reply_to or head.from_ if _may_get(each[1]))
        to = to or (("", last.author if last else conversation.customer),)
        if not _may_get(to[0][1]):
            raise ConfigError(f"to: {to[0][1]!r} is no address that an answer could go to")
        named = head.references or tuple(each.header_message_id for each in entries if each.header_message_id)
        last_id = last.header_message_id if last else ""
        ids = tuple(dict.fromkeys(each for each in (*named, last_id) if each and each != last_id))
        return Plan(
            sender=sender,
            to=to,
            cc=copied_to(letter.cc),
            subject=_answering(conversation.subject),
            in_reply_to=last_id,
            references=(*ids[-MOST_REFERENCES:], *((last_id,) if last_id else ())),
            destination=conversation.destination,
        )

    def _sender(self, conversation: Conversation, entries: list[Entry], wanted: str) -> str:
        """Raises ConfigError if nobody of ours may answer as that."""
        own = {normalize(each): each for each in reversed(list(self._senders(conversation, entries)))}
        found = own.get(normalize(wanted)) if wanted else next(iter(self._senders(conversation, entries)), None)
        if found is None:
            known = ", ".join(sorted(own.values())) or f"nobody yet: mailroom alias add ADDRESS --destination {conversation.destination}"
            raise ConfigError(f"from: one can't answer here as {wanted or 'anybody'}; there are {known}")
        return found

    def _senders(self, conversation: Conversation, entries: list[Entry]) -> Iterator[str]:
        """The address that was written to, whom we have written as, the aliases that lead there: those of them that are ours."""
        directory = self.directory()
        tables = tables_of(directory)
        last = self._last(conversation, entries)
        story = self.store.story(last.message_id) if last and last.message_id else None
        to = [each.recipient for each in story.deliveries if each.server == conversation.destination] if story else []
        out = [each.author for each in reversed(entries) if each.kind is EntryKind.MAIL_OUT]
        aliases = [each.name for each in directory.aliases.values() if each.active and each.destination == conversation.destination]
        for each in (*to, *out, *aliases):
            if is_deliverable(each) and _is_ours(directory, each) and normalize(each) not in {*tables.catchalls, *tables.bounces}:
                yield each

    def _last(self, conversation: Conversation, entries: list[Entry]) -> Entry | None:
        """The last mail that came in, from somebody outside if there is one."""
        following = {normalize(each) for each in self._following(conversation.destination)}
        came = [each for each in reversed(entries) if each.kind is EntryKind.MAIL_IN and each.author]
        return next((each for each in came if normalize(each.author) not in following), next(iter(came), None))

    def _following(self, destination: str) -> tuple[str, ...]:
        known = self.directory().destinations.get(destination)
        return known.target.followers if known and isinstance(known.target, InboxTarget) else ()

    def _head(self, entry: Entry) -> Head:
        """Of its mail; an empty one if its bytes are gone."""
        message = self.store.read(entry.message_id) if entry.message_id else None
        if message is None or (message.raw is None and not message.blob):
            return Head()
        try:
            with closing(self._opened(message)) as source:
                return read_head_of(source)
        except (MimeError, OSError):
            return Head()

    def _opened(self, message: Message) -> OpenBlob:
        return self.blobs.open(message.blob) if message.raw is None else _InMemory(message.raw)


class _InMemory(InMemory):
    """Bytes of a row, as a blob is opened."""

    def close(self) -> None: ...


def _may_get(address: str) -> bool:
    """Whether a mail can be sent there and name it: heads of strangers have many that can't."""
    return is_deliverable(address) and can_be_written(address)


def _is_ours(directory: Directory, address: str) -> bool:
    own = {normalize(each.name) for each in directory.aliases.values()}
    own |= {normalize(each.mailbox) for each in directory.accounts.values() if each.mailbox}
    own |= {normalize(address) for each in directory.incoming.values() if "@" in (address := address_of(directory, each))}
    return normalize(address) in own or domain_of(address) in directory.alias_domains


def _answering(subject: str) -> str:
    return subject if subject[:3].lower() == "re:" else f"Re: {subject}".rstrip()


async def _gathered(pieces: Iterator[bytes], spool: SpoolFile) -> tuple[bytes | None, int]:
    """The bytes, or None if they are so many that they are in the file; and how many. Raises ConfigError, Refused."""
    raw, size = b"", 0
    while piece := await asyncio.to_thread(next, pieces, b""):
        size += len(piece)
        if size <= IN_ROW:
            raw += piece
            continue
        await spool.append(raw + piece)
        raw = b""
    return (raw, size) if size <= IN_ROW else (None, size)
