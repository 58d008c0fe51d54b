"""What all sessions of one process share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailroom.listen.door import Client
from mailroom.listen.guard import Logins, Rates, Sessions
from mailroom.listen.listener import Limits, Listener
from mailroom.listen.tls import Certificates
from mailroom_core.errors import Refused


class Stoppable(Protocol):
    """A session, as the one who stops it sees it."""

    def stop(self) -> None:
        """Take nothing new; end at once unless a mail is on its way."""

    def abort(self) -> None: ...


def shutting_down() -> Refused:
    return Refused(421, "4.3.2", "The service is shutting down; try again later")


@dataclass(slots=True, kw_only=True)
class Service:
    limits: Limits
    spool: Path
    """A directory for what is too large for memory."""
    hostname: str
    ident: str
    """What follows our name in the greeting."""
    certificates: Certificates | None
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    counts: Sessions = field(init=False)
    logins: Logins = field(init=False)
    rates: Rates = field(init=False)
    sessions: set[Stoppable] = field(default_factory=set)
    """Those whose task runs; after its client has left, one may still wait for the door."""
    stopping: bool = False
    _nobody: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.counts = Sessions(self.limits)
        self.logins = Logins(self.limits, self.clock)
        self.rates = Rates(self.limits, self.clock)

    def enter(self, client: Client, listener: Listener) -> None:
        """Raises Refused (554, 421); otherwise `counts.leave` has to follow."""
        if self.stopping:
            raise shutting_down()
        if (listener.networks or listener.legacy) and not any(client in network for network in listener.networks):
            raise Refused(554, "5.7.1", f"No service for {client} on this port")
        self.counts.enter(client)

    def left(self, session: Stoppable) -> None:
        self.sessions.discard(session)
        if not self.sessions:
            self._nobody.set()

    async def all_gone(self) -> None:
        """Until no session is left."""
        while self.sessions:
            self._nobody.clear()
            await self._nobody.wait()
