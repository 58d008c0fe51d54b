"""What becomes of a mail, by the objects of today and what the store knows: asked for mail that comes in, for mail in quarantine
that is tried again, and by people who want to know. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mailroom.intake.lookup import Lookup, NewestTables
from mailroom.objects import Directory, IncomingServer
from mailroom_core.errors import ConfigError, MimeError
from mailroom_core.inbound import Head, Report
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.index import index
from mailroom_core.mime.source import ReadAt
from mailroom_core.model import Envelope
from mailroom_core.policy.addresses import is_deliverable
from mailroom_core.policy.aliases import Tables, Target
from mailroom_core.policy.decision import Arrival, Decision, Settings, Verdict
from mailroom_core.policy.routing import route

Back = Callable[[str, datetime], str]
"""Whom a mail was from that we have forwarded, by the envelope sender that it got from us (SRS); empty for any other address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """How a mail came to us, as far as the rules ask."""

    by: str
    """The incoming server, or `http:` and the name of a token."""
    fallback: str = ""
    """The destination of what no alias wants."""
    authserv_id: str = ""
    conversation: str = ""
    """The provider's id of it."""
    envelope: Envelope | None = None
    """If somebody handed it over with one; then only its recipients count."""
    in_session: bool = False
    """Who hands it over waits for our word and tells its sender: it is refused instead of answered."""
    doubt: str = ""
    """Why its sender is not believed; then a person has to look."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a mail says of itself, what it reports, and what becomes of it."""

    head: Head
    report: Report | None
    decision: Decision
    sent_to: tuple[str, ...] = ()
    """To whom it came: the envelope's recipients, or where there is none, all that its head names."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Blocking; asks the store."""

    directory: Callable[[], Directory]
    lookup: Lookup
    settings: Settings
    back: Back = lambda address, now: ""
    tables: Callable[[Directory], Tables] = field(default_factory=NewestTables)

    def __call__(self, source: ReadAt, came: Came, now: datetime) -> Judged:
        try:
            head = read_head_of(source, authserv_id=came.authserv_id)
        except MimeError as problem:
            return Judged(Head(), None, Decision(verdict=Verdict.QUARANTINED, why=f"it can't be read: {problem}"))
        if came.envelope is not None:
            head = _with_envelope(head, came.envelope)
        report = _report(source, head)
        sent_to = _sent_to(head, came.envelope)
        fallback = Target(came.fallback) if came.fallback else None
        arrival = Arrival(
            envelope=came.envelope,
            in_session=came.in_session,
            fallback=fallback,
            conversation=came.conversation,
            doubt=came.doubt,
            returns_to=next((to for each in sent_to if (to := self.back(each, now))), ""),
        )
        directory = self.directory()
        tables = self.tables(directory)
        facts = self.lookup(head, arrival, tables, directory, now)
        return Judged(head, report, route(head, arrival, tables, facts, self.settings, report), sent_to)


def _sent_to(head: Head, envelope: Envelope | None) -> tuple[str, ...]:
    return envelope.recipients if envelope else (*head.delivered_to, *(each for _, each in head.to), *head.received_for)


def came_by(server: IncomingServer, conversation: str = "") -> Came:
    return Came(by=server.name, fallback=server.destination, authserv_id=server.authserv_id, conversation=conversation)


def _with_envelope(head: Head, envelope: Envelope) -> Head:
    """A null sender must not be answered (RFC 3834 2)."""
    answerable = head.answerable or ("" if envelope.sender else "its envelope sender is null")
    return replace(head, return_path=envelope.sender or "", answerable=answerable)


def _report(source: ReadAt, head: Head) -> Report | None:
    try:
        return read_report(source, index(source), head)
    except MimeError:
        return None


def explained(judge: Judge, source: ReadAt, now: datetime, *, incoming: str = "", recipients: tuple[str, ...] = ()) -> Decision:
    """What would become of a mail now, for people who ask. Raises ConfigError."""
    server = judge.directory().incoming.get(incoming) if incoming else None
    if incoming and server is None:
        raise ConfigError(f"there is no incoming server {incoming!r}; see: mailroom incoming list")
    came = came_by(server) if server else Came(by="")
    if not recipients:
        return judge(source, came, now).decision
    if wrong := next((each for each in recipients if not is_deliverable(each)), None):
        raise ConfigError(f"{wrong[:200]!r} is no address; write local@domain")
    sender = judge(source, came, now).head.sender or None
    return judge(source, replace(came, envelope=Envelope(sender, recipients)), now).decision


def told(decision: Decision) -> dict[str, Any]:
    """A decision as JSON has it."""
    return {
        "verdict": decision.verdict.name.lower(),
        "why": decision.why,
        "routes": [
            {
                "destination": each.target.destination,
                "thread": each.thread,
                "alias": each.alias.address if each.alias else "",
                "automatic": each.automatic,
                "defaults": dict(each.defaults),
            }
            for each in decision.routes
        ],
        "answers": [{"to": each.to, "code": each.code, "enhanced": each.enhanced, "text": each.text} for each in decision.answers],
        "withheld": decision.withheld,
        "steps": [{"rule": each.rule, "said": each.said, "decided": each.decided} for each in decision.steps],
    }
