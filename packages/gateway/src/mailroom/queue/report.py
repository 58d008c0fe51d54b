"""Who hears of a failure: the envelope sender, by a delivery status notification (RFC 3464) that is stored with the outcome.

Never an answer to the null sender (RFC 5321 6.1), so a report never gives rise to another one. The sender was checked when the
mail came in, so nobody is written to who did not send it. A report wants the null sender and `Auto-Submitted`, which Microsoft
Graph does not keep: it leaves through a smarthost, or, where there is none, through Graph to our own domains only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta

from mailroom.null_sender import carrier
from mailroom.objects import Directory, GraphRoute, OutgoingServer, Suppression
from mailroom.observe import events
from mailroom.ports import Blobs, Clock, DeliveryResult, Event, Message, NewDelivery, NewMessage, Settled, Work
from mailroom.way_out import lane_of, notification_address
from mailroom_core.errors import MimeError, StoreError
from mailroom_core.mime.dsn import Report, dsn
from mailroom_core.model import DeliveryId, Kind, MessageId, Reply, State, show_id
from mailroom_core.policy.addresses import domain_of, normalize

HEAD = 64 * 1024


class _LeftOut(Exception):
    """Why there is no report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Writes the reports of one gateway."""

    directory: Callable[[], Directory]
    blobs: Blobs
    suppressed: Callable[[Sequence[str]], Mapping[str, Suppression]]
    """Those of some normalized addresses that get nothing more from us."""
    ids: Callable[[], int]
    clock: Clock
    hostname: str
    lifetime: timedelta
    returns_to: Callable[[str], str] = lambda sender: ""
    """Whom a forwarded mail came from, by its envelope sender of ours; empty if it is none."""

    def add(self, settled: Settled, work: Work) -> Settled:
        """The same end of an attempt, with the report that its failures give rise to."""
        return replace(settled, replies=(*settled.replies, *self.reports(work, settled.deliveries)))

    def reports(self, work: Work, results: Sequence[DeliveryResult]) -> tuple[NewMessage, ...]:
        """At most one report about those of the recipients that have failed for good. Never raises what the store or the mail may
        be to blame for: an outcome is kept without its report rather than not at all."""
        recipients = {delivery.id: delivery.recipient for delivery in work.deliveries}
        failed = [
            Report(recipients[result.id], result.reply or Reply(0, "no reason is known"))
            for result in results
            if result.state is State.FAILED and result.id in recipients
        ]
        sender = work.message.sender and (self.returns_to(work.message.sender) or work.message.sender)
        if not failed or not sender:
            return ()
        try:
            return (self._message(work.message, sender, failed, self._way_back(sender)),)
        except (_LeftOut, MimeError, StoreError) as problem:
            events.report_left_out(work.message.id, str(problem))
            return ()

    def _way_back(self, sender: str) -> OutgoingServer:
        """Raises _LeftOut."""
        if self.suppressed([normalize(sender)]):
            raise _LeftOut("its sender is suppressed")
        server = carrier(self.directory(), sender)
        if server is None:
            raise _LeftOut("no server can carry a report to a domain that is not ours")
        return server

    def _message(self, about: Message, sender: str, failed: list[Report], server: OutgoingServer) -> NewMessage:
        number, now = MessageId(self.ids()), self.clock()
        from_address = self._from(about, server)
        message_id = f"<{show_id(number)}@{self.hostname}>"
        raw = dsn(
            reports=failed,
            original=self._head(about),
            arrived=about.accepted_at,
            reporting_mta=self.hostname,
            from_address=from_address,
            to=sender,
            message_id=message_id,
            now=now,
        )
        lane = lane_of(self.directory(), server, from_address)
        return NewMessage(
            id=number,
            accepted_at=now,
            expires_at=now + self.lifetime,
            sender=None,
            header_from=from_address,
            header_message_id=message_id,
            subject=f"Delivery report for {show_id(about.id)}",
            application="mailroom",
            kind=Kind.TRANSACTIONAL,
            size=len(raw),
            raw=raw,
            deliveries=(NewDelivery(id=DeliveryId(self.ids()), recipient=sender, server=server.name, lane=lane, due_at=now),),
            events=(Event(at=now, name="accepted", text=f"A report of ours about {show_id(about.id)}"),),
        )

    def _from(self, about: Message, server: OutgoingServer) -> str:
        """Graph wants a mailbox of the domain; everybody else takes what is customary."""
        domain = self.directory().alias_domains.get(domain_of(about.header_from))
        if isinstance(server.route, GraphRoute):
            return notification_address(domain) or about.header_from
        return f"MAILER-DAEMON@{domain.name if domain else self.hostname}"

    def _head(self, about: Message) -> bytes:
        """Nothing if its bytes are not there any more."""
        if about.raw is not None:
            return about.raw[:HEAD]
        try:
            with closing(self.blobs.open(about.blob)) as blob:
                return blob.read_at(0, HEAD)
        except (StoreError, OSError):
            return b""
