"""Answering from a conversation: a mail like any other, that stands in the conversation from the moment it is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

from mailroom.accept import IN_ROW, Submission, Wishes
from mailroom.conversations import Conversation, ConversationId, Entry, EntryKind
from mailroom.intake.followers import Followers
from mailroom.intake.lookup import tables_of
from mailroom.objects import Application, Directory, InboxTarget
from mailroom.observe import events
from mailroom.ports import Blobs, Message, OpenBlob, Store
from mailroom_core.errors import ConfigError, MimeError, StoreError
from mailroom_core.inbound import Head
from mailroom_core.mime.headers import field, format_address, text_field
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.source import InMemory
from mailroom_core.model import MessageId
from mailroom_core.policy.addresses import domain_of, is_deliverable, normalize

CONVERSATIONS = "conversations"
"""The application of answers."""
MOST_REFERENCES = 20
_POLICY = SMTP.clone(cte_type="7bit")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """To whom an answer goes, as whom, and what it names."""

    sender: str
    to: tuple[tuple[str, str], ...]
    subject: str
    in_reply_to: str
    references: tuple[str, ...]
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondence:
    """Writes the answers of one gateway."""

    store: Store
    blobs: Blobs
    directory: Callable[[], Directory]
    accept: Callable[[Submission], Awaitable[MessageId]]
    followers: Followers

    async def answer(self, number: ConversationId, *, text: str, html: str = "", sender: str = "", key: str = "") -> MessageId:
        """Raises ConfigError for what can't be, Refused, StoreError."""
        plan = await asyncio.to_thread(self._plan, number, sender)
        raw = await asyncio.to_thread(_written, plan, text, html)
        if len(raw) > IN_ROW:
            raise ConfigError(f"the answer has {len(raw)} bytes, and {IN_ROW} are allowed; write less, or send it as a mail")
        submission = Submission(
            application=Application(name=CONVERSATIONS, senders=(plan.sender,), alias_domain=domain_of(plan.sender)),
            sender=plan.sender,
            recipients=tuple(dict.fromkeys(address for _, address in plan.to)),
            raw=raw,
            spool=None,
            size=len(raw),
            client="127.0.0.1",
            helo="inbox",
            tls="",
            authenticated=CONVERSATIONS,
            protocol="HTTP",
            wishes=Wishes(idempotency_key=key, conversation=number, words=text),
        )
        accepted = await self.accept(submission)
        message = await asyncio.to_thread(self.store.read, accepted)
        if message is not None and message.raw is not None:
            try:
                await self.followers(plan.destination, plan.sender, message, InMemory(message.raw))
            except StoreError as problem:  # the answer itself is accepted, and must not be sent again
                events.report_left_out(accepted, str(problem))
        return accepted

    def senders(self, number: ConversationId) -> list[str]:
        """As whom one may answer; the first is taken if nobody says otherwise. Blocking."""
        whole = self.store.conversations.one(number)
        return list(dict.fromkeys(self._senders(*whole))) if whole else []

    def _plan(self, number: ConversationId, wanted: str) -> _Plan:
        whole = self.store.conversations.one(number)
        if whole is None:
            raise ConfigError("there is no such conversation")
        conversation, entries = whole
        own = {normalize(each): each for each in reversed(list(self._senders(conversation, entries)))}
        sender = own.get(normalize(wanted)) if wanted else next(iter(self._senders(conversation, entries)), None)
        if sender is None:
            known = ", ".join(sorted(own.values())) or f"nobody yet: mailroom alias add ADDRESS --destination {conversation.destination}"
            raise ConfigError(f"from: one can't answer here as {wanted or 'anybody'}; there are {known}")
        last = self._last(conversation, entries)
        head = self._head(last) if last else Head()
        to = tuple(each for each in head.reply_to or head.from_ if is_deliverable(each[1]))
        to = to or (("", last.author if last else conversation.customer),)
        if not is_deliverable(to[0][1]):
            raise ConfigError(f"to: {to[0][1]!r} is no address that an answer could go to")
        named = head.references or tuple(each.header_message_id for each in entries if each.header_message_id)
        last_id = last.header_message_id if last else ""
        ids = tuple(dict.fromkeys(each for each in (*named, last_id) if each and each != last_id))
        return _Plan(
            sender=sender,
            to=to,
            subject=_answering(conversation.subject),
            in_reply_to=last_id,
            references=(*ids[-MOST_REFERENCES:], *((last_id,) if last_id else ())),
            destination=conversation.destination,
        )

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
        known = self.directory().destinations.get(conversation.destination)
        following = {normalize(each) for each in known.target.followers} if known and isinstance(known.target, InboxTarget) else set()
        came = [each for each in reversed(entries) if each.kind is EntryKind.MAIL_IN and each.author]
        return next((each for each in came if normalize(each.author) not in following), next(iter(came), None))

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


def _is_ours(directory: Directory, address: str) -> bool:
    own = {normalize(each.name) for each in directory.aliases.values()}
    own |= {normalize(each.mailbox) for each in directory.accounts.values() if each.mailbox}
    own |= {normalize(each.source.mailbox) for each in directory.incoming.values() if each.source.mailbox}
    return normalize(address) in own or domain_of(address) in directory.alias_domains


def _answering(subject: str) -> str:
    return subject if subject[:3].lower() == "re:" else f"Re: {subject}".rstrip()


def _written(plan: _Plan, text: str, html: str) -> bytes:
    """Without Date and Message-ID: `accept` adds them. Raises ConfigError."""
    body = EmailMessage(policy=_POLICY)
    body.set_content(text.rstrip("\n") + "\n")
    if html:
        body.add_alternative(html, subtype="html")
    try:
        head = [
            field("From", format_address("", plan.sender)),
            field("To", ", ".join(format_address(name, address) for name, address in plan.to)),
            text_field("Subject", plan.subject),
        ]
    except (MimeError, ValueError) as problem:
        raise ConfigError(f"no mail can be made of this: {problem}") from None
    if plan.in_reply_to:
        head += [field("In-Reply-To", plan.in_reply_to), field("References", " ".join(plan.references))]
    return b"".join(head) + body.as_bytes()
