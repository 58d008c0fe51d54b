"""What the pages about accounts need; `wiring` makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mailroom.doctor.trial import Step
from mailroom.objects import Account, OutgoingServer
from mailroom.vault.expiry import Expiry

CALLBACK = "/signin/callback"
"""Where providers send the browser back to, below our own address."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A sign-in has come to its end."""

    account: Account
    told: str
    server: str
    """The outgoing server that was made; empty if there was one, or none could be made."""
    freed: int


class AccountsDesk(Protocol):
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
