"""THE way in: whatever takes mail from somebody hands it to `Accept`, and what `Accept` returned for is never lost.

    read the head -> may they? -> does it loop? -> choose the server -> can it carry the mail? -> complete the head -> store

Many callers share one commit (`batching.GroupCommit`).
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path

from mailroom.carrying import check_count, check_size, check_text, is_taken_apart
from mailroom.conversations import ConversationId, Entry, EntryKind
from mailroom.notices import facts_of
from mailroom.objects import Application, Directory, Suppression
from mailroom.observe import events
from mailroom.ports import Blobs, Clock, Event, NewDelivery, NewMessage, Store
from mailroom.way_out import Plan, check_senders, choose
from mailroom_core.errors import Refused, StoreError, StoreFull
from mailroom_core.mime.complete import complete
from mailroom_core.mime.headers import Fields
from mailroom_core.model import DeliveryId, Envelope, Kind, MessageId, Reply, State, show_id
from mailroom_core.policy.addresses import normalize

IN_ROW = 256 * 1024
"""Up to this size the bytes go into the same transaction; above it into the blob store."""
HEAD = 256 * 1024
"""A head that is longer is no head."""
MOST_HOPS = 50
"""Received fields (RFC 5321 6.3 asks for at least 100 to be allowed where loops are not found otherwise; Odoo's mail has 1 to 5)."""
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What can be asked for by HTTP alone."""

    send_at: datetime | None = None
    """Not before then; its lifetime begins there."""
    kind: Kind | None = None
    """None: what the application or the mail says. An application for bulk mail sends nothing else."""
    tags: tuple[str, ...] = ()
    idempotency_key: str = ""
    digest: str = ""
    plan: Plan | None = None
    """By which server and as whom; None: the rules choose."""
    conversation: ConversationId | None = None
    """It stands there from the moment it is accepted, with these words."""
    words: str = ""


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A whole mail with its envelope, as a listener or the API hands it over. Exactly one of `raw` and `spool` carries the bytes."""

    application: Application
    sender: str | None
    """None is the null reverse-path."""
    recipients: tuple[str, ...]
    raw: bytes | None
    """Up to 256 KiB."""
    spool: Path | None
    """A finished file, not yet synced. It may be moved away; if it is still there afterwards, the listener removes it."""
    size: int
    client: str
    """Its address."""
    helo: str
    tls: str
    """`TLSv1.3`, for example; empty without TLS."""
    authenticated: str
    """The user of AUTH; empty for a network or a certificate."""
    protocol: str = "ESMTP"
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What we are called and how long we try."""

    hostname: str
    lifetime: timedelta


Commit = Callable[[NewMessage], Awaitable[Mapping[MessageId, MessageId]]]


def write(store: Store, batch: Sequence[NewMessage]) -> Mapping[MessageId, MessageId]:
    """What a group commit does: one look at the suppressions and one transaction for the whole batch. Blocking."""
    leaving = [message for first in batch for message in (first, *first.replies) if not message.source]
    recipients = {normalize(delivery.recipient) for message in leaving for delivery in message.deliveries}
    suppressed = store.suppressed(sorted(recipients))
    return store.put([_without_suppressed(message, suppressed) for message in batch] if suppressed else batch)


def _without_suppressed(message: NewMessage, suppressed: Mapping[str, Suppression]) -> NewMessage:
    """A suppressed recipient is accepted and fails visibly, without a DSN: a sender must not be able to find out by trying. What came in
    goes to programs of ours, whatever address it was written to."""
    deliveries, failures = [], []
    for delivery in message.deliveries:
        if not message.source and (found := suppressed.get(normalize(delivery.recipient))):
            reply = Reply(550, f"this address gets no more mail from here: {found.reason}", "5.1.1")
            text = f"Failed at once: {reply}"
            failures.append(Event(at=message.accepted_at, name="failed", text=text, delivery_id=delivery.id, data=facts_of(reply)))
            delivery = replace(delivery, state=State.FAILED, reply=reply)
        deliveries.append(delivery)
    replies = tuple(_without_suppressed(reply, suppressed) for reply in message.replies)
    return replace(message, deliveries=tuple(deliveries), events=(*message.events, *failures), replies=replies)


class Accept:
    """Call it with a submission; it returns the message's id after the commit. Raises Refused."""

    def __init__(
        self,
        *,
        blobs: Blobs,
        directory: Callable[[], Directory],
        ids: Callable[[], int],
        clock: Clock,
        commit: Commit,
        notify: Callable[[], None],
        house: House,
    ) -> None:
        self._blobs = blobs
        self._directory = directory
        self._ids = ids
        self._clock = clock
        self._commit = commit
        self._notify = notify
        self._house = house
        self._taken: dict[str, deque[datetime]] = {}

    async def __call__(self, submission: Submission) -> MessageId:
        submission = _each_once(submission)
        head = _head_of(submission)
        fields = Fields(head)
        _check_head(fields, read=len(head), size=submission.size)
        header_from = _header_from(fields, submission.sender)
        check_senders(submission.application, submission.sender, header_from, fields)
        self._check_rate(submission.application)
        _check_loop(fields)
        plan = self._plan(submission, fields, header_from)
        message = await self._message(submission, fields, plan)
        try:
            duplicates = await self._commit(message)
        except StoreFull as problem:
            events.store_trouble(str(problem))
            raise Refused(452, "4.3.1", "No space left here; try again later", why=str(problem)) from None
        except StoreError as problem:
            events.store_trouble(str(problem))
            raise Refused(451, "4.3.0", "The mail could not be stored; try again later", why=str(problem)) from None
        self._notify()
        number = duplicates.get(message.id, message.id)
        events.accepted(number, submission.application.name, submission.size, len(submission.recipients), plan.server.name)
        return number

    def _check_rate(self, application: Application) -> None:
        """Mails per minute of one application, in any minute; this process alone accepts on its ports."""
        if not application.per_minute:
            return
        now = self._clock()
        taken = self._taken.setdefault(application.name, deque())
        while taken and taken[0] <= now - MINUTE:
            taken.popleft()
        if len(taken) >= application.per_minute:
            text = f"{application.name} may send {application.per_minute} mails a minute; try again in a minute"
            raise Refused(450, "4.7.1", text)
        taken.append(now)

    def _plan(self, submission: Submission, fields: Fields, header_from: str) -> Plan:
        wishes = submission.wishes
        plan = wishes.plan or choose(self._directory(), submission.application, fields, header_from, wishes.kind)
        check_count(plan.server, len(submission.recipients))
        return plan

    async def _message(self, submission: Submission, fields: Fields, plan: Plan) -> NewMessage:
        number = MessageId(self._ids())
        now = self._clock()
        wishes = submission.wishes
        due_at = max(wishes.send_at or now, now)
        envelope = Envelope(submission.sender, submission.recipients)
        message_id = f"<{show_id(number)}@{self._house.hostname}>"
        prefix = complete(fields, envelope, now=now, new_message_id=message_id, received=self._received(submission, number, now))
        size = len(prefix) + submission.size
        check_size(self._directory(), plan.server, fields, size)
        if is_taken_apart(plan.server, size):
            await asyncio.to_thread(check_text, prefix, submission.raw, submission.spool, envelope, plan.rewrite_from)
        raw, blob = await self._bytes(submission, prefix, number)
        return NewMessage(
            id=number,
            accepted_at=now,
            expires_at=due_at + self._house.lifetime,
            sender=submission.sender,
            header_from=plan.header_from,
            header_message_id=fields.get("message-id") or message_id,
            subject=(fields.get("subject") or "")[:500],
            application=submission.application.name,
            kind=plan.kind,
            size=size,
            rewrite_from=plan.rewrite_from,
            raw=raw,
            blob=blob,
            deliveries=tuple(self._delivery(recipient, plan, due_at) for recipient in submission.recipients),
            events=(Event(at=now, name="accepted", text=f"Accepted from {submission.application.name}; {plan.why}"),),
            idempotency_key=wishes.idempotency_key,
            digest=wishes.digest,
            tags=wishes.tags,
            entry=_entry(wishes, number, now, submission.sender or plan.header_from, fields.get("message-id") or message_id),
        )

    def _delivery(self, recipient: str, plan: Plan, due_at: datetime) -> NewDelivery:
        return NewDelivery(id=DeliveryId(self._ids()), recipient=recipient, server=plan.server.name, lane=plan.lane, due_at=due_at)

    async def _bytes(self, submission: Submission, prefix: bytes, number: MessageId) -> tuple[bytes | None, str]:
        if submission.raw is not None:
            return prefix + submission.raw, ""
        name = f"{show_id(number)}.eml"
        try:
            await asyncio.to_thread(_keep, self._blobs, name, prefix, submission)
        except OSError as problem:
            events.store_trouble(str(problem))
            raise Refused(452, "4.3.1", "No space left here; try again later", why=str(problem)) from None
        return None, name

    def _received(self, submission: Submission, number: MessageId, now: datetime) -> str:
        # RFC 5321 4.4; the protocol names are RFC 3848's.
        smtp = submission.protocol == "ESMTP"
        protocol = submission.protocol + ("S" if submission.tls else "") + ("A" if smtp and submission.authenticated else "")
        return (
            f"from {submission.helo or 'unknown'} ([{submission.client}])\r\n\tby {self._house.hostname} (Mailroom)"
            f" with {protocol} id {show_id(number)};\r\n\t{_date(now.replace(microsecond=0))}"
        )


def _entry(wishes: Wishes, number: MessageId, now: datetime, author: str, name: str) -> tuple[ConversationId, Entry] | None:
    """What a conversation shows of the mail."""
    if wishes.conversation is None:
        return None
    shown = Entry(kind=EntryKind.MAIL_OUT, at=now, author=author, text=wishes.words, message_id=number, header_message_id=name)
    return wishes.conversation, shown


_date = lru_cache(maxsize=2)(format_datetime)
"""Under load many mails come in one second."""


def _each_once(submission: Submission) -> Submission:
    """An address that is named twice is one recipient."""
    once: dict[str, str] = {}
    for each in submission.recipients:
        once.setdefault(normalize(each), each)
    return submission if len(once) == len(submission.recipients) else replace(submission, recipients=tuple(once.values()))


def _head_of(submission: Submission) -> bytes:
    if submission.raw is not None:
        return submission.raw
    assert submission.spool is not None
    with submission.spool.open("rb") as file:
        return file.read(HEAD)


def _header_from(fields: Fields, sender: str | None) -> str:
    address = next((address for _, address in fields.addresses("from")), "") or sender or ""
    if not address:
        raise Refused(550, "5.6.0", "The mail has no From field and no envelope sender; give it one of them")
    return address


def _check_head(fields: Fields, *, read: int, size: int) -> None:
    """Behind a broken line some readers go on looking for fields, and all do behind what we have read: there a From could hide that
    nobody has checked."""
    if fields.end == read < size:
        raise Refused(552, "5.3.4", f"The head of the mail is longer than {read} bytes; leave out header fields")
    if fields.defect and fields.body_start:
        raise Refused(550, "5.6.0", f"The mail can't be taken: {fields.defect}")


def _check_loop(fields: Fields) -> None:
    hops = fields.count("received")
    if hops > MOST_HOPS:
        raise Refused(554, "5.4.6", f"The mail has passed {hops} servers; it seems to go round in circles")


def _keep(blobs: Blobs, name: str, prefix: bytes, submission: Submission) -> None:
    """Blocking: the completed mail as a blob, synced when this returns."""
    assert submission.spool is not None
    whole = submission.spool.with_suffix(".whole")
    try:
        handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as target, submission.spool.open("rb") as source:
            target.write(prefix)
            target.flush()
            left = submission.size
            while left > 0 and (copied := os.copy_file_range(source.fileno(), target.fileno(), left)):
                left -= copied
            if left:
                raise OSError(f"{submission.spool} has {left} bytes less than were received")
        blobs.keep(name, whole)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise
