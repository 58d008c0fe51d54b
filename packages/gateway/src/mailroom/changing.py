"""What is done to objects, the same for the API, the console and the command line: checks first, secrets with them, and who it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex
from time import monotonic, sleep
from typing import Any

from mailroom import tables
from mailroom.holds import free_after_sign_in
from mailroom.mailboxes import lane_of
from mailroom.objects import (
    Account,
    Application,
    Destination,
    Directory,
    GraphInbox,
    ImapInbox,
    IncomingServer,
    Object,
    OdooTarget,
    OutgoingServer,
    PopInbox,
    Scope,
    SmarthostRoute,
    Suppression,
    Token,
    chosen,
)
from mailroom.ports import Store
from mailroom.vault import credentials
from mailroom_core.errors import ConfigError, VaultError
from mailroom_core.policy.addresses import is_deliverable, normalize

KEPT = {
    "account": "accounts",
    "alias_domain": "alias_domains",
    "server": "servers",
    "application": "applications",
    "webhook": "webhooks",
    "destination": "destinations",
    "alias": "aliases",
    "incoming": "incoming",
}
"""Kind of object, and where a `Directory` keeps it."""


LEASE = timedelta(seconds=60)
WAIT = 20
"""Seconds."""
LOCAL = frozenset({"directory", "client_certificate", "client_key", "ca_file"})
"""Fields of a route that name a file or folder of the machine."""
Seal = Callable[[str, Mapping[str, str] | None], None]
"""Keeps a secret in the vault, or drops it."""


def of_kind(directory: Directory, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(directory, KEPT[kind])
    return found


def all_of(directory: Directory) -> dict[tuple[str, str], Object]:
    """By kind and name."""
    return {(kind, name): item for kind in KEPT for name, item in of_kind(directory, kind).items()}


def carry_out(
    store: Store, seal: Seal, before: Mapping[tuple[str, str], Object], put: Sequence[Object], remove: Sequence[tuple[str, str]], *, by: str
) -> list[str]:
    """Make a change, and drop first what the vault keeps for places that are left; returns the names of those secrets. Blocking.

    Raises VaultError if a token of an account that moves is being refreshed and that takes long.
    """
    after: dict[tuple[str, str], Object | None] = {**dict.fromkeys(remove), **_named(put)}
    left = [secret for at, new in after.items() for secret in _left_behind(before.get(at), new, *at)]
    with ExitStack() as alone:
        for account in sorted(secret.removeprefix("account:") for secret in left if secret.startswith("account:")):
            text = f"a token of the account {account!r} is being refreshed and that takes long; nothing was changed, try again in a minute"
            alone.enter_context(only_one(store, f"token:{account}", text))  # nobody refreshes the grant meanwhile, who would store it again
        for secret in left:
            seal(secret, None)
        store.apply(put, remove, by=by)
    return left


@contextmanager
def only_one(store: Store, name: str, trouble: str) -> Iterator[None]:
    """Holds a lease that one of all processes and threads has at a time. Blocking. Raises VaultError with `trouble` if that takes long."""
    owner = token_hex(16)
    deadline = monotonic() + WAIT
    while not store.lease(name, owner, LEASE):
        if monotonic() > deadline:
            raise VaultError(trouble, transient=True)
        sleep(0.1)
    try:
        yield
    finally:
        store.unlease(name, owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectDesk:
    """For those who come over the web. Blocking. Raises ConfigError, which says what is wrong in the words of a table."""

    store: Store
    directory: Callable[[], Directory]
    look: Callable[[], bool]
    seal: Seal
    key: bytes
    """Of the stored hashes of tokens and credentials."""

    def all(self) -> dict[tuple[str, str], Object]:
        """As they are now."""
        self.look()
        return all_of(self.directory())

    def put(self, kind: str, name: str, table: dict[str, Any], *, by: str, check: Callable[[Object], None] = lambda _: None) -> Object:
        """Add or replace one. What a program made (the hash of a credential) stays. Also raises pydantic's ValidationError."""
        others = self.all()
        old = others.get((kind, name))
        made = tables.read(kind, name, table, old)
        if isinstance(made, Application) and isinstance(old, Application):
            made = replace(made, key=old.key)
        _check_paths(kind, made, old)
        check(made)
        if new := self._newly_dangling(others, {**others, (kind, name): made}):
            raise ConfigError(new[0])
        self._apply([made], [], by)
        return made

    def remove(self, kind: str, name: str, *, by: str) -> None:
        """Not while another one needs it."""
        others = self.all()
        rest = {each: item for each, item in others.items() if each != (kind, name)}
        if new := self._newly_dangling(others, rest):
            raise ConfigError(f"It is still needed: without it, the {new[0]}")
        self._apply([], [(kind, name)], by)

    def _newly_dangling(self, before: Mapping[tuple[str, str], Object], after: Mapping[tuple[str, str], Object]) -> list[str]:
        """What was wrong already is nobody's fault now."""
        known = tables.dangling(before.values())
        return [each for each in tables.dangling(after.values()) if each not in known]

    def _apply(self, put: Sequence[Object], remove: Sequence[tuple[str, str]], by: str) -> None:
        carry_out(self.store, self.seal, all_of(self.directory()), put, remove, by=by)
        self.look()

    # -- secrets
    def new_credential(self, application: Application, *, by: str) -> str:
        """A password for SMTP, to be shown this once; the one of before stops working."""
        password = credentials.generate()
        self._apply([replace(application, key=credentials.digest(self.key, password))], [], by)
        return password

    def set_password(self, server: OutgoingServer, password: str, *, by: str) -> None:
        """Of a smarthost with a user. Mail that waited for it goes on."""
        if not isinstance(server.route, SmarthostRoute) or not server.route.user:
            raise ConfigError(f"{server.name!r} is no smarthost with a user; give it one first")
        self.seal(f"server:{server.name}", {"password": password})
        self._apply([server], [], by)  # so that the running gateway signs in anew
        self.store.audit(by=by, what="new password", kind="server", name=server.name)
        free_after_sign_in(self.store, lambda lane: lane == f"smarthost:{server.name}", by=by)

    def set_incoming_password(self, server: IncomingServer, password: str, *, by: str) -> None:
        """Of a mailbox that is read with a user's password. If it waited for that, it is looked at now."""
        if isinstance(server.source, GraphInbox) or server.source.account:
            raise ConfigError(f"{server.name!r} signs in with the account {server.source.account!r}, and has no password")
        self.seal(f"incoming:{server.name}", {"password": password})
        self._apply([server], [], by)
        self.store.audit(by=by, what="new password", kind="incoming", name=server.name)
        lane = lane_of(self.directory(), server)
        free_after_sign_in(self.store, lambda each: each == lane, by=by)
        self.store.watch.now([server.name])

    def set_key(self, destination: Destination, key: str, *, add_on: bool = False, by: str) -> None:
        """Of an Odoo, or of the add-on in it. Mail that waited for it goes on."""
        if not isinstance(destination.target, OdooTarget):
            raise ConfigError(f"the destination {destination.name!r} has no key; only one that is an Odoo has")
        self.seal(f"{'add-on' if add_on else 'destination'}:{destination.name}", {"key": key})
        self._apply([destination], [], by=by)  # so that the running gateway reads it
        self.store.audit(by=by, what="new key of the add-on" if add_on else "new key", kind="destination", name=destination.name)
        free_after_sign_in(self.store, lambda lane: lane == f"destination:{destination.name}", by=by)

    def new_token(
        self, name: str, *, scopes: Sequence[Scope], application: str, expires_at: datetime | None, per_minute: int, by: str
    ) -> str:
        """A token of the API, to be shown this once."""
        self.look()
        check_token(self.directory(), name, scopes, application)
        secret = credentials.TOKEN + credentials.generate()
        key = credentials.digest(self.key, secret)
        made = Token(name=name, key=key, scopes=tuple(scopes), application=application, expires_at=expires_at, per_minute=per_minute)
        self._apply([made], [], by)
        return secret

    def remove_token(self, name: str, *, by: str) -> None:
        self._apply([], [("token", name)], by)

    # -- suppressions
    def suppress(self, address: str, reason: str, *, by: str) -> Suppression:
        if not is_deliverable(address):
            raise ConfigError(f"address: {address[:200]!r} is no address; write local@domain")
        made = Suppression(address=normalize(address), reason=reason)
        self._apply([made], [], by)
        return made

    def allow(self, address: str, *, by: str) -> None:
        """Mail to this address leaves again."""
        self._apply([], [("suppression", normalize(address))], by)


def check_token(directory: Directory, name: str, scopes: Sequence[Scope], application: str) -> None:
    """Raises ConfigError."""
    if not name.strip() or not name.isprintable():
        raise ConfigError("name: give the token a name in printable characters")
    if name in directory.tokens:
        raise ConfigError(f"name: there is a token {name!r} already; remove it first, or take another name")
    if not scopes:
        raise ConfigError("scopes: say what it may do; one that may do nothing is good for nothing")
    if application and application not in directory.applications:
        raise ConfigError(f"application: there is no application {application!r}")
    if Scope.SEND in scopes and not application:
        raise ConfigError("application: a token that sends belongs to an application, whose senders it may use")
    if application and {Scope.OBJECTS_READ, Scope.OBJECTS_WRITE} & set(scopes):
        raise ConfigError("scopes: objects belong to all applications: make another token for them, without an application")
    if application and Scope.INBOUND_WRITE in scopes:
        raise ConfigError("scopes: what comes in belongs to no application: make another token for it, without an application")


def _check_paths(kind: str, made: Object, old: Object | None) -> None:
    """Who is not on the machine chooses no file of it. Raises ConfigError."""
    where, word = chosen(kind, made)
    route, before = getattr(made, where, None), getattr(old, where, None)
    for name in sorted(LOCAL):
        given = getattr(route, name, "")
        if given and given != (getattr(before, name, "") if type(before) is type(route) else ""):
            text = "a file or folder of the machine can only be chosen on it, with `mailroom apply`; leave it as it is"
            raise ConfigError(f"{word}: {name}: {text}")


def _named(objects: Sequence[Object]) -> dict[tuple[str, str], Object | None]:
    """Those that may have secrets."""
    kinds = {Account: "account", OutgoingServer: "server", Destination: "destination", IncomingServer: "incoming"}
    return {(kind, each.name): each for each in objects if (kind := kinds.get(type(each))) and not isinstance(each, Suppression)}


def _left_behind(old: Object | None, new: Object | None, kind: str, name: str) -> tuple[str, ...]:
    """The names of the secrets that would be shown to another place, or as another app or user, than they were given for."""
    if new is not None and (old is None or _place(old) == _place(new)):
        return ()
    match kind:
        case "account":
            return (f"app:{name}", f"account:{name}")
        case "destination":
            return (f"destination:{name}", f"add-on:{name}")
        case "server" | "incoming":
            return (f"{kind}:{name}",)
        case _:
            return ()


def _place(item: Object) -> tuple[object, ...]:
    """Where an object's secrets are shown, and as whom."""
    match item:
        case Account():
            return item.place
        case OutgoingServer(route=SmarthostRoute() as route):
            return (route.host, route.port, route.security, route.user)
        case IncomingServer(source=ImapInbox() | PopInbox() as source):
            return (source.host, source.port, source.security, source.user)
        case Destination(target=OdooTarget() as target):
            return (target.url, target.database, target.user)
        case _:
            return ()
