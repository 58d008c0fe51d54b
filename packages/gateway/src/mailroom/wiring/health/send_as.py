"""What is asked to know whether we may send as an address; nothing is sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

from mailroom.doctor.health.looking import PATIENCE
from mailroom.doctor.health.send_as import SEND_AS, Past, SendAs, SendAsFacts, judge
from mailroom.objects import Account, Directory, GrantType, GraphRoute, OutgoingServer, SinkRoute, SmarthostRoute
from mailroom.ports import Delivery, Query
from mailroom.transports.http import Http, client
from mailroom.vault.provider import cloud_of
from mailroom.vault.vault import nothing
from mailroom.way_out import explained
from mailroom.wiring.health.accounts import host_of
from mailroom.wiring.health.servers import asked_by_smtp
from mailroom.wiring.parts import Parts
from mailroom.wiring.testing import is_own
from mailroom_core.errors import ConfigError, Refused, VaultError
from mailroom_core.flow import arun
from mailroom_core.model import State
from mailroom_core.oauth.scopes import granted
from mailroom_core.policy.addresses import is_deliverable, normalize
from mailroom_core.policy.senders import allowed
from mailroom_core.providers.graph.identity import Addresses, Shown, addresses_of, may_open, objection, shown_as
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import survey

RECENT = 50
"""Mails that are looked through for one with this From."""


async def send_as(parts: Parts, address: str, *, application: str = "", patience: timedelta = PATIENCE) -> SendAs:
    """May we send as this address? Raises ConfigError for what is no address, or no application."""
    address = address.strip().lower()
    if not is_deliverable(address):
        raise ConfigError(f"{address[:200]!r} is no address; write local@domain")
    facts = _routed(parts.directory(), address, application)
    server = facts.server
    if server is not None and facts.routing is not None and not facts.routing.choice.rewritten and not isinstance(server.route, SinkRoute):
        try:
            async with asyncio.timeout(patience.total_seconds()):
                facts = await _asked(parts, facts, server)
        except TimeoutError:
            facts = replace(facts, trouble=f"{facts.host or server.name} gave no answer within {patience.total_seconds():g} seconds")
        except VaultError as problem:
            facts = replace(facts, trouble=str(problem))
    return judge(facts)


def _routed(directory: Directory, address: str, application: str) -> SendAsFacts:
    """Raises ConfigError without such an application."""
    users = tuple(sorted(each.name for each in directory.applications.values() if each.active and allowed(each.senders, address)))
    try:
        routing = explained(directory, address, application=application)
    except Refused as problem:
        return SendAsFacts(address=address, refused=problem.text, applications=users)
    except ValueError as problem:
        return SendAsFacts(address=address, refused=str(problem), applications=users)
    server = directory.servers[routing.choice.server]
    account = None if isinstance(server.route, SinkRoute) else directory.accounts.get(server.route.account)
    host = server.route.host if isinstance(server.route, SmarthostRoute) else host_of(account) if account else ""
    return SendAsFacts(address=address, routing=routing, server=server, account=account, host=host, applications=users)


async def _asked(parts: Parts, facts: SendAsFacts, server: OutgoingServer) -> SendAsFacts:
    """Raises VaultError."""
    past, sent = await asyncio.to_thread(_past, parts, facts.address, server.name)
    if isinstance(server.route, SmarthostRoute):
        asked = await asked_by_smtp(parts, server, server.route, facts.address)
        return replace(facts, past=past, reply=asked.reply, trouble=asked.trouble)
    assert isinstance(server.route, GraphRoute)
    if facts.account is None:
        return replace(facts, trouble=f"the account {server.route.account!r} is not there")
    return await _by_graph(parts, replace(facts, past=past), facts.account, server.route, sent)


@dataclass(slots=True)
class _Graph:
    """The account's requests."""

    account: Account
    http: Http

    def at(self, address: str) -> Mailbox:
        return Mailbox.of(cloud_of(self.account).graph, "" if is_own(self.account, address) else address)


async def _by_graph(parts: Parts, facts: SendAsFacts, account: Account, route: GraphRoute, sent: Delivery | None) -> SendAsFacts:
    """One request after the other: the mailbox's limits are for sending. Raises VaultError."""
    mailbox = facts.address if route.mailbox == "sender" else (route.mailbox or account.mailbox).lower()
    if not mailbox:
        return replace(facts, trouble=f"it is not known from whose mailbox {account.name} sends; name one in the server")
    scope = (await asyncio.to_thread(parts.vault.open, f"account:{account.name}") or {}).get("scope", "")
    async with client() as connection:
        graph = _Graph(account, Http(connection, lambda refused: parts.vault.token(account.name, refused=refused)))
        at, http = graph.at(mailbox), graph.http
        rights = await arun(survey(at, scope), http, nothing)
        facts = replace(facts, mailbox=mailbox, rights=rights)
        if rights.tier is None:
            return facts
        addresses = await arun(addresses_of(at), http, nothing)
        shared = account.grant is GrantType.APPLICATION or "mail.send.shared" in granted(scope)
        facts = replace(facts, addresses=addresses, shared_scope=shared, past=await _shown(graph, at, facts.past, sent))
        if facts.address == mailbox or (isinstance(addresses, Addresses) and addresses.has(facts.address)):
            return facts
        objected = await arun(objection(at, facts.address), http, nothing)
        opened = await arun(may_open(graph.at(facts.address)), http, nothing)
        return replace(facts, objected=objected, opened=opened, asked=True)


async def _shown(graph: _Graph, at: Mailbox, past: Past, sent: Delivery | None) -> Past:
    if sent is None or not sent.remote.remote_id:
        return past
    found = await arun(shown_as(at, sent.remote.remote_id), graph.http, nothing)
    return replace(past, shown=found) if isinstance(found, Shown) else past


def _past(parts: Parts, address: str, server: str) -> tuple[Past, Delivery | None]:
    """The newest mail from it that has left by this server, and the newest that was denied. Blocking."""
    wanted = Query(text=address, states=frozenset({State.SENT, State.BOUNCED, State.FAILED}))
    found, _ = parts.store.find(wanted, limit=RECENT)
    own = [
        each.delivery
        for each in found
        if each.delivery.server == server and not each.message.rewrite_from and normalize(each.message.header_from) == normalize(address)
    ]
    sent = next((each for each in own if each.state in (State.SENT, State.BOUNCED)), None)
    denied = next((each for each in own if each.state is State.FAILED and _is_denial(each)), None)
    past = Past(
        sent_at=sent.updated_at if sent else None,
        denied_at=denied.updated_at if denied else None,
        denied=denied.reply if denied else None,
    )
    return past, sent


def _is_denial(delivery: Delivery) -> bool:
    """As Graph calls it, and Exchange by SMTP."""
    return delivery.reply is not None and (delivery.reply.name == SEND_AS or delivery.reply.enhanced == "5.7.60")
