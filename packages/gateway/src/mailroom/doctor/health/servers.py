"""An outgoing server: does it let us in, may it send, what waits for it, and how much of its limits is used?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote
from urllib.parse import quote as encoded

from mailroom.doctor.findings import Evidence, Finding, Harm, Repair, Unchecked
from mailroom.doctor.health.limits import of_ends, of_usage
from mailroom.doctor.health.looking import Examined, Fact, Subject, Usage, judged, shown, unused
from mailroom.doctor.trial import Step
from mailroom.objects import GraphRoute, OutgoingServer, Provider, SinkRoute, SmarthostRoute
from mailroom.vault.expiry import Expiry
from mailroom_core.model import Deferred, Trouble
from mailroom_core.providers.graph.probe import Rights

SOON = timedelta(days=7)
"""Certificates of others are mostly renewed three or four weeks before their end."""
MICROSOFT_AT_ONCE = 3
"""Connections that one mailbox may have at smtp.office365.com (Exchange Online, troubleshooting SMTP client submission)."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lane of a server that waits for a person."""

    lane: str
    reason: str
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What was asked of an outgoing server."""

    server: OutgoingServer
    of_account: str = ""
    """Why its account keeps us from asking; empty if it does not. The account's own findings say what to do."""
    mailboxes: tuple[tuple[str, Rights], ...] = ()
    """By Graph: what may be done in the mailboxes that it sends from, besides the account's own."""
    unnamed: str = ""
    """By Graph: why there is no mailbox that could be asked."""
    host: str = ""
    steps: tuple[Step, ...] = ()
    """By SMTP, up to the envelope sender; no mail is begun."""
    missing: str = ""
    """Why there is no password."""
    trouble: Trouble | None = None
    """What ended the steps."""
    failed: str = ""
    """Which step that was: connect, TLS, sign-in, sender."""
    sender: str = ""
    """Whom it was asked for."""
    held: tuple[Held, ...] = ()
    waiting: int = 0
    applications: tuple[str, ...] = ()
    """Who may use it."""
    provider: Provider | None = None
    ends: tuple[Expiry, ...] = ()
    """Our own client certificate."""
    theirs: tuple[Expiry, ...] = ()
    """The certificate of the server."""
    usage: tuple[Usage, ...] = ()


def judge(facts: ServerFacts, now: datetime) -> Examined:
    server, subject = facts.server, Subject("server", facts.server.name)
    if not server.active:
        return unused(subject, "not active", Fact("waiting", str(facts.waiting)))
    findings = [*_let_in(facts), *_mailboxes(facts), *held(facts.held), *_connections(facts)]
    findings += of_ends(facts.ends, now, "Then the server does not let us in any more.", (_page(server),))
    findings += of_ends(facts.theirs, now, "Then no mail leaves through it, because its certificate is not trusted.", soon=SOON)
    findings += of_usage(
        facts.usage,
        "Mail beyond it waits until there is room again.",
        "Send less, or send a part from another mailbox or through another server",
        (_page(server),),
    )
    return judged(
        subject,
        _well(facts),
        findings,
        _open(facts),
        evidence=(*shown(facts.steps, facts.host), *(_seen(facts, mailbox, rights) for mailbox, rights in facts.mailboxes)),
        facts=_facts(facts),
        ends=(*facts.ends, *facts.theirs),
        usage=facts.usage,
    )


def _let_in(facts: ServerFacts) -> Iterator[Finding]:
    server = facts.server
    if facts.missing:
        yield Finding(
            code="no-password",
            harm=Harm.HARMFUL,
            title=f"The password of the server {server.name} is missing",
            why="Nothing leaves through it.",
            todo=facts.missing,
            evidence=(Evidence("its password", "none is kept", "vault"),),
            repairs=(Repair("enter it", f"mailroom server password {quote(server.name)}"), _page(server)),
        )
    elif facts.trouble is not None and not passes(facts.trouble):
        code, title = _REFUSED[facts.failed]
        yield Finding(
            code=code,
            harm=Harm.RISKY if facts.failed == "sender" else Harm.HARMFUL,
            title=title.format(host=facts.host, server=server.name, sender=facts.sender),
            why="Mail of this sender does not leave through it." if facts.failed == "sender" else "Nothing leaves through it.",
            todo=facts.trouble.reply.text,
            evidence=(*shown(facts.steps, facts.host), Evidence(facts.failed, str(facts.trouble.reply), facts.host)),
            repairs=(*_new_password(facts), _page(server)),
        )


_REFUSED = {
    "connect": ("unreachable", "{host} can't be reached"),
    "TLS": ("no-tls", "There is no trusted encryption with {host}"),
    "sign-in": ("sign-in-refused", "{host} does not let {server} in"),
    "sender": ("sender-refused", "{host} takes no mail from {sender}"),
}


def _new_password(facts: ServerFacts) -> tuple[Repair, ...]:
    route = facts.server.route
    if facts.failed != "sign-in" or not isinstance(route, SmarthostRoute) or route.account or not route.user:
        return ()
    return (Repair("enter another password", f"mailroom server password {quote(facts.server.name)}"),)


def passes(trouble: Trouble) -> bool:
    """Whether it is a no for now, which goes by itself; neither silence nor a no for good is."""
    return isinstance(trouble, Deferred) and 400 <= trouble.reply.code < 500


def _mailboxes(facts: ServerFacts) -> Iterator[Finding]:
    for mailbox, rights in facts.mailboxes:
        if rights.trouble is None or isinstance(rights.trouble, Deferred):
            continue
        may = "only send" if rights.tier else "not send"
        yield Finding(
            code="may-only-send" if rights.tier else "may-not-send",
            harm=Harm.HARMFUL,
            title=f"The server {facts.server.name} may {may} from {mailbox}",
            why="Its mails begin with a draft in that mailbox, which is refused; they are held.",
            todo=rights.trouble.reply.text,
            evidence=(_seen(facts, mailbox, rights),),
            repairs=(_page(facts.server),),
        )


def _seen(facts: ServerFacts, mailbox: str, rights: Rights) -> Evidence:
    told = str(rights.trouble.reply) if rights.trouble else "both are refused as unreadable (400), and Drafts can be opened"
    return Evidence(f"a mail and a draft that can't be decoded, for {mailbox}", told, facts.host)


def held(lanes: tuple[Held, ...]) -> Iterator[Finding]:
    """Also for mailboxes and destinations."""
    for each in lanes:
        yield Finding(
            code="held",
            harm=Harm.HARMFUL,
            title=f"{each.lane} is held, and {each.waiting} {'mail waits' if each.waiting == 1 else 'mails wait'}",
            why="Nothing of it goes on until a person has acted.",
            todo=each.reason,
            evidence=(Evidence(f"the lane {each.lane}", f"held: {each.reason}", "queue"),),
            repairs=(Repair("let it go on, once the reason is gone", f"mailroom queue free {quote(each.lane)}", "/"),),
        )


def _connections(facts: ServerFacts) -> Iterator[Finding]:
    route = facts.server.route
    if isinstance(route, SmarthostRoute) and route.host.lower() == "smtp.office365.com" and route.connections > MICROSOFT_AT_ONCE:
        yield Finding(
            code="too-many-connections",
            harm=Harm.RISKY,
            title=f"The server {facts.server.name} opens up to {route.connections} connections, and Microsoft takes {MICROSOFT_AT_ONCE}",
            why="Under load Microsoft refuses the rest with 432 4.3.2, and mail leaves later.",
            todo=f"Set connections = {MICROSOFT_AT_ONCE}",
            evidence=(Evidence("connections", str(route.connections), "the server's settings"),),
            repairs=(_page(facts.server),),
        )


def _open(facts: ServerFacts) -> Iterator[Unchecked]:
    if facts.of_account:
        yield Unchecked("sending", facts.of_account)
    if facts.unnamed:
        yield Unchecked("sending", facts.unnamed)
    if facts.trouble is not None and passes(facts.trouble):
        yield Unchecked(facts.failed, str(facts.trouble.reply))
    for mailbox, rights in facts.mailboxes:
        if isinstance(rights.trouble, Deferred):
            yield Unchecked(mailbox, str(rights.trouble.reply))


def _well(facts: ServerFacts) -> str:
    route = facts.server.route
    if isinstance(route, SinkRoute):
        return "takes everything and delivers nothing"
    if isinstance(route, SmarthostRoute):
        return f"lets us in, and takes mail from {facts.sender}" if facts.sender else "lets us in"
    return f"sends from {', '.join(mailbox for mailbox, _ in facts.mailboxes)}" if facts.mailboxes else f"sends as {route.account} may"


def _facts(facts: ServerFacts) -> Iterator[Fact]:
    yield Fact("serves", ", ".join(facts.server.from_filter) or "every sender")
    if isinstance(facts.server.route, GraphRoute):
        yield Fact(
            "mailbox", {"": "the account's own", "sender": "each sender's own"}.get(facts.server.route.mailbox, facts.server.route.mailbox)
        )
    yield Fact("applications that may use it", ", ".join(facts.applications) or "none")
    yield Fact("waiting", str(facts.waiting))


def _page(server: OutgoingServer) -> Repair:
    return Repair("change it", page=f"/servers/of/{encoded(server.name)}")
