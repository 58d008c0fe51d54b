"""The way out: a transport and a pace for every lane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

from mailroom import way_out
from mailroom.budget import Budget, rule_of
from mailroom.fetch import REPORTS
from mailroom.incoming import Source
from mailroom.intake.onward import RETURNS
from mailroom.lanes import LanePace, pace_of, past_of
from mailroom.objects import (
    Account,
    Directory,
    GrantType,
    GraphInbox,
    GraphRoute,
    IncomingServer,
    OutgoingServer,
    SinkRoute,
    SmarthostRoute,
)
from mailroom.observe import events
from mailroom.ports import Lane, Transport
from mailroom.queue.worker import Way
from mailroom.return_address import return_address
from mailroom.sources.graph import GraphSource
from mailroom.transports.graph import Graph
from mailroom.transports.graph_senders import OwnOrNotification
from mailroom.transports.http import Http, client
from mailroom.transports.sink import Sink
from mailroom.transports.smarthost import Smarthost
from mailroom.vault.provider import cloud_of
from mailroom.wiring.handing import DESTINATION, Destinations
from mailroom.wiring.intake import mac_of, make_replay
from mailroom.wiring.mailboxes import by_mail_server
from mailroom.wiring.parts import Parts, hostname, utc_now
from mailroom_core.errors import ConfigError, StoreError, VaultError
from mailroom_core.model import LaneName
from mailroom_core.oauth.scopes import Resource
from mailroom_core.policy.addresses import domain_of, normalize
from mailroom_core.policy.pace import Limits
from mailroom_core.providers.graph.limits import MAILBOX
from mailroom_core.providers.graph.mailbox import Mailbox

HAND_OVERS = 4
"""Mails that are handed over to one destination at once."""


def servers_of(directory: Directory, lane: LaneName) -> list[OutgoingServer]:
    """The outgoing servers whose mail goes by this lane."""
    kind, _, rest = lane.partition(":")
    if kind == "graph":
        name = rest.rpartition(":")[0]
        return [s for s in directory.servers.values() if isinstance(s.route, GraphRoute) and s.route.account == name]
    return [s for s in directory.servers.values() if not isinstance(s.route, GraphRoute) and way_out.lane_of(directory, s, "") == lane]


class Ways:
    """Transports and paces, made when a lane first needs them, and made anew when the objects change."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._client = client()
        self._destinations = Destinations(parts)
        self._version = -1
        self._ways: dict[tuple[LaneName, str], tuple[int, Way]] = {}
        self._paces: dict[LaneName, tuple[int, Sequence[OutgoingServer], LanePace]] = {}
        """With the lease and the servers that each was made for."""
        self._smarthosts: dict[str, Smarthost] = {}
        self._notifications: dict[str, LanePace] = {}
        self._budgets: dict[str, Budget] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __call__(self, lane: Lane, server_name: str) -> Way:
        directory = self._current()
        epoch, way = self._ways.get((lane.name, server_name), (0, None))
        if way is None or epoch != lane.epoch:  # with every lease a new pace: somebody else may have used the lane before
            make = self._returned if lane.name == RETURNS else self._to_destination if lane.name.startswith(DESTINATION) else self._out
            way = make(lane, server_name, directory)
            self._ways[lane.name, server_name] = (lane.epoch, way)
        return way

    def _out(self, lane: Lane, server_name: str, directory: Directory) -> Way:
        server = directory.servers.get(server_name)
        fits = server in servers_of(directory, lane.name)
        if not fits and self._parts.directory.look():  # the process that accepts may have learnt of it before us
            return self._out(lane, server_name, self._current())
        if server is None:
            raise ConfigError(
                f"the outgoing server {server_name!r} does not exist any more; add it again, move its mail to another server, or cancel it"
            )
        if not fits:
            why = f"this mail waits for the route that the outgoing server {server_name!r} had when it came, {lane.name}"
            raise ConfigError(f"{why}, and by now it has another; set the former one again, or cancel the mail and resubmit it")
        pace = self._pace(server, lane)
        return Way(self._transport(server, lane.name, pace), pace, self._budget(server, directory))

    def source(self, lane: Lane, server: IncomingServer) -> Source:
        """The mailbox of an incoming server, at the pace of its lane. Blocking. Raises ConfigError."""
        directory = self._current()
        inbox = server.source
        if not isinstance(inbox, GraphInbox):
            return by_mail_server(self._parts, server, inbox)
        account = self._parts.directory.account(inbox.account)
        sending = next(iter(servers_of(directory, lane.name)), None)
        pace = self._pace(sending or OutgoingServer(name="", route=GraphRoute(account=account.name)), lane)
        address = lane.name.rpartition(":")[2]
        return GraphSource(
            self._at(account, address),
            Http(self._client, self._token(account.name, Resource.GRAPH), pace),
            key=f"{lane.name}:{inbox.folder.lower()}",
            folder=inbox.folder,
            after=server.after,
            move_to=server.move_to,
            clock=utc_now,
            reports=server.name.startswith(REPORTS),
        )

    def _current(self) -> Directory:
        directory = self._parts.directory()
        if directory.version != self._version:
            self._version = directory.version
            self._forget()
        return directory

    def _to_destination(self, lane: Lane, name: str, directory: Directory) -> Way:
        pace = LanePace(utc_now, mails=Limits((), HAND_OVERS))
        if not name:
            return Way(make_replay(self._parts), pace)
        destination = directory.destinations.get(name)
        if destination is None and self._parts.directory.look():
            return self._to_destination(lane, name, self._current())
        if destination is None or not destination.active:
            raise ConfigError(
                f"the destination {name!r} is not there, or not active; add it again, and then: mailroom queue free {lane.name}"
            )
        return Way(self._destinations.transport(destination), pace)

    def _returned(self, lane: Lane, name: str, directory: Directory) -> Way:
        return Way(self._destinations.returns(), LanePace(utc_now, mails=Limits((), HAND_OVERS)))

    def _pace(self, server: OutgoingServer, lane: Lane) -> LanePace:
        """Servers that share a mailbox share its lane, and so its pace; so do sending and fetching. What changes elsewhere, such as an
        address that is suppressed, leaves it alone: it alone knows what is under way, and what the provider has asked for."""
        rules = servers_of(self._current(), lane.name)
        epoch, made_for, pace = self._paces.get(lane.name, (0, (), None))
        if pace is None or epoch != lane.epoch or made_for != rules:
            scale = self._parts.settings.queue.time_scale
            past = past_of(self._parts.store, lane.name, utc_now(), scale=scale)
            fresh = pace_of(server, utc_now, past, scale=scale)
            if pace is not None:
                fresh.obey(pace)
            self._paces[lane.name] = (lane.epoch, rules, fresh)
            return fresh
        return pace

    def _budget(self, server: OutgoingServer, directory: Directory) -> Budget | None:
        """All lanes of a tenant share what this process holds of its limit."""
        account = None if isinstance(server.route, SinkRoute) else directory.accounts.get(server.route.account)
        rule = rule_of(directory, account) if account else None
        if rule is None:
            return None
        budget = self._budgets.setdefault(rule.name, Budget(self._parts.store.budgets, rule, utc_now))
        budget.change(rule)
        return budget

    def _forget(self) -> None:
        """Objects have changed. What is under way keeps its transport until it ends."""
        self._ways.clear()
        self._paces = {lane: kept for lane, kept in self._paces.items() if not kept[2].rests()}
        for smarthost in self._smarthosts.values():
            task = asyncio.create_task(smarthost.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._smarthosts.clear()

    def _transport(self, server: OutgoingServer, lane: LaneName, pace: LanePace) -> Transport:
        route = server.route
        match route:
            case GraphRoute():
                return self._graph(route, lane, pace)
            case SmarthostRoute():
                if server.name not in self._smarthosts:
                    self._smarthosts[server.name] = self._smarthost(server, route)
                return self._smarthosts[server.name]
            case SinkRoute():
                return Sink(route)
            case _:
                assert_never(route)

    def _graph(self, route: GraphRoute, lane: LaneName, pace: LanePace) -> Transport:
        account = self._parts.directory.account(route.account)
        address = lane.rpartition(":")[2]
        own = self._mailbox(account, route, address, pace)
        if route.mailbox != "sender":
            return own
        domain = self._parts.directory().alias_domains.get(domain_of(address))
        notification = way_out.notification_address(domain)
        if not notification or normalize(notification) == address:
            return own
        # Lanes of senders without a mailbox share one pace here.
        if notification not in self._notifications:
            self._notifications[notification] = LanePace(utc_now, mails=MAILBOX, requests=MAILBOX)
        return OwnOrNotification(own, self._mailbox(account, route, notification, self._notifications[notification]), notification)

    def _mailbox(self, account: Account, route: GraphRoute, address: str, pace: LanePace) -> Graph:
        http = Http(self._client, self._token(account.name, Resource.GRAPH), pace)
        return Graph(self._at(account, address), http, account=account.name, read_write=account.read_write, on_unsure=route.on_unsure)

    def _at(self, account: Account, address: str) -> Mailbox:
        signed_in = account.grant is GrantType.DELEGATED and address == account.mailbox.lower()
        return Mailbox.of(cloud_of(account).graph, "" if signed_in else address)

    def _smarthost(self, server: OutgoingServer, route: SmarthostRoute) -> Smarthost:
        vault, name = self._parts.vault, f"server:{server.name}"

        async def password() -> str:
            kept = await asyncio.to_thread(vault.open, name)
            if kept is None:
                raise VaultError(f"the password of {route.user} for {server.name!r} is missing; run: mailroom server password")
            return kept["password"]

        mailbox = self._parts.directory.account(route.account).mailbox if route.account else ""
        return Smarthost(
            server.name,
            route,
            password=password if route.user and not route.account else None,
            token=self._token(route.account, Resource.SMTP) if route.account else None,
            mailbox=mailbox,
            helo=hostname(self._parts.settings),
            return_address=return_address(self._parts.directory, route, mac_of(self._parts)),
        )

    def _token(self, account: str, resource: Resource) -> Callable[[str], Awaitable[str]]:
        return lambda refused: self._parts.vault.token(account, resource=resource, refused=refused)

    async def close(self) -> None:
        self._forget()
        await asyncio.gather(*self._closing)
        try:
            await asyncio.gather(*(budget.close() for budget in self._budgets.values()))
        except StoreError as problem:  # what is not given back stays taken, for a day
            events.store_trouble(str(problem))
        await self._destinations.close()
        await self._client.aclose()
