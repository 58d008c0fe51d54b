"""What we say by ourselves to who wrote to us: from the null sender, so that nothing answers it (RFC 3834).

It leaves through a server that keeps the null sender and `Auto-Submitted`; where there is none, through Graph, and then the rules'
limit of a few answers to one address is what keeps two machines from talking to each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP

from mailroom.accept import Commit, lane_of, notification_address
from mailroom.objects import Directory, GraphRoute, OutgoingServer, SinkRoute
from mailroom.observe import events
from mailroom.ports import Clock, Event, NewDelivery, NewMessage
from mailroom_core.errors import StoreError
from mailroom_core.mime.headers import format_address
from mailroom_core.model import DeliveryId, Kind, MessageId, show_id
from mailroom_core.policy.answers import Answer, answer_id

OURS = "mailroom"
"""The application of what we write ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Writes the answers of one gateway."""

    directory: Callable[[], Directory]
    ids: Callable[[], int]
    clock: Clock
    commit: Commit
    hostname: str
    lifetime: timedelta

    async def __call__(self, said: Answer, *, about: MessageId) -> None:
        """An answer that can't be written or stored is told in the log; the mail that it is about is safe all the same."""
        server = self._way()
        if server is None:
            events.report_left_out(about, "no outgoing server can carry an answer")
            return
        try:
            await self.commit(await asyncio.to_thread(self._message, said, about, server))
        except StoreError as problem:
            events.report_left_out(about, str(problem))

    def _way(self) -> OutgoingServer | None:
        """A server that keeps the null sender first."""
        real = [s for s in self.directory().servers.values() if s.active and s.transactional and not isinstance(s.route, SinkRoute)]
        return min(real, key=lambda s: (isinstance(s.route, GraphRoute), s.priority, s.name), default=None)

    def _message(self, said: Answer, about: MessageId, server: OutgoingServer) -> NewMessage:
        number, now = MessageId(self.ids()), self.clock()
        directory = self.directory()
        sender = _sender(directory, server) or f"MAILER-DAEMON@{self.hostname}"
        message_id = answer_id(show_id(number), self.hostname)
        raw = _written(said, sender, message_id, now)
        return NewMessage(
            id=number,
            accepted_at=now,
            expires_at=now + self.lifetime,
            sender=None,
            header_from=sender,
            header_message_id=message_id,
            subject=said.subject[:500],
            application=OURS,
            kind=Kind.TRANSACTIONAL,
            size=len(raw),
            raw=raw,
            deliveries=(
                NewDelivery(
                    id=DeliveryId(self.ids()),
                    recipient=said.to,
                    server=server.name,
                    lane=lane_of(directory, server, sender),
                    due_at=now,
                ),
            ),
            events=(Event(at=now, name="accepted", text=f"An answer of ours to {show_id(about)}: {said.text}"),),
        )


def _sender(directory: Directory, server: OutgoingServer) -> str:
    """Through Graph the mailbox itself, which always may; everybody else takes what is customary."""
    if isinstance(server.route, GraphRoute):
        account = directory.accounts.get(server.route.account)
        own = server.route.mailbox or (account.mailbox if account else "")
        if "@" in own:
            return own
    return notification_address(next(iter(directory.alias_domains.values()), None))


def _written(said: Answer, sender: str, message_id: str, now: datetime) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = format_address("Mail delivery", sender)
    mail["To"] = said.to
    mail["Subject"] = said.subject
    mail["Date"] = now
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-replied"
    mail["X-Auto-Response-Suppress"] = "All"
    if said.references:
        mail["In-Reply-To"] = said.references[0]
        mail["References"] = " ".join((*said.references, message_id) if said.kind.marked else said.references)
    mail.set_content(f"{said.text}\n")
    return mail.as_bytes()
