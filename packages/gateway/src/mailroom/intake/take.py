"""The way in for mail that was fetched: what it is, where it goes and why, and then one commit.

    read the head -> look up what it may answer -> decide (`mailroom_core.policy.routing`) -> a delivery for each route -> store

What the rules place nowhere is stored all the same and waits in quarantine, with its bytes and the reason. The same message of the
same mailbox is stored once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from mailroom.accept import IN_ROW, Commit
from mailroom.intake.answers import Answers
from mailroom.intake.bounces import Applied, Bounces
from mailroom.intake.judge import Came, Judge, Judged
from mailroom.intake.onward import RETURNS
from mailroom.observe import events
from mailroom.ports import ANSWERS, Blobs, Clock, Event, NewDelivery, NewMessage, OpenBlob, Store
from mailroom_core.errors import MimeError, Refused
from mailroom_core.inbound import Head
from mailroom_core.mime.incoming import digest
from mailroom_core.mime.index import index
from mailroom_core.mime.source import ReadAt
from mailroom_core.model import DeliveryId, Kind, LaneName, MessageId, Reply, State, show_id
from mailroom_core.policy.decision import Decision, Route, Verdict, dedupe_key

QUARANTINE = LaneName("destination:")
"""The lane of what has no destination; nobody ever works on it."""
NOT_CONVERTED = "not converted"
"""The digest of a message that the mailbox alone has."""


class Known(Enum):
    """Of a message in a mailbox."""

    NOT = "not stored yet"
    SAFE = "stored, with its bytes"
    THERE = "stored without its bytes: only the mailbox has them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One message of a mailbox."""

    came: Came
    key: str
    """The mailbox; see `incoming.Source.key`."""
    remote_id: str
    """Its id there; empty: it has none, and is stored however often it comes."""
    file: Path
    """Its bytes; none there with `trouble`."""
    trouble: str = ""
    """Why the provider can't give its bytes."""
    digest: str = ""
    """Of its bytes, where another mail may come under the same id."""
    number: MessageId | None = None
    """Its id here, where it is known already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Call it with what was fetched; what it returned for is never lost."""

    store: Store
    blobs: Blobs
    opened: Callable[[Path], OpenBlob]
    ids: Callable[[], int]
    clock: Clock
    commit: Commit
    judge: Judge
    answers: Answers
    bounces: Bounces
    lifetime: timedelta

    async def knows(self, key: str, remote_id: str) -> Known:
        first = await asyncio.to_thread(self.store.first_use, key, remote_id)
        if first is None:
            return Known.NOT
        return Known.THERE if first[1] == NOT_CONVERTED else Known.SAFE

    def reports_on_us(self, fetched: Fetched) -> bool:
        """Whether it is a report about mail of ours; keeps nothing. Blocking."""
        if fetched.trouble:
            return False
        with closing(self.opened(fetched.file)) as source:
            return self.bounces.concerns_us(self.judge(source, fetched.came, self.clock()))

    async def __call__(self, fetched: Fetched) -> tuple[MessageId, Decision | None]:
        """Its id and what becomes of it; None: it was stored before.

        Raises StoreError, StoreFull, and in a session Refused: then nothing was stored.
        """
        message, decision = await asyncio.to_thread(self._message, fetched)
        duplicates = await self.commit(message)
        number = duplicates.get(message.id, message.id)
        if number != message.id:
            return number, None
        events.routed(number, fetched.came.by, decision.verdict.name.lower(), decision.why)
        return number, decision

    def _message(self, fetched: Fetched) -> tuple[NewMessage, Decision]:
        number, now = fetched.number or MessageId(self.ids()), self.clock()
        if fetched.trouble:
            judged, size, content = Judged(Head(), None, _not_converted(fetched.trouble)), 0, ""
        else:
            with closing(self.opened(fetched.file)) as source:
                judged, size = self.judge(source, fetched.came, now), source.size
                content = content_of(source, judged)
        decision = judged.decision
        if decision.verdict is Verdict.REFUSED:
            (said,) = decision.answers
            raise Refused(said.code, said.enhanced, said.text, why=decision.why)
        applied = self.bounces.applied(judged, number, now)
        head, decision = judged.head, applied.decision
        raw, blob = (None, "") if fetched.trouble else self._bytes(fetched.file, size, number)
        routed = Event(at=now, name="routed", text=_told(fetched, decision), data=_noted(applied, fetched.came))
        replies = self.answers(decision, about=number)
        unsaid = bool(decision.answers) and not replies
        deliveries = tuple(deliveries_of(applied, head, content, now, self.ids)) or (self._kept(decision, head, now, unsaid=unsaid),)
        return (
            NewMessage(
                id=number,
                accepted_at=now,
                expires_at=now + self.lifetime,
                sender=envelope.sender if (envelope := fetched.came.envelope) else head.return_path or head.sender or None,
                header_from=head.sender,
                header_message_id=head.message_id,
                subject=head.subject[:500],
                application="",
                kind=Kind.TRANSACTIONAL,
                size=size,
                raw=raw,
                blob=blob,
                deliveries=deliveries,
                events=(routed, *_held(deliveries, now)),
                idempotency_scope=fetched.key,
                idempotency_key=fetched.remote_id,
                digest=NOT_CONVERTED if fetched.trouble else fetched.digest,
                source=fetched.came.by,
                entry=applied.entry,
                replies=replies,
            ),
            decision,
        )

    def _bytes(self, file: Path, size: int, number: MessageId) -> tuple[bytes | None, str]:
        if size <= IN_ROW:
            return file.read_bytes(), ""
        name = f"{show_id(number)}.eml"
        self.blobs.keep(name, file)
        return None, name

    def _kept(self, decision: Decision, head: Head, now: datetime, *, unsaid: bool) -> NewDelivery:
        """For a person: what waits in quarantine, or what is done with. `unsaid`: an answer is due, and can't be written."""
        waits = unsaid or decision.verdict in (Verdict.QUARANTINED, Verdict.LOOP)
        return NewDelivery(
            id=DeliveryId(self.ids()),
            recipient=_first_to(head),
            server="",
            lane=QUARANTINE,
            state=State.HELD if waits else State.IGNORED,
            due_at=now,
            reply=Reply(0, f"{decision.why}; its sender has got no answer, because none can be written" if unsaid else decision.why),
        )


def _held(deliveries: Sequence[NewDelivery], now: datetime) -> Iterator[Event]:
    """For webhooks: a person has to look at it."""
    for each in deliveries:
        if each.state is State.HELD and each.reply:
            yield Event(at=now, name="held", text=f"Waits in quarantine: {each.reply.text}", delivery_id=each.id)


def content_of(source: ReadAt, judged: Judged) -> str:
    """By what a copy of what is handed over is known, besides its head; empty where none is looked for. Reads all of it."""
    if not (judged.decision.routes and judged.head.message_id):
        return ""
    try:
        return digest(source, index(source))
    except MimeError:
        return ""


def deliveries_of(applied: Applied, head: Head, content: str, now: datetime, ids: Callable[[], int]) -> Iterator[NewDelivery]:
    """To each destination, and on to whom a bounce is about; to a destination that hears of a bounce, one for each who was not reached."""
    decision = applied.decision
    for told in applied.tells:
        lane = LaneName(f"{QUARANTINE}{told.destination}")
        number = DeliveryId(ids())
        yield NewDelivery(id=number, recipient=told.recipient, server=told.destination, lane=lane, due_at=now, once=told.once)
    for each in decision.routes:
        once = dedupe_key(head, content, each) if content else ""
        yield replace(_delivery(DeliveryId(ids()), each, head, now), once=once)
    if decision.returns_to:
        yield NewDelivery(id=DeliveryId(ids()), recipient=decision.returns_to, server="", lane=RETURNS, due_at=now)


def _delivery(number: DeliveryId, found: Route, head: Head, now: datetime) -> NewDelivery:
    """To the destination of one route."""
    name = found.target.destination
    recipient = found.alias.address if found.alias else next(iter(head.delivered_to), "") or _first_to(head)
    return NewDelivery(id=number, recipient=recipient, server=name, lane=LaneName(f"{QUARANTINE}{name}"), due_at=now)


def _first_to(head: Head) -> str:
    return next((address for _, address in head.to), "")


def _not_converted(trouble: str) -> Decision:
    why = f"the provider can't give it as a mail ({trouble}); it stays in its mailbox: look at it there"
    return Decision(verdict=Verdict.QUARANTINED, why=why)


def decided(applied: Applied) -> dict[str, str]:
    """What is noted of a decision for those who hand the mail over: why it is theirs, and what it answers or reports about."""
    decision = applied.decision
    answers = next((each.known.message_id for each in decision.routes if each.known), applied.about)
    return {"verdict": decision.verdict.name} | ({ANSWERS: answers} if answers else {})


def _told(fetched: Fetched, decision: Decision) -> str:
    came = fetched.came
    how = f"Fetched by {came.by}" if came.envelope is None else f"Handed over by {came.by}"
    return f"{how}; {decision.verdict.value}, because {decision.why}"


def _noted(applied: Applied, came: Came) -> Mapping[str, str]:
    """What was decided, and what the rules need to decide once more, besides the bytes."""
    noted = decided(applied)
    if came.conversation:
        noted |= {"conversation_id": came.conversation}
    if came.envelope is not None:
        noted |= {"recipients": " ".join(came.envelope.recipients), "authserv_id": came.authserv_id, "fallback": came.fallback}
    return noted
