"""What is done to objects, the same for the API, the console and the command line: checks first, secrets with them, and who it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mailroom import tables
from mailroom.holds import free_after_sign_in
from mailroom.objects import Account, Application, Directory, Object, OutgoingServer, Scope, SmarthostRoute, Suppression, Token
from mailroom.ports import Store
from mailroom.vault import credentials
from mailroom_core.errors import ConfigError
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


def of_kind(directory: Directory, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(directory, KEPT[kind])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectDesk:
    """Blocking. Raises ConfigError, which says what is wrong in the words of a table."""

    store: Store
    directory: Callable[[], Directory]
    look: Callable[[], bool]
    seal: Callable[[str, Mapping[str, str] | None], None]
    key: bytes
    """Of the stored hashes of tokens and credentials."""

    def all(self) -> dict[tuple[str, str], Object]:
        """As they are now."""
        self.look()
        directory = self.directory()
        return {(kind, name): item for kind in KEPT for name, item in of_kind(directory, kind).items()}

    def put(self, kind: str, name: str, table: dict[str, Any], *, by: str, check: Callable[[Object], None] = lambda _: None) -> Object:
        """Add or replace one. What a program made (the hash of a credential) stays. Also raises pydantic's ValidationError."""
        others = self.all()
        old = others.get((kind, name))
        made = tables.read(kind, name, table, old)
        if isinstance(made, Application) and isinstance(old, Application):
            made = replace(made, key=old.key)
        check(made)
        if new := self._newly_dangling(others, {**others, (kind, name): made}):
            raise ConfigError(new[0])
        if _elsewhere(old, made):
            self.seal(f"server:{name}", None)
        if _other_place(old, made):
            for secret in (f"app:{name}", f"account:{name}"):
                self.seal(secret, None)
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
        self.store.apply(put, remove, by=by)
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


def _elsewhere(old: Object | None, new: Object) -> bool:
    """Whether a server would show its password to another host than the one that it was given for."""
    if not isinstance(old, OutgoingServer) or not isinstance(new, OutgoingServer) or not isinstance(old.route, SmarthostRoute):
        return False
    place = (old.route.host, old.route.port, old.route.security, old.route.user)
    return not isinstance(new.route, SmarthostRoute) or place != (new.route.host, new.route.port, new.route.security, new.route.user)


def _other_place(old: Object | None, new: Object) -> bool:
    """Whether an account would show its secret or its tokens to another host, or as another app, than those that it was connected with."""
    if not isinstance(old, Account) or not isinstance(new, Account):
        return False
    places = [(each.provider, each.cloud, each.login_url, each.graph_url, each.client_id) for each in (old, new)]
    return places[0] != places[1]
