"""Mail that came in goes on by mail: what a destination forwards, and the bounces of that, back to whom it came from.

A forwarded mail has an envelope sender of ours (SRS), so that SPF passes and its bounces come back to us; we pass those on, and nothing
else. Its From stays where receivers will still believe it (`mailroom_core.policy.forwarding`), and names us where they won't. It bears
our mark: what comes back to us goes to nobody. Both are transports, and hand in what they send under the id of the mail that came, so
that a lost end of an attempt is tried again and stores nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from mailroom.accept import Wishes
from mailroom.intake.answers import OURS
from mailroom.intake.handing_in import Accepts, hand_in
from mailroom.intake.judge import Back
from mailroom.intake.lookup import Lookup, tables_of
from mailroom.mailboxes import address_of
from mailroom.null_sender import carrier
from mailroom.objects import AliasDomain, Application, Directory, GraphInbox, GraphRoute
from mailroom.ports import Clock, Job, Message, Remember
from mailroom.transports.ways import FORWARD, RETURN, not_ours, way_of
from mailroom.way_out import Plan, choose, kind_of, lane_of, notification_address, usable
from mailroom_core.errors import MimeError, Refused, StoreError
from mailroom_core.inbound import LOOP_HEADER, Head
from mailroom_core.mime.headers import Fields, field, format_address
from mailroom_core.mime.incoming import read_head_of, signing_domains
from mailroom_core.mime.index import MAX_HEAD
from mailroom_core.mime.rewrite import replace_fields
from mailroom_core.model import Deferred, DeliveryId, Failed, Held, Kind, LaneName, MessageId, Outcome, Reply, Sent, show_id
from mailroom_core.policy import servers, srs
from mailroom_core.policy.addresses import domain_of, normalize
from mailroom_core.policy.forwarding import why_rewritten

FORWARDED = "forward:"
"""What the application of forwarded mail begins with; its destination follows."""
MX = "smtp:mx"
"""By whom mail comes that we have looked at ourselves."""
RETURNS = LaneName("return:")
"""The lane of bounces that go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """What both need."""

    directory: Callable[[], Directory]
    accept: Accepts
    spool: Path
    mark: str
    mac: srs.Mac
    clock: Clock
    authserv_id: str = ""
    """Under which name our MX writes Authentication-Results."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A destination that is a list of addresses."""

    name: str
    to: tuple[str, ...]
    onward: Onward

    @property
    def way(self) -> str:
        return FORWARD

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        return dict.fromkeys(job.recipients, await _outcome(self._forwarded(job), f"forwarded to {', '.join(self.to)}"))

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "it is forwarded again, unless it was"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == FORWARD else not_ours(job))

    async def close(self) -> None: ...

    async def _forwarded(self, job: Job) -> MessageId | Held:
        onward, directory = self.onward, self.onward.directory()
        domain = _domain(directory, job.recipients.values())
        if domain is None:
            return Held(Reply(0, "no alias domain can be the sender of what is forwarded; add one, then retry it"))
        head, fields = await asyncio.to_thread(_head, job, directory, onward.authserv_id)
        application = Application(name=f"{FORWARDED}{self.name}", alias_domain=domain.name)
        marks = b"".join(field(LOOP_HEADER, each) for each in (*head.loop_marks, onward.mark))
        mail = replace_fields(job.source, lambda fields: {"return-path": b"", "bcc": b"", LOOP_HEADER.lower(): marks})
        return await hand_in(
            onward.accept,
            onward.spool,
            mail,
            application=application,
            sender=_sender(head, job.message, directory, domain, onward),
            recipients=self.to,
            helo="forward",
            wishes=Wishes(idempotency_key=show_id(job.message.id), plan=_plan(directory, application, domain, job.message, head, fields)),
        )


@dataclass(frozen=True, slots=True)
class Return:
    """Bounces of what was forwarded, to its sender."""

    onward: Onward

    @property
    def way(self) -> str:
        return RETURN

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        recipients = tuple(dict.fromkeys(job.recipients.values()))
        return dict.fromkeys(job.recipients, await _outcome(self._returned(job, recipients), f"passed on to {', '.join(recipients)}"))

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "it is passed on again, unless it was"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == RETURN else not_ours(job))

    async def close(self) -> None: ...

    async def _returned(self, job: Job, recipients: tuple[str, ...]) -> MessageId | Held:
        directory = self.onward.directory()
        server = carrier(directory, recipients[0])
        if server is None:
            return Held(
                Reply(0, "no server can carry a mail from the null sender to a domain that is not ours; add a smarthost, then retry")
            )
        marks = field(LOOP_HEADER, self.onward.mark)
        mail = replace_fields(job.source, lambda fields: {"return-path": b"", LOOP_HEADER.lower(): marks})
        sender = job.message.header_from
        plan = Plan(
            server=server,
            lane=lane_of(directory, server, sender),
            kind=Kind.TRANSACTIONAL,
            header_from=sender,
            rewrite_from="",
            why=f"leaves through {server.name!r}, as a bounce that goes on ({show_id(job.message.id)})",
        )
        return await hand_in(
            self.onward.accept,
            self.onward.spool,
            mail,
            application=Application(name=OURS),
            sender=None,
            recipients=recipients,
            helo="return",
            wishes=Wishes(idempotency_key=f"return {show_id(job.message.id)}", plan=plan),
        )


async def _outcome(going: Awaitable[MessageId | Held], what: str) -> Outcome:
    try:
        number = await going
    except Refused as problem:
        reply = Reply(problem.code, problem.text, problem.enhanced)
        return Deferred(reply) if problem.temporary else Failed(reply)
    except MimeError as problem:
        return Failed(Reply(554, f"it can't go on: {problem}", "5.6.0"))
    except StoreError as problem:
        return Deferred(Reply(0, f"it can't be stored at present ({problem}); it is tried again"))
    if isinstance(number, Held):
        return number
    return Sent(Reply(250, f"{what} as {show_id(number)}", "2.0.0"), remote_id=show_id(number))


@dataclass(frozen=True, slots=True)
class GoesOn:
    """A bounce that its sender would not get otherwise: of a mail that was forwarded through a mailbox, because Microsoft Graph keeps no
    envelope sender; and one that came to an envelope sender that we made of the application's own (VERP)."""

    directory: Callable[[], Directory]
    lookup: Lookup
    back: Back
    most: int

    def __call__(self, about: Message, verp: bool, now: datetime) -> str:
        """To whom; empty if its sender has got it or is a program of ours, nobody can carry it there, or there were too many."""
        directory, sender = self.directory(), about.sender or ""
        forwarded = about.application.startswith(FORWARDED)
        if forwarded:
            sender = self.back(sender, now)
        elif not verp or normalize(sender) in ("", *_read_here(directory)) or tables_of(directory).is_ours(sender):
            sender = ""
        goes = sender and carrier(directory, sender) is not None and (not forwarded or self.lookup.returned(sender, now) < self.most)
        return sender if goes else ""


def _read_here(directory: Directory) -> Iterable[str]:
    """Mailboxes that are fetched: what is passed on there would come back."""
    for each in directory.incoming.values():
        yield normalize(address_of(directory, each))


def _domain(directory: Directory, written_to: Iterable[str]) -> AliasDomain | None:
    """The alias domain that was written to, or any."""
    domains = directory.alias_domains
    found = (domains.get(domain_of(each)) for each in written_to)
    return next((each for each in found if each), None) or next(iter(domains.values()), None)


def _head(job: Job, directory: Directory, authserv_id: str) -> tuple[Head, Fields]:
    """Raises MimeError."""
    server = directory.incoming.get(job.message.source)
    own = authserv_id if job.message.source == MX else ""
    head = read_head_of(job.source, authserv_id=server.authserv_id if server else own)
    return head, Fields(job.source.read_at(0, MAX_HEAD))


def _sender(head: Head, message: Message, directory: Directory, domain: AliasDomain, onward: Onward) -> str | None:
    sender = None if head.return_path == "" else message.sender
    try:
        return srs.rewrite(sender, domain.name, directory.alias_domains, onward.mac, onward.clock())
    except ValueError:  # its bounces come to us, and stay here
        return f"{domain.bounce}@{domain.name}" if "@" not in domain.bounce else domain.bounce


def _plan(directory: Directory, application: Application, domain: AliasDomain, message: Message, head: Head, fields: Fields) -> Plan:
    """Through a server that keeps the envelope and serves this author, if the author may stay; else as our notification address.

    Raises Refused where no server can carry it.
    """
    source = directory.incoming.get(message.source)
    untouched = source is None or not isinstance(source.source, GraphInbox)
    why = why_rewritten(head, signing_domains(fields), untouched=untouched, ours=directory.alias_domains)
    if not why:
        kind = kind_of(application, fields, None)
        candidates = [
            servers.Candidate(name=each.name, priority=each.priority, from_filter=each.from_filter)
            for each in usable(directory, kind)
            if not isinstance(each.route, GraphRoute)
        ]
        choice = servers.for_author(candidates, head.sender)
        if choice is not None:
            server = directory.servers[choice.server]
            lane = lane_of(directory, server, head.sender)
            return Plan(server=server, lane=lane, kind=kind, header_from=head.sender, rewrite_from="", why=f"{choice.why}; From stays")
        why = "no server that keeps the envelope serves strangers"
    plan = choose(directory, application, fields, notification_address(domain))
    name, author = head.from_[0] if head.from_ else ("", domain.name)
    shown = f"{name or author.partition('@')[0]} via {domain.company or domain.name}"
    return replace(plan, rewrite_from=format_address(shown, plan.header_from), why=f"{plan.why}; From names us, because {why}")
