"""The end of a sign-in, wherever it was begun: what the account may do, what is kept, its way out, the mail that waited for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mailroom.holds import free_after_sign_in
from mailroom.mailboxes import lane_of
from mailroom.objects import (
    Account,
    Directory,
    GrantType,
    GraphRoute,
    OutgoingServer,
    Provider,
    Security,
    SinkRoute,
    SmarthostRoute,
)
from mailroom.ports import LaneStatus
from mailroom.transports.http import Http, client
from mailroom.vault import consent
from mailroom.vault.provider import App, cloud_of, explained, first_resource, fresh_token, prove_itself
from mailroom.vault.vault import nothing
from mailroom.wiring.parts import Parts
from mailroom_core.errors import VaultError
from mailroom_core.flow import arun
from mailroom_core.model import Held
from mailroom_core.oauth.grants import Grant
from mailroom_core.oauth.problems import TokenProblem
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import Rights, probe


@dataclass(frozen=True, slots=True)
class Signed:
    """What a sign-in gave; nothing of it is kept yet."""

    grant: Grant
    mailbox: str = ""
    """Who signed in; empty for app-only."""


@dataclass(frozen=True, slots=True)
class Connected:
    """What came of it."""

    account: Account
    rights: Rights | None
    told: str
    """What the account may do, in words."""
    server: OutgoingServer | None
    """The outgoing server that was made for it."""
    freed: int
    """Mails that were waiting for the sign-in and go on."""
    staying: list[LaneStatus]
    """Lanes of the account that stay held."""


async def app_only(account: Account, app: App) -> Signed:
    """Raises VaultError."""
    prove_itself(account, app)
    async with client() as http:
        grant = await arun(fresh_token(app, account, first_resource(account), ""), Http(http), nothing)
    if isinstance(grant, TokenProblem):
        raise VaultError(explained(app, grant))
    return Signed(grant)


async def answered(started: consent.Consent, answer: Mapping[str, str]) -> Signed:
    """What the browser brought back. Raises VaultError."""
    async with client() as http:
        grant, identity = await consent.finish(started, answer, Http(http), lambda token: Http(http, token))
    return Signed(grant, started.account.mailbox or (identity.addresses[0] if identity.addresses else ""))


async def connected(
    parts: Parts, account: Account, signed: Signed, proof: Mapping[str, str] | None, *, with_server: bool, by: str
) -> Connected:
    """Keep it: grant and proof in the vault, the account with what it may really do, and a way out if it has none."""
    account = replace(account, mailbox=account.mailbox or signed.mailbox)
    rights = await rights_of(account, signed, account.mailbox or mailbox_of_server(parts.directory(), account.name))
    words = told(account, rights)
    account = replace(account, read_write=account.read_write and not _lacks_read_write(rights))
    await parts.vault.connected(account.name, signed.grant, proof, resource=first_resource(account))
    made = way_out(parts.directory(), account) if with_server else None
    await asyncio.to_thread(parts.store.apply, [account, made] if made else [account], [], by=by)
    freed, staying = await asyncio.to_thread(free, parts, account.name, by=by)
    return Connected(account, rights, words, made, freed, staying)


def free(parts: Parts, account: str, *, by: str = "") -> tuple[int, list[LaneStatus]]:
    """The lanes that waited for a sign-in of this account go on: those of its mailboxes, and of servers that sign in with it."""
    directory = parts.directory()
    smarthosts = {f"smarthost:{name}" for name, each in directory.servers.items() if _signs_in_as(each, account)}
    incoming = [each for each in directory.incoming.values() if each.source.account == account]
    lanes = smarthosts | {lane_of(directory, each) for each in incoming}
    found = free_after_sign_in(parts.store, lambda lane: lane.startswith(f"graph:{account}:") or lane in lanes, by=by)
    parts.store.watch.now([each.name for each in incoming])
    return found


def _signs_in_as(server: OutgoingServer, account: str) -> bool:
    return isinstance(server.route, SmarthostRoute) and server.route.account == account


async def rights_of(account: Account, signed: Signed, mailbox: str) -> Rights | None:
    """What the account may do in its mailbox, asked of Microsoft Graph; None if that can't be asked."""
    if account.provider is not Provider.MICROSOFT:
        return None
    if account.grant is GrantType.DELEGATED:
        mailbox = ""  # that of who signed in
    elif not mailbox or mailbox == "sender":
        return None

    async def token(refused: str) -> str:
        return signed.grant.access_token

    async with client() as http:
        asked = probe(Mailbox.of(cloud_of(account).graph, mailbox), signed.grant.scope)
        return await arun(asked, Http(http, token), nothing)


def mailbox_of_server(directory: Directory, account: str) -> str:
    """Where the servers of an account say which mailbox they use: one of them, or `sender`."""
    routes = [server.route for server in directory.servers.values()]
    named = [route.mailbox for route in routes if isinstance(route, GraphRoute) and route.account == account and route.mailbox]
    return min(named, key=lambda each: each == "sender", default="")


def _lacks_read_write(rights: Rights | None) -> bool:
    """Whether Graph refuses it for good, and not only now."""
    return rights is not None and rights.tier is Tier.SEND and isinstance(rights.trouble, Held)


def told(account: Account, rights: Rights | None) -> str:
    """What the account may do, for who has connected it."""
    again = f"mailroom connect {account.name} --read-write"
    if account.provider is Provider.GOOGLE:
        return "It may send through Google's SMTP server. A mail that gets no answer can't be looked for."
    if rights is None:
        return "What it may do is seen with the first mail: no mailbox is named that could be asked."
    if rights.trouble is not None and not _lacks_read_write(rights):
        return f"What it may do could not be found out: {rights.trouble.reply}"
    if not account.read_write:
        return f"It sends only, as you chose. For mail above 2.9 MB, and for looking before a mail is sent again: {again}"
    if rights.tier is Tier.READ_WRITE:
        return "It may send, carry large mail, and look before a mail is sent again."
    return (
        "It may only send: mail above 2.9 MB is refused, and what got no answer waits for you. "
        f"For more, consent to Mail.ReadWrite, then run: {again}"
    )


def way_out(directory: Directory, account: Account) -> OutgoingServer | None:
    """The first one serves every sender, each other one its own mailbox alone; None if the account has one, or could have none."""
    servers = directory.servers.values()
    if has_way_out(directory, account.name):
        return None
    nobodys = not account.mailbox and (servers or account.grant is GrantType.APPLICATION)
    if nobodys or account.name in directory.servers:
        return None
    only = (account.mailbox,) if servers else ()
    if account.provider is Provider.GOOGLE:
        google = SmarthostRoute(host="smtp.gmail.com", port=465, security=Security.TLS, account=account.name)
        return OutgoingServer(name=account.name, from_filter=only, route=google)
    return OutgoingServer(name=account.name, from_filter=only, route=GraphRoute(account=account.name))


def has_way_out(directory: Directory, account: str) -> bool:
    return any(not isinstance(each.route, SinkRoute) and each.route.account == account for each in directory.servers.values())
