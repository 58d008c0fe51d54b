"""A mail that came in as its destination gets it: our ids put back, the envelope's recipients named, and a Message-ID in any case.

A destination knows a mail by its Message-ID when it is handed over again, so one that has none gets one, the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mailroom.ports import ANSWERS, Event, Job, Message, Store
from mailroom_core.errors import MimeError
from mailroom_core.inbound import Head
from mailroom_core.mime.headers import field
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.restore import restored
from mailroom_core.mime.source import ReadAt, Streamed
from mailroom_core.model import show_id
from mailroom_core.policy.addresses import is_deliverable

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Handed:
    """What a destination gets of one mail. `answers` is the mail of ours that it answers."""

    head: Head
    mail: Streamed
    recipients: tuple[str, ...]
    answers: Message | None
    ids: Mapping[str, str]
    """What the provider calls mails of ours -> our own Message-IDs."""


def handed(job: Job, store: Store) -> Handed:
    """What can't be read is handed over as it is. Blocking. Raises StoreError."""
    recipients = tuple(dict.fromkeys(address for address in job.recipients.values() if is_deliverable(address)))
    try:
        head = read_head_of(job.source)
    except MimeError:
        return Handed(Head(), as_it_is(job.source), recipients, None, {})
    found = found_to_answer(job, store)
    names = (*head.ids, *((found,) if found else ()))
    ours = store.sent_as(names) if names else {}
    answers = next((ours[name] for name in names if name in ours), None)
    ids = {name: message.header_message_id for name, message in ours.items() if message.header_message_id}
    try:
        mail = restored(job.source, ids, answers=found, delivered_to=recipients)
    except MimeError:
        mail = as_it_is(job.source)
    if not head.message_id:
        head = replace(head, message_id=f"<{show_id(job.message.id)}@mailroom.invalid>")
        mail = _after(field("Message-ID", head.message_id), mail)
    return Handed(head, mail, recipients, answers, ids)


def decision_on(job: Job, store: Store) -> Event | None:
    """The last one, because of which it is handed over. Blocking. Raises StoreError."""
    story = store.story(job.message.id)
    return story.routed[-1] if story and story.routed else None


def found_to_answer(job: Job, store: Store) -> str:
    """The Message-ID of the mail of ours that the rules took it for an answer to, also by the provider's conversation alone."""
    decision = decision_on(job, store)
    return decision.data.get(ANSWERS, "") if decision else ""


def as_it_is(source: ReadAt) -> Streamed:
    def chunks() -> Iterator[bytes]:
        return (source.read_at(offset, CHUNK) for offset in range(0, source.size, CHUNK))

    return Streamed(source.size, chunks)


def _after(first: bytes, mail: Streamed) -> Streamed:
    def chunks() -> Iterator[bytes]:
        yield first
        yield from mail.chunks()

    return Streamed(len(first) + mail.length, chunks)
