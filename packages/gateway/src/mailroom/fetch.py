"""The loop over the mailboxes: everything that is new is stored, and only then acknowledged.

    what is new? -> for each, a few at a time: its bytes -> `Intake` (committed) -> acknowledge -> what is new?

A crash in between fetches a mail once more; the store knows it by the mailbox and its id there, so it is only acknowledged then. A
mail that nothing can be made of stops none of the others: it waits in quarantine, or stays where it is and is told.

The lane's owner calls it, so that sending and fetching share one pace, and nobody else reads the mailbox at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from mailroom.holds import vault_outcome
from mailroom.incoming import New, Source
from mailroom.intake.judge import came_by
from mailroom.intake.take import Fetched, Intake, Known
from mailroom.objects import IncomingServer
from mailroom.observe import events
from mailroom.observe.faults import place_of
from mailroom.ports import Clock, Lane, Store, Watched
from mailroom_core.errors import StoreError, StoreRefused, VaultError
from mailroom_core.model import Arrived, Deferred, Held, NotConvertible, NotThere, Reply, Trouble
from mailroom_core.providers.graph.subscribing import RENEW

REPORTS = "reports of "
"""What the name of a mailbox begins with that is read for reports about our mail, and for nothing else."""
AT_ONCE = 3
SOON = timedelta(seconds=30)
"""After trouble that passes."""

Sources = Callable[[Lane, IncomingServer], Source]
T = TypeVar("T")


class _End(Enum):
    """Of one message."""

    SAFE = "stored, and the mailbox has forgotten it"
    THERE = "the mailbox has the only copy of it"
    BROKE = "it could not be taken by a mistake of ours, and is tried again at the next look"


class _Stop(Exception):
    """Nothing more can be fetched for now. Only a dead `grant` holds the lane: whoever may not read may still send."""

    def __init__(self, trouble: Trouble, *, grant: bool = False) -> None:
        super().__init__(str(trouble.reply))
        self.trouble = trouble
        self.grant = grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Looks at one incoming server, once."""

    store: Store
    servers: Callable[[str], IncomingServer | None]
    sources: Sources
    intake: Intake
    spool: Path
    clock: Clock
    notify: Callable[[], None]
    """There is mail for a destination."""
    telling: Callable[[str], tuple[str, str]] | None = None
    """Where a provider can tell us of new mail for a server, and the state that proves that it does; None: it can't reach us."""

    async def __call__(self, lane: Lane, watched: Watched) -> None:
        """Raises StoreError; everything else that stands in the way is told by the store and the log."""
        server = self.servers(watched.name)
        if server is None:
            return  # it was removed; the watch will forget it, too
        next_at, told = self.clock() + timedelta(minutes=server.every_minutes), ""
        source = self.sources(lane, server)
        try:
            count = await self._all(source, lane, server, watched.cursor)
        except _Stop as stop:
            told = str(stop.trouble.reply)
            events.fetch_failed(server.name, told)
            if stop.grant and isinstance(stop.trouble, Held):
                events.lane_held(lane.name, told)
                account = server.source.account or server.name
                await asyncio.to_thread(self.store.hold_lane, lane.name, told, account=account)
            elif isinstance(stop.trouble, Deferred):
                next_at = min(next_at, self.clock() + (stop.trouble.retry_after or SOON))
        else:
            events.fetched(server.name, count)
            await self._subscribe(source, lane, server, watched)
        finally:
            await source.close()
        await asyncio.to_thread(self.store.watch.looked, lane, watched, next_at=next_at, trouble=told)

    async def _subscribe(self, source: Source, lane: Lane, server: IncomingServer, watched: Watched) -> None:
        """What the provider does not tell us of is found at the next look."""
        if (
            self.telling is None
            or server.name.startswith(REPORTS)
            or (watched.subscribed_until and watched.subscribed_until - self.clock() > RENEW)
        ):
            return
        url, state = self.telling(server.name)
        try:
            told = await source.tell(url, state, watched.subscription)
        except VaultError as problem:
            told = vault_outcome(problem)
        if isinstance(told, tuple):
            await asyncio.to_thread(self.store.watch.subscribed, lane, server.name, *told)
        elif told is not None:
            events.not_told(server.name, str(told.reply))

    async def _all(self, source: Source, lane: Lane, server: IncomingServer, cursor: str) -> int:
        """How many were new. Raises _Stop."""
        done: set[str] = set()
        left: set[str] = set()
        gate, whole = asyncio.Semaphore(AT_ONCE), True
        with TemporaryDirectory(dir=self.spool) as folder:
            while True:
                found = await _asked(source.new(cursor, len(left)))
                if not isinstance(found, New):
                    raise _Stop(found)
                fresh = [each for each in found.arrived if each.remote.remote_id not in done | left]
                one = _One(self, source, server, Path(folder), gate)
                ended = await asyncio.gather(*(one(each) for each in fresh), return_exceptions=True)
                for each, end in zip(fresh, ended, strict=True):
                    if isinstance(end, BaseException):
                        raise end
                    (done if end is _End.SAFE else left).add(each.remote.remote_id)
                    whole = whole and end is not _End.BROKE
                if found.cursor:
                    cursor = found.cursor
                    if whole:  # else the next look begins before what could not be taken
                        await asyncio.to_thread(self.store.watch.keep, lane, server.name, cursor)
                if not found.more or not (fresh or found.cursor):
                    return len(done)


async def _asked(question: Awaitable[T]) -> T:
    """Raises _Stop if there is no token to ask with."""
    try:
        return await question
    except VaultError as problem:
        raise _Stop(vault_outcome(problem), grant=True) from None


@dataclass(frozen=True, slots=True)
class _One:
    """Fetches one message."""

    fetch: Fetch
    source: Source
    server: IncomingServer
    folder: Path
    gate: asyncio.Semaphore
    stopped: list[_Stop] = field(default_factory=list)

    async def __call__(self, message: Arrived) -> _End:
        """Raises _Stop, StoreError; after the first one stopped, nothing more is begun."""
        async with self.gate:
            if self.stopped:
                raise self.stopped[0]
            try:
                return await self._one(message)
            except _Stop as stop:
                self.stopped.append(stop)
                raise
            except StoreRefused as problem:
                events.fetch_broke(self.server.name, str(problem))
                return _End.BROKE
            except StoreError:
                self.stopped.append(_Stop(Deferred(Reply(0, "the database can't store mail at present"))))
                raise
            except Exception as problem:  # noqa: BLE001  # one attempt: a mistake of ours with one mail stops no other
                events.fetch_broke(self.server.name, place_of(problem))
                return _End.BROKE

    async def _one(self, message: Arrived) -> _End:
        remote_id = message.remote.remote_id
        intake, spooled = self.fetch.intake, self.folder / f"{id(message):x}.eml"
        try:
            known = await intake.knows(self.source.key, remote_id)
            if known is Known.THERE:
                return _End.THERE
            if known is Known.NOT:
                said = await _asked(self.source.read(message, spooled))
                if isinstance(said, NotThere):
                    return _End.SAFE
                if said is not None and not isinstance(said, NotConvertible):
                    raise _Stop(said)
                trouble = "" if said is None else str(said.reply)
                came = came_by(self.server, message.remote.conversation_id)
                fetched = Fetched(came=came, key=self.source.key, remote_id=remote_id, file=spooled, trouble=trouble)
                if self.server.name.startswith(REPORTS) and not await asyncio.to_thread(intake.reports_on_us, fetched):
                    return _End.SAFE  # it is none of our business, and stays where it is
                await intake(fetched)
                self.fetch.notify()
                if said is not None:
                    return _End.THERE  # the mailbox has the only copy of what could not be converted
        finally:
            spooled.unlink(missing_ok=True)
        refused = await _asked(self.source.acknowledge(message))
        if refused is not None:
            raise _Stop(refused)
        return _End.SAFE
