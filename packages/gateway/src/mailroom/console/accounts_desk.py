"""What the pages about accounts need; `wiring` makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailroom.doctor.trial import Step
from mailroom.objects import Account, OutgoingServer
from mailroom.vault.certificates import Certificate
from mailroom.vault.expiry import Expiry

CALLBACK = "/signin/callback"
"""Where providers send the browser back to, below our own address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How an app registration proves itself."""

    certificate: Certificate | None
    """None if it is a secret."""
    until: datetime | None
    """None if nobody said when the secret ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A certificate that was made here, and belongs to no account yet."""

    name: str
    """Of the account that it was made for, as it was entered."""
    made_at: datetime
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An account, and how it is doing."""

    account: Account
    connected: bool
    allows: str
    """What it may do, in words."""
    until: datetime | None
    """The end of its access token; it is refreshed by itself."""
    ending: list[Expiry]
    """What ends within 30 days."""
    held: list[str]
    """Why lanes of it wait for a person."""
    waiting: int
    servers: list[str]
    proof: Proof | None
    """None without one: a public client, or an app that was disconnected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A sign-in has come to its end."""

    account: Account
    told: str
    server: str
    """The outgoing server that was made; empty if there was one, or none could be made."""
    freed: int


class ProofDesk(Protocol):
    """Blocking. Raises VaultError."""

    def of(self, account: str) -> Proof | None:
        """What proves its app registration; None if there is nothing."""

    def make(self, name: str, *, by: str) -> Prepared:
        """A new key and certificate, kept until an account is connected with it."""

    def prepared(self) -> list[Prepared]:
        """Those that belong to no account yet, the newest first."""

    def take(self, sha256: str) -> str:
        """One of them with its key, as PEM; it stays until an account is connected with it."""

    def drop(self, sha256: str, *, by: str) -> None:
        """Forget one of them."""


class AccountsDesk(Protocol):
    @property
    def proofs(self) -> ProofDesk:
        """Secrets and certificates."""

    def shown(self) -> list[Shown]:
        """All accounts by name. Blocking. Raises VaultError."""

    async def begin(self, account: Account, proof: Mapping[str, str] | None, *, session: str, redirect_uri: str) -> str:
        """Where the person's browser goes. `proof` as for the vault: None keeps the one that is there. Raises VaultError."""

    async def finish(self, answer: Mapping[str, str], *, session: str, by: str) -> Done:
        """What the browser brought back, once, in the same session. Raises VaultError, which says what to do."""

    async def app_only(self, account: Account, proof: Mapping[str, str] | None, *, by: str) -> Done:
        """Without a person. Raises VaultError."""

    async def disconnect(self, name: str, *, by: str) -> str:
        """Forget the grant, and end it at the provider where that can be done; says what is left to do. Raises VaultError."""

    def add_server(self, server: OutgoingServer, password: str, *, by: str) -> None:
        """Blocking. Raises VaultError, StoreError."""

    def trial(self, server: str, *, recipient: str, sender: str = "") -> AsyncIterator[Step]:
        """A real mail through a server. Raises ConfigError."""
