"""What a process has around it: time, nudges, secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from mailroom_core.oauth.scopes import Resource

Clock = Callable[[], datetime]
"""Aware UTC."""


class Wakeup(Protocol):
    """A nudge between processes: there is work. Losing one costs a poll interval, nothing else."""

    def notify(self) -> None: ...

    async def wait(self, timeout: timedelta) -> None:
        """Returns at a nudge or after `timeout`."""

    def close(self) -> None: ...


class Vault(Protocol):
    """Secrets and tokens. Raises VaultError with what a person has to do."""

    def open(self, name: str) -> dict[str, str] | None: ...

    def seal(self, name: str, secret: Mapping[str, str] | None) -> None: ...

    async def token(self, account: str, *, resource: Resource = Resource.GRAPH, refused: str = "") -> str:
        """An access token for what the transport talks to, with at least 10 s left.

        `refused` is one that the provider has just answered 401 to.
        """
