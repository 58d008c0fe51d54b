"""Open connections to one server: at most so many, kept for the next mail, let go when they are old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mailroom.transports.smtp_wire import Wire

MAILS = 1000
"""Mails over one connection; then a new one, so that a server behind a balancer gets its share."""
IDLE = 20.0
"""Seconds without work until a connection is closed. Servers close after 30 s to 5 min; who closes first knows that it is closed."""
_GOODBYE = 5.0


class Pool:
    """`connect(deadline)` opens a connection and signs in."""

    def __init__(self, connect: Callable[[float], Awaitable[Wire]], *, connections: int, idle: float = IDLE, mails: int = MAILS) -> None:
        self._room = asyncio.Semaphore(max(1, connections))
        self._connect = connect
        self._idle_seconds = idle
        self._mails = mails
        self._idle: list[Wire] = []
        self._open: set[Wire] = set()
        self._connecting = 0
        self._closed = False
        self._reaper: asyncio.TimerHandle | None = None

    async def enter(self, deadline: float) -> None:
        """Wait until a connection may be used; `leave` afterwards. Raises TimeoutError."""
        if self._room.locked():
            async with asyncio.timeout_at(deadline):
                await self._room.acquire()
        else:
            await self._room.acquire()

    def leave(self) -> None:
        self._room.release()

    def others(self) -> bool:
        """For a connection that is being opened: whether another one stands or is on its way."""
        return self._connecting > 1 or any(not wire.broken for wire in self._open)

    async def take(self, deadline: float, *, fresh: bool = False) -> Wire:
        """The connection used last, or a new one; `fresh` wants a new one. Raises what `connect` raises."""
        while self._idle and not fresh:
            wire = self._idle.pop()
            if not wire.broken:
                return wire
            self._open.discard(wire)
        self._connecting += 1
        try:
            wire = await self._connect(deadline)
        finally:
            self._connecting -= 1
        self._open.add(wire)
        return wire

    def give(self, wire: Wire) -> None:
        """Give it back, in whatever state."""
        if self._closed or wire.broken or wire.used >= self._mails:
            self._let_go(wire)
            return
        loop = asyncio.get_running_loop()
        wire.idle_since = loop.time()
        self._idle.append(wire)
        if self._reaper is None:
            self._reaper = loop.call_later(self._idle_seconds, self._reap)

    def _let_go(self, wire: Wire) -> None:
        wire.quit()
        self._open.discard(wire)

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        old = [wire for wire in self._idle if wire.broken or wire.idle_since <= loop.time() - self._idle_seconds]
        self._idle = [wire for wire in self._idle if wire not in old]
        for wire in old:
            self._let_go(wire)
        self._reaper = None
        if self._idle:
            oldest = min(wire.idle_since for wire in self._idle)
            self._reaper = loop.call_at(oldest + self._idle_seconds, self._reap)

    async def close(self) -> None:
        """Say goodbye on all connections that rest, and wait a little for the goodbyes to leave; the others follow when they are given."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        idle, self._idle = self._idle, []
        for wire in idle:
            self._let_go(wire)
        if idle:
            await asyncio.wait([wire.lost for wire in idle], timeout=_GOODBYE)
        for wire in idle:
            wire.drop("we closed the connection")
