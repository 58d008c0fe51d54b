"""Where the parts are put together: the only file that names concrete classes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, assert_never

from mailroom import accept
from mailroom.accept import Accept, House, Submission
from mailroom.api.web import Web
from mailroom.batching import GroupCommit
from mailroom.blobs.files import FileBlobs
from mailroom.ids import Ids
from mailroom.lanes import LanePace, pace_of, past_of
from mailroom.listen.door import Client
from mailroom.listen.listener import Limits, Listener, Network, TlsMode
from mailroom.listen.submission import Running
from mailroom.listen.submission import serve as serve_smtp
from mailroom.listen.tls import Certificates, TlsFiles, self_signed
from mailroom.machine import machine
from mailroom.objects import Account, Application, Directory, GrantType, GraphRoute, OutgoingServer, Retention, SinkRoute, SmarthostRoute
from mailroom.ports import Lane, NewMessage, Store, Transport, Wakeup
from mailroom.queue.attempt import Desk
from mailroom.queue.ledger import Ledger
from mailroom.queue.report import Reporter
from mailroom.queue.settle import LOOKS
from mailroom.queue.sweep import check_owner, sweep
from mailroom.queue.worker import Way, Worker
from mailroom.settings import ListenerSettings, Settings
from mailroom.store import nudges
from mailroom.store.open import open_store
from mailroom.transports.graph import Graph
from mailroom.transports.graph_senders import OwnOrNotification
from mailroom.transports.http import Http, client
from mailroom.transports.sink import Sink
from mailroom.transports.smarthost import Smarthost
from mailroom.vault import credentials
from mailroom.vault.keys import KeyRing
from mailroom.vault.vault import SealedVault, cloud_of
from mailroom_core.errors import ConfigError, Refused, StoreError, VaultError
from mailroom_core.model import LaneName, MessageId, show_id
from mailroom_core.policy.addresses import domain_of, normalize
from mailroom_core.providers.graph.limits import MAILBOX
from mailroom_core.providers.graph.mailbox import Mailbox

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every process of the gateway has."""

    settings: Settings
    store: Store
    blobs: FileBlobs
    vault: SealedVault
    ids: Ids
    directory: CachedDirectory
    machine: str
    owner: str
    """This process; begins with the machine."""

    def close(self) -> None:
        self.store.close()


def open_parts(settings: Settings) -> Parts:
    """Open the database, the blobs and the vault; makes them at first start. Raises ConfigError, StoreError, VaultError."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise ConfigError(f"the data directory {settings.data} can't be made ({problem.strerror}); set another one with --data") from None
    here = machine(settings.data)
    store = open_store(settings.database_url, clock=utc_now)
    try:
        keys = KeyRing(settings.vault_key_file, first=not store.secrets())
    except VaultError:
        store.close()
        raise
    directory = CachedDirectory(store)
    owner = f"{here}{os.getpid()}"
    vault = SealedVault(keys, store, directory.account, Http(client()), utc_now, owner)
    ids = Ids(store.node(), utc_now)
    return Parts(settings, store, FileBlobs(settings.data / "blobs"), vault, ids, directory, here, owner)


class CachedDirectory:
    """The objects, read again when their version has grown; looked at once a second, and never in the middle of a session."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept = store.directory()

    def __call__(self) -> Directory:
        return self._kept

    def look(self) -> bool:
        """Blocking. Whether something changed."""
        try:
            if self._store.directory_version() == self._kept.version:
                return False
            self._kept = self._store.directory()
        except StoreError:
            return False  # the database is in trouble: go on with what is known
        return True

    def account(self, name: str) -> Account:
        """Raises ConfigError."""
        self.look()
        found = self._kept.accounts.get(name)
        if found is None:
            raise ConfigError(f"there is no account {name!r}; see: mailroom connect --help")
        return found


# ---- the way in -----------------------------------------------------------------------------------------------------


def hostname(settings: Settings) -> str:
    full = socket.getfqdn()
    return settings.smtp.hostname or (full if "." in full else socket.gethostname())


def make_accept(parts: Parts, notify: Callable[[], None]) -> tuple[Accept, GroupCommit[NewMessage, Mapping[MessageId, MessageId]]]:
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]] = GroupCommit("put", partial(accept.write, parts.store))
    made = Accept(
        blobs=parts.blobs,
        directory=parts.directory,
        ids=parts.ids,
        clock=utc_now,
        commit=commit,
        notify=notify,
        house=House(hostname=hostname(parts.settings), lifetime=parts.settings.queue.lifetime),
    )
    return made, commit


class FrontDoor:
    """The listeners' door: who may come in, by what the directory says now."""

    def __init__(self, parts: Parts, made: Accept) -> None:
        self._directory = parts.directory
        self._max_size = parts.settings.smtp.max_size
        self._key = credential_key(parts)
        self._version = -1
        self._networks: list[tuple[Network, Application]] = []
        self._accept = made

    def by_credential(self, user: str, secret: str) -> Application | None:
        application = self._directory().applications.get(user)
        if application and application.active and credentials.matches(self._key, secret, application.key):
            return application
        return None

    def by_network(self, client: Client) -> Application | None:
        mapped = getattr(client, "ipv4_mapped", None) or client
        for network, application in self._trusted():
            if mapped in network:
                return application
        return None

    def _trusted(self) -> list[tuple[Network, Application]]:
        """Networks of active applications, parsed once for every version of the directory."""
        directory = self._directory()
        if directory.version != self._version:
            active = (each for each in directory.applications.values() if each.active)
            self._networks = [(ip_network(network, strict=False), each) for each in active for network in each.networks]
            self._version = directory.version
        return self._networks

    def by_certificate(self, sha256_hex: str) -> Application | None:
        for application in self._directory().applications.values():
            if application.active and sha256_hex.lower() in (known.lower().replace(":", "") for known in application.certificates):
                return application
        return None

    def check_sender(self, application: Application, sender: str | None) -> None:
        today = self._directory().applications.get(application.name)
        if today is None or not today.active:  # a session may outlive its right
            raise Refused(554, "5.7.1", f"{application.name} may not send any more; ask the administrator")
        if sender:
            accept.check_sender(today, sender)

    def max_size(self, application: Application) -> int:
        return min(application.max_size, self._max_size)

    async def accept(self, submission: Submission) -> str:
        return f"queued as {show_id(await self._accept(submission))}"


def credential_key(parts: Parts) -> bytes:
    """The key of the stored hashes of credentials; made once, sealed in the vault, so that a new vault key changes no hash."""
    name = "credential-key"
    kept = parts.vault.open(name)
    if kept is None:
        kept = {"key": os.urandom(32).hex()}
        parts.vault.seal(name, kept)
    return bytes.fromhex(kept["key"])


# ---- the way out ----------------------------------------------------------------------------------------------------


def servers_of(directory: Directory, lane: LaneName) -> list[OutgoingServer]:
    """The outgoing servers whose mail goes by this lane."""
    kind, _, rest = lane.partition(":")
    if kind == "graph":
        name = rest.rpartition(":")[0]
        return [s for s in directory.servers.values() if isinstance(s.route, GraphRoute) and s.route.account == name]
    return [s for s in directory.servers.values() if not isinstance(s.route, GraphRoute) and accept.lane_of(directory, s, "") == lane]


class Ways:
    """Transports and paces, made when a lane first needs them, and made anew when the objects change."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._client = client()
        self._version = -1
        self._ways: dict[tuple[LaneName, str], tuple[int, Way]] = {}
        self._smarthosts: dict[str, Smarthost] = {}
        self._notifications: dict[str, LanePace] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __call__(self, lane: Lane, server_name: str) -> Way:
        directory = self._parts.directory()
        if directory.version != self._version:
            self._version = directory.version
            self._forget()
        epoch, way = self._ways.get((lane.name, server_name), (0, None))
        if way is None or epoch != lane.epoch:  # with every lease a new pace: somebody else may have used the lane before
            server = directory.servers.get(server_name)
            fits = server in servers_of(directory, lane.name)
            if not fits and self._parts.directory.look():  # the process that accepts may have learnt of it before us
                return self(lane, server_name)
            if server is None:
                raise ConfigError(f"the outgoing server {server_name!r} does not exist any more; add it again, or cancel its mail")
            if not fits:
                why = f"this mail waits for the route that the outgoing server {server_name!r} had when it came, {lane.name}"
                raise ConfigError(f"{why}, and by now it has another; set the former one again, or cancel the mail and resubmit it")
            pace = self._pace(server, lane)
            way = Way(self._transport(server, lane.name, pace), pace)
            self._ways[lane.name, server_name] = (lane.epoch, way)
        return way

    def _pace(self, server: OutgoingServer, lane: Lane) -> LanePace:
        """Servers that share a mailbox share its lane, and so its pace."""
        for (name, _), (epoch, way) in self._ways.items():
            if name == lane.name and epoch == lane.epoch:
                return way.pace
        past = past_of(self._parts.store, lane.name, utc_now())
        return pace_of(server, utc_now, past, scale=self._parts.settings.queue.time_scale)

    def _forget(self) -> None:
        """Objects have changed. What is under way keeps its transport until it ends."""
        self._parts.vault.forget()
        self._ways.clear()
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
        notification = accept.notification_address(domain)
        if not notification or normalize(notification) == address:
            return own
        # Lanes of senders without a mailbox share one pace here.
        if notification not in self._notifications:
            self._notifications[notification] = LanePace(utc_now, mails=MAILBOX, requests=MAILBOX)
        return OwnOrNotification(own, self._mailbox(account, route, notification, self._notifications[notification]), notification)

    def _mailbox(self, account: Account, route: GraphRoute, address: str, pace: LanePace) -> Graph:
        signed_in = account.grant is GrantType.DELEGATED and address == account.mailbox.lower()
        mailbox = Mailbox.of(cloud_of(account).graph, "" if signed_in else address)
        http = Http(self._client, self._token(account.name), pace)
        return Graph(mailbox, http, read_write=account.read_write, on_unsure=route.on_unsure)

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
            token=self._token(route.account) if route.account else None,
            mailbox=mailbox,
            helo=hostname(self._parts.settings),
        )

    def _token(self, account: str) -> Callable[[str], Awaitable[str]]:
        return lambda refused: self._parts.vault.token(account, refused=refused)

    async def close(self) -> None:
        self._forget()
        await asyncio.gather(*self._closing)
        await self._client.aclose()


def make_worker(parts: Parts, ways: Ways, wakeup: Wakeup) -> Worker:
    """Delivers."""
    if parts.settings.database:
        nudges.listen(parts.settings.database, wakeup.notify)  # other machines store mail as well
    desk = Desk(
        store=parts.store,
        blobs=parts.blobs,
        ids=parts.ids,
        clock=utc_now,
        random=Random(),  # noqa: S311  # jitter, no secret
        ledger=Ledger(parts.store),
        report=reporter(parts).add,
        time_limit=parts.settings.queue.time_limit,
        looks=parts.settings.queue.looks or LOOKS,
    )
    return Worker(parts.owner, desk, ways, wakeup)


def reporter(parts: Parts) -> Reporter:
    return Reporter(
        directory=parts.directory,
        blobs=parts.blobs,
        suppressed=parts.store.suppressed,
        ids=parts.ids,
        clock=utc_now,
        hostname=hostname(parts.settings),
        lifetime=parts.settings.queue.lifetime,
    )


def make_sweep(parts: Parts) -> Coroutine[None, None, None]:
    """What time does to mail."""
    queue = parts.settings.queue
    retention = Retention(raw=queue.keep_raw, rows=queue.keep_rows)
    # The key of the credentials is made with the database and goes with it into every backup.
    ours = partial(check_owner, parts.settings.data / "blobs.owner", credentials.digest(credential_key(parts), "blobs"))
    return sweep(parts.store, parts.blobs, utc_now, retention, reporter(parts).reports, ours)


# ---- the process that accepts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Front:
    """Listeners and web address at work."""

    smtp: Running
    web: Web
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]]

    def addresses(self) -> list[str]:
        return [*(f"smtp://{host}:{port}" for host, port in self.smtp.addresses), self.web.url]

    async def stop(self, deadline: timedelta) -> None:
        """What was handed over is committed before this returns."""
        await self.smtp.stop(deadline)
        await self.web.stop()
        await self.commit.close()


async def make_front(parts: Parts, wakeup: Wakeup, stopping: Callable[[], bool]) -> Front:
    settings = parts.settings
    made, commit = make_accept(parts, wakeup.notify)
    spool = _spool(settings)
    smtp = await serve_smtp(
        [_listener(each) for each in settings.listener],
        FrontDoor(parts, made),
        spool=spool,
        hostname=hostname(settings),
        certificates=_certificates(settings),
        limits=Limits(
            max_size=settings.smtp.max_size,
            max_recipients=settings.smtp.max_recipients,
            max_sessions=settings.smtp.max_sessions,
            max_sessions_per_client=settings.smtp.max_sessions_per_client,
            idle=settings.smtp.idle,
            clear_text_login_on_loopback=settings.smtp.clear_text_login_on_loopback,
        ),
    )
    web = Web(partial(_web_app, parts, made, wakeup, spool, stopping), settings.web.host, settings.web.port)
    return Front(smtp, web, commit)


def _web_app(parts: Parts, made: Accept, wakeup: Wakeup, spool: Path, stopping: Callable[[], bool]) -> ASGIApp:
    """Blocking; imported here, because neither the listeners nor the workers should wait for it."""
    from mailroom.api import app, health, office

    return app.make_app(
        office.Office(
            store=parts.store,
            blobs=parts.blobs,
            directory=parts.directory,
            look=parts.directory.look,
            accept=made,
            notify=wakeup.notify,
            seal=parts.vault.seal,
            clock=utc_now,
            key=credential_key(parts),
            spool=spool,
            max_size=parts.settings.smtp.max_size,
            max_recipients=parts.settings.smtp.max_recipients,
        ),
        health.routes(parts.store, stopping),
    )


def _listener(each: ListenerSettings) -> Listener:
    networks = tuple(ip_network(network) for network in each.networks)
    return Listener(host=each.host, port=each.port, tls=TlsMode(each.tls), legacy=each.legacy, networks=networks)


def _spool(settings: Settings) -> Path:
    """What a killed process left there was never accepted."""
    spool = settings.data / "spool"
    spool.mkdir(mode=0o700, exist_ok=True)
    for leftover in spool.iterdir():
        leftover.unlink()
    return spool


def _certificates(settings: Settings) -> Certificates | None:
    if all(each.legacy or each.tls == "none" for each in settings.listener):
        return None
    given = settings.tls
    if given.certificate and given.key:
        files = TlsFiles(certificate=given.certificate, key=given.key)
    else:
        files = self_signed(settings.data, [hostname(settings), "localhost", "127.0.0.1"], now=utc_now())
    return Certificates(replace(files, client_authorities=given.client_authorities))
