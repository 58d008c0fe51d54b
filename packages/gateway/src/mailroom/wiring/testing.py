"""What a test of an outgoing server is made of: the same parts as its real mail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import assert_never

from mailroom.doctor.trial import Check, MakeTransport, Step, trial
from mailroom.objects import Account, GrantType, GraphRoute, OutgoingServer, SinkRoute, SmarthostRoute
from mailroom.transports.graph import Graph
from mailroom.transports.http import Http, client
from mailroom.transports.sink import Sink
from mailroom.transports.smarthost import Smarthost
from mailroom.vault.provider import cloud_of
from mailroom.vault.vault import nothing
from mailroom.wiring.parts import Parts, hostname, utc_now
from mailroom_core.errors import ConfigError, VaultError
from mailroom_core.flow import arun
from mailroom_core.oauth.scopes import Resource, Tier
from mailroom_core.policy.addresses import is_deliverable
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import Rights, probe


def server_trial(parts: Parts, name: str, *, recipient: str, sender: str = "") -> AsyncIterator[Step]:
    """Send a real mail through a server. Raises ConfigError, at once, for what can't be tried."""
    server = parts.directory().servers.get(name)
    if server is None:
        raise ConfigError(f"there is no outgoing server {name!r}; see: mailroom server list")
    if not is_deliverable(recipient):
        raise ConfigError(f"{recipient!r} is no address; say who gets the test with --to")
    sender = sender or sender_of(parts, server)
    if not is_deliverable(sender):
        raise ConfigError(f"it is not known whom {name!r} sends as; name an address with --from")
    match server.route:
        case GraphRoute() as route:
            return _by_graph(parts, route, sender, recipient)
        case SmarthostRoute() as route:
            return _by_smtp(parts, server, route, sender, recipient)
        case SinkRoute() as route:
            return trial(lambda tell: Sink(route), {}, sender=sender, recipient=recipient, now=utc_now(), last="result")
        case _:
            assert_never(server.route)


def sender_of(parts: Parts, server: OutgoingServer) -> str:
    """Whom a test is sent as: the mailbox, the first address that the server serves, or a notification address. Empty: nobody known."""
    route = server.route
    account = None if isinstance(route, SinkRoute) else parts.directory().accounts.get(route.account)
    named = route.mailbox if isinstance(route, GraphRoute) and route.mailbox != "sender" else ""
    user = route.user if isinstance(route, SmarthostRoute) and "@" in route.user else ""
    addresses = [each for each in server.from_filter if "@" in each.strip("@")]
    domains = parts.directory().alias_domains.values()
    house = [each.default_from if "@" in each.default_from else f"{each.default_from}@{each.name}" for each in domains if each.default_from]
    return next((each for each in (named, account.mailbox if account else "", *addresses, user, *house) if each), "")


async def _by_graph(parts: Parts, route: GraphRoute, sender: str, recipient: str) -> AsyncIterator[Step]:
    account = parts.directory.account(route.account)
    address = sender if route.mailbox == "sender" else route.mailbox or account.mailbox
    mailbox = Mailbox.of(cloud_of(account).graph, "" if is_own(account, address) else address)
    async with client() as connection:
        http = Http(connection, lambda refused: parts.vault.token(account.name, refused=refused))

        async def rights() -> str:
            found = await arun(probe(mailbox, scope), http, nothing)
            if found.tier is None:
                raise VaultError(str(found.trouble.reply) if found.trouble else "no right to send was found")
            return _in_words(found)

        scope = (await asyncio.to_thread(parts.vault.open, f"account:{account.name}") or {}).get("scope", "")
        checks: dict[str, Check] = {"token": lambda: token_step(parts, account, Resource.GRAPH), "rights": rights}
        make: MakeTransport = lambda tell: Graph(  # noqa: E731
            mailbox, http, account=account.name, read_write=account.read_write, on_unsure=route.on_unsure
        )
        async for step in trial(make, checks, sender=sender, recipient=recipient, now=utc_now(), last="send"):
            yield step


def is_own(account: Account, address: str) -> bool:
    return account.grant is GrantType.DELEGATED and address.lower() == account.mailbox.lower()


def _in_words(rights: Rights) -> str:
    """Which tier, and what stands in the way of more."""
    words = "may send, and look what became of a mail" if rights.tier is Tier.READ_WRITE else "may only send"
    return f"{words}; {rights.trouble.reply}" if rights.trouble else words


async def _by_smtp(parts: Parts, server: OutgoingServer, route: SmarthostRoute, sender: str, recipient: str) -> AsyncIterator[Step]:
    account = parts.directory.account(route.account) if route.account else None

    async def password() -> str:
        kept = await asyncio.to_thread(parts.vault.open, f"server:{server.name}")
        if kept is None:
            raise VaultError(f"the password of {route.user} is missing; run: mailroom server password {server.name}")
        return kept["password"]

    checks: dict[str, Check] = {}
    if account is not None:
        checks["token"] = lambda: token_step(parts, account, Resource.SMTP)
    make: MakeTransport = lambda tell: Smarthost(  # noqa: E731
        server.name,
        route,
        password=password if route.user and account is None else None,
        token=(lambda refused: parts.vault.token(account.name, resource=Resource.SMTP, refused=refused)) if account else None,
        mailbox=account.mailbox if account else "",
        helo=hostname(parts.settings),
        tell=tell,
    )
    async for step in trial(make, checks, sender=sender, recipient=recipient, now=utc_now(), last="result"):
        yield step


async def token_step(parts: Parts, account: Account, resource: Resource) -> str:
    await parts.vault.token(account.name, resource=resource)
    until = await asyncio.to_thread(parts.vault.valid_until, account.name, resource)
    return f"valid until {until:%Y-%m-%d %H:%M} UTC" if until else "valid"
