"""The way in for mail that was fetched: what it is, where it goes and why, and then one commit.

    read the head -> look up what it may answer -> decide (`mailroom_core.policy.routing`) -> a delivery for each route -> store

What the rules place nowhere is stored all the same and waits in quarantine, with its bytes and the reason. The same message of the
same mailbox is stored once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from mailroom.accept import IN_ROW, Commit
from mailroom.intake.answers import Answers
from mailroom.intake.bounces import Bounces
from mailroom.intake.lookup import Lookup, tables_of
from mailroom.objects import Directory, IncomingServer
from mailroom.observe import events
from mailroom.ports import Blobs, Clock, Event, NewDelivery, NewMessage, OpenBlob, Store
from mailroom_core.errors import MimeError
from mailroom_core.inbound import Head, Report
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.index import index
from mailroom_core.model import DeliveryId, Kind, LaneName, MessageId, Remote, Reply, State, show_id
from mailroom_core.policy.aliases import Target
from mailroom_core.policy.decision import Arrival, Decision, Route, Settings, Verdict
from mailroom_core.policy.routing import route

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

    server: IncomingServer
    key: str
    """The mailbox; see `incoming.Source.key`."""
    remote: Remote
    file: Path
    """Its bytes; none there with `trouble`."""
    trouble: str = ""
    """Why the provider can't give its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Call it with what was fetched; what it returned for is never lost."""

    store: Store
    blobs: Blobs
    opened: Callable[[Path], OpenBlob]
    directory: Callable[[], Directory]
    ids: Callable[[], int]
    clock: Clock
    commit: Commit
    lookup: Lookup
    answers: Answers
    bounces: Bounces
    settings: Settings
    lifetime: timedelta

    async def knows(self, key: str, remote_id: str) -> Known:
        first = await asyncio.to_thread(self.store.first_use, key, remote_id)
        if first is None:
            return Known.NOT
        return Known.THERE if first[1] == NOT_CONVERTED else Known.SAFE

    async def __call__(self, fetched: Fetched) -> MessageId:
        """Raises StoreError, StoreFull; then nothing was stored."""
        message, decision, after = await asyncio.to_thread(self._message, fetched)
        duplicates = await self.commit(message)
        number = duplicates.get(message.id, message.id)
        if number == message.id:
            events.routed(number, fetched.server.name, decision.verdict.name.lower(), decision.why)
            for said in decision.answers:
                await self.answers(said, about=number)
            if after is not None:
                await asyncio.to_thread(after, number)
        return number

    def _message(self, fetched: Fetched) -> tuple[NewMessage, Decision, Callable[[MessageId], None] | None]:
        number, now = MessageId(self.ids()), self.clock()
        after = None
        if fetched.trouble:
            head, decision, size = Head(), _not_converted(fetched.trouble), 0
        else:
            with closing(self.opened(fetched.file)) as source:
                found, report = _read(source, fetched.server.authserv_id)
                head = found if isinstance(found, Head) else Head()
                decision = self._decided(head, report, fetched, now) if isinstance(found, Head) else found
                size = source.size
            if report is not None and decision.verdict is Verdict.BOUNCE:
                decision, after = self._came_back(decision, report, head, now)
        raw, blob = (None, "") if fetched.trouble else self._bytes(fetched.file, size, number)
        deliveries = tuple(self._delivery(each, head, now) for each in decision.routes) or (self._kept(decision, head, now),)
        return (
            NewMessage(
                id=number,
                accepted_at=now,
                expires_at=now + self.lifetime,
                sender=head.return_path or head.sender or None,
                header_from=head.sender,
                header_message_id=head.message_id,
                subject=head.subject[:500],
                application="",
                kind=Kind.TRANSACTIONAL,
                size=size,
                raw=raw,
                blob=blob,
                deliveries=deliveries,
                events=(Event(at=now, name="routed", text=_told(fetched, decision), data={"verdict": decision.verdict.name}),),
                idempotency_scope=fetched.key,
                idempotency_key=fetched.remote.remote_id,
                digest=NOT_CONVERTED if fetched.trouble else "",
                source=fetched.server.name,
            ),
            decision,
            after,
        )

    def _came_back(
        self, decision: Decision, report: Report, head: Head, now: datetime
    ) -> tuple[Decision, Callable[[MessageId], None] | None]:
        abouts = self.bounces(report, head, now)
        if not abouts:
            why = f"{decision.why}, and no mail that left here is meant"
            return replace(decision, verdict=Verdict.QUARANTINED, why=why), None
        return decision, lambda number: self.bounces.note(number, report, abouts, head, now)

    def _decided(self, head: Head, report: Report | None, fetched: Fetched, now: datetime) -> Decision:
        directory, server = self.directory(), fetched.server
        fallback = Target(server.destination) if server.destination else None
        arrival = Arrival(fallback=fallback, conversation=fetched.remote.conversation_id)
        tables = tables_of(directory)
        facts = self.lookup(head, arrival, tables, directory, now)
        return route(head, arrival, tables, facts, self.settings, report)

    def _bytes(self, file: Path, size: int, number: MessageId) -> tuple[bytes | None, str]:
        if size <= IN_ROW:
            return file.read_bytes(), ""
        name = f"{show_id(number)}.eml"
        self.blobs.keep(name, file)
        return None, name

    def _delivery(self, found: Route, head: Head, now: datetime) -> NewDelivery:
        name = found.target.destination
        recipient = found.alias.address if found.alias else next(iter(head.delivered_to), "") or _first_to(head)
        return NewDelivery(id=DeliveryId(self.ids()), recipient=recipient, server=name, lane=LaneName(f"destination:{name}"), due_at=now)

    def _kept(self, decision: Decision, head: Head, now: datetime) -> NewDelivery:
        """For a person: what waits in quarantine, or what is done with."""
        waits = decision.verdict in (Verdict.QUARANTINED, Verdict.LOOP)
        return NewDelivery(
            id=DeliveryId(self.ids()),
            recipient=_first_to(head),
            server="",
            lane=QUARANTINE,
            state=State.HELD if waits else State.IGNORED,
            due_at=now,
            reply=Reply(0, decision.why),
        )


def _read(source: OpenBlob, authserv_id: str) -> tuple[Head | Decision, Report | None]:
    """What a mail says of itself, and of mail of ours; a decision if it can't be read at all."""
    try:
        head = read_head_of(source, authserv_id=authserv_id)
    except MimeError as problem:
        return Decision(verdict=Verdict.QUARANTINED, why=f"it can't be read: {problem}"), None
    try:
        return head, read_report(source, index(source), head)
    except MimeError:
        return head, None


def _first_to(head: Head) -> str:
    return next((address for _, address in head.to), "")


def _not_converted(trouble: str) -> Decision:
    why = f"the provider can't give it as a mail ({trouble}); it stays in its mailbox: look at it there"
    return Decision(verdict=Verdict.QUARANTINED, why=why)


def _told(fetched: Fetched, decision: Decision) -> str:
    return f"Fetched by {fetched.server.name}; {decision.verdict.value}, because {decision.why}"
