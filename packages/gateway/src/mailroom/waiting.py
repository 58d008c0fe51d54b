"""Waits at mailboxes by IDLE (RFC 2177), so that a mail is fetched as soon as it comes.

Like a provider's notification, news only make a look due: what is missed here is found at the next look. Over all processes one waits
at each mailbox, with a connection of its own, which may break at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from mailroom.objects import Directory, ImapInbox, IncomingServer
from mailroom.observe import events
from mailroom.ports import Clock, Store
from mailroom.sources.imap_session import ImapSession, NoFolder
from mailroom.sources.visit import Broken, SaidNo, Visit
from mailroom_core.errors import ConfigError, StoreError, VaultError
from mailroom_core.model import LaneName

LOOK = timedelta(seconds=1)
"""Between two looks at the objects."""
LEASE = timedelta(minutes=3)
RENEW = timedelta(minutes=1)
IDLE_LEASE = "idle:"
"""What the names of our leases begin with; `Store.end_leases` ends those of a boot before."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)
"""After a connection that broke, twice as long each time."""
PROVEN = timedelta(minutes=1)
"""A connection that has lasted so long begins the pauses anew."""


@dataclass(slots=True, kw_only=True)
class Waiting:
    """At every mailbox that can tell, until it is stopped."""

    store: Store
    directory: Callable[[], Directory]
    lane: Callable[[IncomingServer], LaneName]
    held: Callable[[LaneName], bool]
    """Blocking: whether a lane is. Nobody knocks where the password is wrong."""
    visit: Callable[[IncomingServer, ImapInbox], Visit[ImapSession]]
    owner: str
    notify: Callable[[], None]
    clock: Clock
    _tasks: dict[IncomingServer, asyncio.Task[None]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        version = -1
        try:
            while not stop.is_set():
                directory = self.directory()
                if directory.version != version:
                    version = directory.version
                    self._over({each for each in directory.incoming.values() if each.active and waits(each)})
                await _until(stop, LOOK)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, servers: set[IncomingServer]) -> None:
        for gone in set(self._tasks) - servers:
            self._tasks.pop(gone).cancel()
        for new in servers - set(self._tasks):
            self._tasks[new] = asyncio.create_task(self._at(new))
        self._changed.set()  # a new password may be among what has changed: who pauses tries again
        self._changed = asyncio.Event()

    async def _at(self, server: IncomingServer) -> None:
        """At one mailbox, until it is cancelled, or the server says that it can't tell."""
        pause = FIRST_PAUSE
        while True:
            began = self.clock()
            try:
                if not await self._wait_at(server):
                    events.not_told(server.name, "the server knows no IDLE; it is looked at as often as every_minutes says")
                    return
            except StoreError as problem:
                events.store_trouble(str(problem))
            except VaultError as problem:
                events.not_told(server.name, str(problem))
                await self._look(server)  # which holds the lane if that is for good, and tells
            except (ConfigError, Broken, SaidNo, NoFolder) as problem:
                events.not_told(server.name, str(problem))
            pause = FIRST_PAUSE if self.clock() - began > PROVEN else min(2 * pause, LONGEST_PAUSE)
            await _until(self._changed, pause)

    async def _wait_at(self, server: IncomingServer) -> bool:
        """Whether it is worth another try. Raises what ended the connection."""
        assert isinstance(server.source, ImapInbox)
        lease = f"{IDLE_LEASE}{server.name}"
        if not await asyncio.to_thread(self.store.lease, lease, self.owner, LEASE):
            return True  # somebody else waits there
        visit, news = self.visit(server, server.source), asyncio.Event()
        listening = asyncio.create_task(self._listen(server, visit, news))
        telling = asyncio.create_task(self._tell(server, lease, news))
        try:
            done, _ = await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
            worth = [task.result() for task in done]  # raises what ended it
            return all(worth)
        finally:
            listening.cancel()
            telling.cancel()
            await visit.close()
            await asyncio.gather(listening, telling, return_exceptions=True)
            await asyncio.to_thread(self._leave, server, lease)

    async def _listen(self, server: IncomingServer, visit: Visit[ImapSession], news: asyncio.Event) -> bool:
        """False: the server can't tell."""
        if await asyncio.to_thread(self.held, self.lane(server)):
            return True
        loop = asyncio.get_running_loop()
        told = partial(loop.call_soon_threadsafe, news.set)
        while True:
            can = await visit(partial(_listened, told=told))
            if can is False:
                return False
            if can is not True:
                raise Broken(str(can.reply))

    async def _tell(self, server: IncomingServer, lease: str, news: asyncio.Event) -> bool:
        """Makes looks due, and keeps the lease; returns when that is lost."""
        await news.wait()
        while True:
            if news.is_set():
                news.clear()
                await self._look(server)
            if not await asyncio.to_thread(self._keep, server, lease):
                return True
            await _until(news, RENEW)

    async def _look(self, server: IncomingServer) -> None:
        await asyncio.to_thread(self.store.watch.now, [server.name])
        self.notify()

    def _keep(self, server: IncomingServer, lease: str) -> bool:
        """Blocking."""
        ours = self.store.lease(lease, self.owner, LEASE)
        if ours:
            self.store.watch.awaited(server.name, self.clock() + LEASE)
        return ours

    def _leave(self, server: IncomingServer, lease: str) -> None:
        """Blocking."""
        try:
            self.store.watch.awaited(server.name, None)
            self.store.unlease(lease, self.owner)
        except StoreError as problem:  # it ends by itself
            events.store_trouble(str(problem))


def waits(server: IncomingServer) -> bool:
    """Whether somebody waits at its mailbox."""
    return isinstance(server.source, ImapInbox) and server.source.idle


async def _until(event: asyncio.Event, most: timedelta) -> None:
    try:
        async with asyncio.timeout(most.total_seconds()):
            await event.wait()
    except TimeoutError:
        pass


def _listened(session: ImapSession, told: Callable[[], object]) -> bool:
    """For a while; False: the server can't tell."""
    if not session.may("IDLE"):
        return False
    session.wait(told)
    return True
