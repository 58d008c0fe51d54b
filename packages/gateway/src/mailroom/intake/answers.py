"""What we say by ourselves to who wrote to us: from the null sender, so that nothing answers it (RFC 3834).

It leaves through a server that keeps the null sender and `Auto-Submitted`; where there is none, through Graph, and then the rules'
limit of a few answers to one address is what keeps two machines from talking to each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from mailroom.objects import Directory, GraphRoute, OutgoingServer, SinkRoute
from mailroom.observe import events
from mailroom.ports import Clock, Event, NewDelivery, NewMessage
from mailroom.way_out import lane_of, notification_address
from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import field, format_address, text_field
from mailroom_core.model import DeliveryId, Kind, MessageId, show_id
from mailroom_core.policy.answers import Answer, answer_id
from mailroom_core.policy.decision import Decision

OURS = "mailroom"
"""The application of what we write ourselves."""
ANSWERED = "answered"
"""The scope in which the id of a mail and who is answered name an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Writes the answers of one gateway."""

    directory: Callable[[], Directory]
    ids: Callable[[], int]
    clock: Clock
    hostname: str
    lifetime: timedelta

    def __call__(self, decision: Decision, *, about: MessageId) -> tuple[NewMessage, ...]:
        """What a decision wants said, to be stored with the mail that it is about: once, however often that is judged."""
        return tuple(made for said in decision.answers if (made := self._made(said, about)) is not None)

    def _made(self, said: Answer, about: MessageId) -> NewMessage | None:
        """What can't be written is told in the log; the mail that it is about must be stored all the same."""
        server = self._way()
        try:
            if server is not None:
                return self._message(said, about, server)
            why = "no outgoing server can carry an answer"
        except MimeError as problem:
            why = f"no answer can be written: {problem}"
        events.report_left_out(about, why)
        return None

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
            idempotency_scope=ANSWERED,
            idempotency_key=f"{show_id(about)} {said.to}",
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
    """Raises MimeError for what can't stand in a head."""
    head = [
        field("From", format_address("Mail delivery", sender)),
        field("To", format_address("", said.to)),
        text_field("Subject", said.subject),
        field("Date", format_datetime(now)),
        field("Message-ID", message_id),
        field("Auto-Submitted", "auto-replied"),
        field("X-Auto-Response-Suppress", "All"),
    ]
    if said.references:
        references = (*said.references, message_id) if said.kind.marked else said.references
        head += [field("In-Reply-To", said.references[0]), field("References", " ".join(references))]
    body = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    body.set_content(f"{said.text}\n")
    return b"".join(head) + body.as_bytes()
