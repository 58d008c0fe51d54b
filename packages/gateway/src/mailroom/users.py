"""People who sign in to the console, and what the store keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from mailroom.objects import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person. The secret of the second factor lies in the vault under `second_factor_of(name)`, never here."""

    name: str
    """What one signs in with: an e-mail address, in small letters."""
    role: Role
    active: bool = True
    password: str = field(default="", repr=False)
    """Its argon2id hash; empty: none, so that only the identity provider lets in."""
    subject: str = ""
    """At the identity provider: issuer, a space, `sub`."""
    managed: bool = False
    """Made at a sign-in through the identity provider, which decides about the role as well."""
    second_factor: bool = False
    recovery: tuple[str, ...] = field(default=(), repr=False)
    """Keyed SHA-256 of the recovery codes that are left."""


def second_factor_of(name: str) -> str:
    """The name of a secret in the vault."""
    return f"second-factor:{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody is signed in with one browser."""

    key: str = field(repr=False)
    """Keyed SHA-256 of the id that the browser holds."""
    user: str
    created_at: datetime
    seen_at: datetime
    agent: str
    """What the browser calls itself."""
    address: str


class LinkKind(Enum):
    """What a link, or a sign-in that is under way, is good for. Each is used once."""

    SET_UP = "set up"
    """Makes the first administrator."""
    PASSWORD = "password"  # noqa: S105  # a kind
    """Sets a password: an invitation, or a reset."""
    SECOND_FACTOR = "second factor"
    """The password was right; the code is still to come."""
    PROVIDER = "provider"
    """Somebody is on the way to the identity provider and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A right that is used once, before it expires."""

    key: str = field(repr=False)
    """Keyed SHA-256 of what its holder has."""
    kind: LinkKind
    user: str = ""
    data: str = ""
    """Where to go afterwards; nothing secret."""
    expires_at: datetime


class Users(Protocol):
    """People, their sessions and links. A part of the store, on its clock; each method is one transaction."""

    def user(self, name: str) -> User | None: ...

    def by_subject(self, subject: str) -> User | None: ...

    def all(self) -> list[User]:
        """By name."""

    def add(self, user: User) -> None:
        """Raises ConfigError if there is one of that name."""

    def change(self, name: str, how: Callable[[User], User]) -> User:
        """Replace a user by what `how` makes of it. A change of role, password or right to sign in ends the person's sessions.

        Raises ConfigError if there is no such user, and if no active administrator would be left.
        """

    def remove(self, name: str) -> None:
        """With sessions and links. Raises ConfigError as `change` does."""

    def spend_step(self, name: str, step: int) -> bool:
        """Use the code of a time step; False if that one, or a later one, was used before."""

    def spend_recovery(self, name: str, digest: str) -> bool:
        """Use a recovery code; False if it is none, or was used before."""

    # -- sessions
    def begin_session(self, session: Session) -> None:
        """Times are the store's own."""

    def session(self, key: str, *, idle: timedelta, absolute: timedelta) -> tuple[Session, User] | None:
        """One that is neither unused for too long nor too old, of an active user."""

    def seen(self, key: str) -> None: ...

    def sessions(self, user: str = "", *, idle: timedelta, absolute: timedelta) -> list[Session]:
        """Those that count, the last used first; of everybody without a name."""

    def end_sessions(self, keys: Sequence[str]) -> int: ...

    def end_sessions_of(self, user: str) -> int: ...

    def forget_everybody(self) -> None:
        """Ends all sessions and links: in a restored copy, some are there again that had ended."""

    # -- links
    def put_link(self, link: Link, *, only: bool = False) -> None:
        """`only` drops the others of that kind and user."""

    def link(self, key: str, kind: LinkKind) -> Link | None:
        """One that has not expired."""

    def spend_link(self, key: str, kind: LinkKind) -> Link | None:
        """The same, and it is gone; of two who try at once, one gets it."""

    # -- limits
    def attempt(self, what: str, window: timedelta) -> int:
        """Count one more within a window that began with the first; how many it makes. It counts before its outcome is known."""

    def forget_attempts(self, what: str) -> None: ...
