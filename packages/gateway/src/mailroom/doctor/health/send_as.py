"""May we send as this address: by which server, from whose mailbox, as whom do recipients see it, and what proves that?

Three things are told apart: what the routing does with the address, what the provider says of it, and what became of mail that was sent
with it. What the provider tells nobody (Send As, Send on Behalf, SendFromAliasEnabled) is proven by mail that was sent alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from mailroom.doctor.findings import Evidence, Unchecked
from mailroom.doctor.health.looking import Fact
from mailroom.doctor.shapes import evidence_body
from mailroom.objects import Account, GrantType, GraphRoute, OutgoingServer, Provider, SinkRoute
from mailroom_core.model import Deferred, Reply, Trouble
from mailroom_core.policy.servers import Explanation
from mailroom_core.providers.graph.errors import NO_MAILBOX
from mailroom_core.providers.graph.identity import DENIED, Addresses, Shown
from mailroom_core.providers.graph.probe import Rights

SEND_AS = "ErrorSendAsDenied"


class May(Enum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "not known"


class How(Enum):
    """As what."""

    PRIMARY = "the mailbox's own address"
    ALIAS = "an alias of the mailbox"
    SHARED = "another mailbox, with Send As"
    ON_BEHALF = "another mailbox, on behalf"
    OTHER = "another mailbox"
    RELAY = "a sender of the server"
    REWRITTEN = "another address"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Past:
    """The newest mails with this address in From that have left by this account or server, and what they were sent as."""

    sent_at: datetime | None = None
    shown: Shown | None = None
    """As it stands in Sent Items; None: it could not be read there."""
    denied_at: datetime | None = None
    denied: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAsFacts:
    address: str
    routing: Explanation | None = None
    refused: str = ""
    """Why no server carries it."""
    server: OutgoingServer | None = None
    account: Account | None = None
    mailbox: str = ""
    """Whose Drafts and Sent Items are used; empty: not known."""
    host: str = ""
    trouble: str = ""
    """Why the account or the server could not be asked."""
    rights: Rights | None = None
    """In that mailbox."""
    addresses: Addresses | Trouble | None = None
    """Of that mailbox."""
    shared_scope: bool = True
    opened: Trouble | None = None
    """What stands in the way of opening the address's own mailbox."""
    objected: Trouble | None = None
    """What Graph has against it as a sender."""
    asked: bool = False
    """Whether these two were asked."""
    reply: Reply | None = None
    """What a mail server said to it as envelope sender."""
    past: Past = Past()
    applications: tuple[str, ...] = ()
    """Those that may use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAs:
    """The answer."""

    address: str
    may: May
    how: How
    why: str
    todo: str = ""
    server: str = ""
    leaves_as: str = ""
    """What recipients see as From."""
    mailbox: str = ""
    applications: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class _Verdict:
    may: May
    how: How
    why: str
    todo: str = ""
    leaves_as: str = ""


def judge(facts: SendAsFacts) -> SendAs:
    found = _decided(facts)
    routing = [Evidence(step.rule, step.server or "none", "routing") for step in (facts.routing.steps if facts.routing else ())]
    return SendAs(
        address=facts.address,
        may=found.may,
        how=found.how,
        why=found.why,
        todo=found.todo,
        server=facts.server.name if facts.server else "",
        leaves_as=found.leaves_as,
        mailbox=facts.mailbox,
        applications=facts.applications,
        evidence=(*routing, *_evidence(facts)),
        unchecked=tuple(_open(facts, found)),
        facts=tuple(_facts(facts)),
    )


def _decided(facts: SendAsFacts) -> _Verdict:
    server, address = facts.server, facts.address
    if server is None or facts.routing is None:
        return _Verdict(May.NO, How.NOTHING, f"No outgoing server carries it: {facts.refused}", "Add an outgoing server for it")
    choice = facts.routing.choice
    if choice.rewritten:
        why = f"It {choice.why}; {address} becomes Reply-To"
        return _Verdict(May.NO, How.REWRITTEN, why, "Name it, or its domain, in the FROM filter of a server", choice.from_address)
    if isinstance(server.route, SinkRoute):
        return _Verdict(May.NO, How.NOTHING, f"{server.name} takes everything and delivers nothing", "Let another server serve it")
    if facts.trouble:
        return _Verdict(May.UNKNOWN, How.OTHER, facts.trouble, "Mend that first; mailroom doctor says how")
    if not isinstance(server.route, GraphRoute):
        return _by_smtp(facts)
    return _by_graph(facts)


# ---- by SMTP


def _by_smtp(facts: SendAsFacts) -> _Verdict:
    address = facts.address
    if facts.past.sent_at and (facts.past.denied_at is None or facts.past.denied_at < facts.past.sent_at):
        return _Verdict(May.YES, How.RELAY, f"{facts.host} has taken mail from it on {facts.past.sent_at:%d %b %Y}", leaves_as=address)
    if facts.reply is not None and facts.reply.code >= 500:
        todo = "Allow the sender there, or let another server serve it"
        return _Verdict(May.NO, How.NOTHING, f"{facts.host} does not take it as sender: {facts.reply}", todo)
    if facts.past.denied is not None:
        return _Verdict(
            May.NO, How.NOTHING, f"{facts.host} has refused the last mail from it: {facts.past.denied}", "Allow the sender there"
        )
    late = facts.account is not None and facts.account.provider is Provider.MICROSOFT
    if facts.reply is None or late:
        why = "Microsoft says whether it may only when a whole mail is handed over" if late else f"{facts.host} did not say"
        return _Verdict(May.UNKNOWN, How.RELAY, why, "Send a test: mailroom server test NAME --from ADDRESS --to YOURSELF", address)
    return _Verdict(May.YES, How.RELAY, f"{facts.host} takes it as envelope sender", leaves_as=address)


# ---- by Graph


def _by_graph(facts: SendAsFacts) -> _Verdict:
    rights, address, mailbox = facts.rights, facts.address, facts.mailbox
    if rights is not None and rights.tier is None and rights.trouble is not None and not isinstance(rights.trouble, Deferred):
        if rights.trouble.reply.name in NO_MAILBOX and _own(facts):
            why = f"{address} has no mailbox of its own, and its mail leaves through the notification mailbox, under that address"
            return _Verdict(May.NO, How.REWRITTEN, why, "Give it a mailbox, or name the server's mailbox and give that Send As")
        return _Verdict(May.NO, How.NOTHING, f"The account may not send from {mailbox}", rights.trouble.reply.text)
    if rights is None or rights.tier is None:
        said = str(rights.trouble.reply) if rights and rights.trouble else "nobody was asked"
        return _Verdict(May.UNKNOWN, How.OTHER, f"What the account may do in {mailbox or 'its mailbox'} is not known: {said}")
    known = facts.addresses if isinstance(facts.addresses, Addresses) else None
    if known and known.primary == address:
        return _Verdict(
            May.YES, How.PRIMARY, f"It is the address of the mailbox that sends, and {facts.host} lets us send from it", leaves_as=address
        )
    if known and known.has(address):
        return _alias(facts, known)
    if address == mailbox.lower():
        return _Verdict(May.YES, How.PRIMARY, f"It is the mailbox that sends, and {facts.host} lets us send from it", leaves_as=address)
    return _other(facts)


def _own(facts: SendAsFacts) -> bool:
    route = facts.server.route if facts.server else None
    return isinstance(route, GraphRoute) and route.mailbox == "sender"


def _alias(facts: SendAsFacts, known: Addresses) -> _Verdict:
    """By default Exchange writes the primary address instead; the tenant's switch is told by Exchange PowerShell alone."""
    address, switch = facts.address, "Set-OrganizationConfig -SendFromAliasEnabled $true"
    shown = facts.past.shown
    if shown is not None and shown.author == address:
        why = f"It is an alias of {known.primary}, and the mail of {facts.past.sent_at:%d %b %Y} has kept it: the tenant lets aliases send"
        return _Verdict(May.YES, How.ALIAS, why, leaves_as=address)
    if shown is not None and shown.author:
        why = f"It is an alias of {known.primary}, and Microsoft has written {shown.author} instead on {facts.past.sent_at:%d %b %Y}"
        return _Verdict(May.NO, How.ALIAS, why, f"Let aliases send, in Exchange PowerShell: {switch}", shown.author)
    why = f"It is an alias of {known.primary}. Whether Microsoft keeps it is a switch of the tenant that Graph does not tell, off at first"
    todo = (
        f"Look with Get-OrganizationConfig | Format-List SendFromAliasEnabled; switch it on with {switch}; then send a test and ask again"
    )
    return _Verdict(May.UNKNOWN, How.ALIAS, why, todo)


def _other(facts: SendAsFacts) -> _Verdict:
    address, who, shown = facts.address, _who(facts), facts.past.shown
    grant = f"Add-RecipientPermission {address} -Trustee {who} -AccessRights SendAs"
    if facts.objected is not None and facts.objected.reply.name in DENIED:
        scope = not facts.shared_scope and facts.objected.reply.name != SEND_AS
        todo = (
            f"Connect the account again, as one that may use shared mailboxes; then {grant}"
            if scope
            else f"In Exchange PowerShell: {grant}"
        )
        return _Verdict(May.NO, How.NOTHING, f"{facts.host} does not let {who} send as it: {facts.objected.reply}", todo)
    if shown is not None and shown.author == address:
        behalf = shown.sender not in ("", address)
        how = How.ON_BEHALF if behalf else How.SHARED
        seen = f"; recipients see {shown.sender} on behalf of it" if behalf else ""
        right = "Send on Behalf" if behalf else "Send As"
        why = f"{who} has a right on that mailbox: the mail of {facts.past.sent_at:%d %b %Y} was sent with {right}{seen}"
        return _Verdict(May.YES, how, why, f"For Send As: {grant}" if behalf else "", address)
    if facts.past.denied is not None and (
        facts.past.sent_at is None or (facts.past.denied_at and facts.past.denied_at > facts.past.sent_at)
    ):
        why = f"The last mail from it, on {facts.past.denied_at:%d %b %Y}, was refused: {facts.past.denied}"
        return _Verdict(May.NO, How.NOTHING, why, f"If nobody has since: {grant}")
    why = (
        f"{facts.host} has nothing against it as a sender of {who}, and does not tell whether that is because of Send As or Send on Behalf"
    )
    todo = f"Look with Get-RecipientPermission {address}, or send a test and ask again; to allow it: {grant}"
    return _Verdict(May.UNKNOWN, How.OTHER, why, todo)


def _who(facts: SendAsFacts) -> str:
    """Whose right counts: of who signed in, or of the mailbox that an app sends from."""
    account = facts.account
    return account.mailbox if account and account.grant is GrantType.DELEGATED and account.mailbox else facts.mailbox


def _evidence(facts: SendAsFacts) -> list[Evidence]:
    found = []
    if facts.rights is not None:
        said = str(facts.rights.trouble.reply) if facts.rights.trouble else "both are refused as unreadable (400), which who may is told"
        found.append(Evidence(f"a mail and a draft that can't be decoded, for {facts.mailbox}", said, facts.host))
    if isinstance(facts.addresses, Addresses):
        found.append(Evidence(f"addresses of {facts.mailbox}", ", ".join((facts.addresses.primary, *facts.addresses.others)), facts.host))
    if facts.asked:
        said = str(facts.objected.reply) if facts.objected else "it minds the missing recipients alone"
        found.append(Evidence(f"a mail from {facts.address} to nobody", said, facts.host))
        found.append(Evidence(f"the mailbox {facts.address}", str(facts.opened.reply) if facts.opened else "can be opened", facts.host))
    if facts.reply is not None:
        found.append(Evidence(f"MAIL FROM:<{facts.address}>", str(facts.reply), facts.host))
    if facts.past.sent_at is not None:
        shown = facts.past.shown
        said = f"From {shown.author}, Sender {shown.sender}" if shown else "taken"
        found.append(Evidence(f"the mail of {facts.past.sent_at:%Y-%m-%d %H:%M} UTC", said, "Sent Items" if shown else "queue"))
    if facts.past.denied is not None and facts.past.denied_at is not None:
        found.append(Evidence(f"the mail of {facts.past.denied_at:%Y-%m-%d %H:%M} UTC", str(facts.past.denied), "queue"))
    return found


def _open(facts: SendAsFacts, found: _Verdict) -> list[Unchecked]:
    unchecked = []
    if facts.addresses is not None and not isinstance(facts.addresses, Addresses):
        why = f"Graph does not tell them to this account ({facts.addresses.reply}); User.Read.All would"
        unchecked.append(Unchecked(f"aliases of {facts.mailbox}", why))
    if found.may is May.UNKNOWN and found.how is How.ALIAS:
        unchecked.append(Unchecked("SendFromAliasEnabled", "Graph does not tell it, and no mail has been sent with this address yet"))
    if found.may is May.UNKNOWN and found.how is How.OTHER and facts.asked:
        unchecked.append(Unchecked("Send As", "Graph does not tell it, and no mail has been sent with this address yet"))
    return unchecked


def _facts(facts: SendAsFacts) -> list[Fact]:
    told = []
    if facts.account is not None:
        told.append(Fact("account", facts.account.name))
    if facts.asked and facts.opened is None:
        told.append(Fact("Sent Items", f"{facts.mailbox}; its own could be used, too, as the server's mailbox: it can be opened"))
    return told


def send_as_body(found: SendAs) -> dict[str, Any]:
    """As JSON: the same for the command and the API."""
    return {
        "address": found.address,
        "may": found.may.value,
        "how": found.how.value,
        "why": found.why,
        "todo": found.todo,
        "server": found.server,
        "leaves_as": found.leaves_as,
        "mailbox": found.mailbox,
        "applications": list(found.applications),
        "facts": [{"name": each.name, "said": each.said} for each in found.facts],
        "evidence": [evidence_body(each) for each in found.evidence],
        "unchecked": [{"what": each.what, "why": each.why} for each in found.unchecked],
    }
