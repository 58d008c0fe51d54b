"""An account is asked for a token, and what it may do in its mailbox."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from mailroom.budget import keeper_of, rule_of
from mailroom.doctor.health.accounts import AccountFacts, judge
from mailroom.doctor.health.looking import Examination, Examined, Subject, Usage
from mailroom.objects import Account, Directory, GrantType, GraphRoute, Provider, SinkRoute
from mailroom.transports.http import Http, client
from mailroom.vault.expiry import of_account
from mailroom.vault.provider import cloud_of, first_resource
from mailroom.vault.vault import nothing
from mailroom.wiring.connecting import mailbox_of_server
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.errors import VaultError
from mailroom_core.flow import arun
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import Rights, survey


def examination(parts: Parts, name: str) -> Examination:
    return Examination(Subject("account", name), lambda: _examine(parts, name), turn=turn_of(name))


def turn_of(account: str) -> str:
    """Who asks Graph as the same account takes turns: the mailbox admits four requests at a time, and sending has three of them."""
    return f"account:{account}"


async def _examine(parts: Parts, name: str) -> Examined:
    return judge(await gather(parts, parts.directory.account(name)), utc_now())


async def gather(parts: Parts, account: Account) -> AccountFacts:
    kept, proof = await asyncio.to_thread(_kept, parts, account)
    directory, resource = parts.directory(), first_resource(account)
    own = "" if account.grant is GrantType.DELEGATED else account.mailbox or mailbox_of_server(directory, account.name)
    refused, transient, rights = "", False, None
    try:
        await parts.vault.token(account.name, resource=resource)
        if account.provider is Provider.MICROSOFT and (account.grant is GrantType.DELEGATED or "@" in own):
            rights = await _rights(parts, account, own, kept.get("scope", ""))
    except VaultError as problem:
        refused, transient = str(problem), problem.transient
    return AccountFacts(
        account=account,
        connected=bool(proof if account.grant is GrantType.APPLICATION else kept.get("refresh_token")),
        sends=_sends(directory, account.name),
        fetches=_fetches(directory, account.name),
        refused=refused,
        transient=transient,
        until=await asyncio.to_thread(parts.vault.valid_until, account.name, resource),
        mailbox=own or account.mailbox or "the mailbox of who signed in",
        host=host_of(account),
        rights=rights,
        ends=tuple(of_account(account, proof, kept)),
        usage=await asyncio.to_thread(_usage, parts, account),
    )


def _kept(parts: Parts, account: Account) -> tuple[dict[str, str], dict[str, str]]:
    """The grant, and what the app proves itself with."""
    return parts.vault.open(f"account:{account.name}") or {}, parts.vault.open(f"app:{account.name}") or {}


async def _rights(parts: Parts, account: Account, mailbox: str, scope: str) -> Rights:
    """Raises VaultError."""
    async with client() as connection:
        http = Http(connection, lambda refused: parts.vault.token(account.name, refused=refused))
        return await arun(survey(Mailbox.of(cloud_of(account).graph, mailbox), scope), http, nothing)


def host_of(account: Account) -> str:
    """Who is asked."""
    if account.provider is Provider.GOOGLE:
        return "Google"
    return urlsplit(cloud_of(account).graph).netloc


def _sends(directory: Directory, account: str) -> tuple[str, ...]:
    servers = directory.servers.values()
    return tuple(sorted(_said(each.name, each.route) for each in servers if each.active and _uses(each.route, account)))


def _uses(route: object, account: str) -> bool:
    return not isinstance(route, SinkRoute) and getattr(route, "account", "") == account


def _said(name: str, route: object) -> str:
    """The server, and whose mailbox it sends from."""
    if isinstance(route, GraphRoute) and route.mailbox:
        return f"server {name} ({'each sender’s own mailbox' if route.mailbox == 'sender' else route.mailbox})"
    return f"server {name}"


def _fetches(directory: Directory, account: str) -> tuple[str, ...]:
    return tuple(sorted(f"incoming {each.name}" for each in directory.incoming.values() if each.active and each.source.account == account))


def _usage(parts: Parts, account: Account) -> tuple[Usage, ...]:
    rule = rule_of(parts.directory(), account)
    if rule is None or keeper_of(parts.directory(), account) != account.name:
        return ()  # said once, where it is set
    return (Usage(f"external recipients of {rule.name} in 24 hours", parts.store.budgets.taken(rule.name), rule.limit),)
