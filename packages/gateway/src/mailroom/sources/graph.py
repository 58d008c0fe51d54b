"""A mailbox at Microsoft 365, read by Graph: drives the core's flows.

Who may mark mail reads what is unread, oldest first, until there is none. Who may only read follows a delta link, which the store
keeps. Both go through the lane's pace, like everything else that is done in the mailbox.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from mailroom.incoming import New
from mailroom.transports.http import Http
from mailroom_core.flow import Flow, Note, arun
from mailroom_core.mime.bounce import may_be_a_report
from mailroom_core.model import After, Arrived, Held, NotConvertible, NotThere, Reply, Trouble
from mailroom_core.providers.graph import receiving, subscribing
from mailroom_core.providers.graph.mailbox import Mailbox

MISSED = timedelta(days=7)
"""How far back a mailbox is read again whose delta link Graph has forgotten; what is known already is known by its id."""
DAY = timedelta(days=1)
MOST = 1000
"""Graph's largest page."""

T = TypeVar("T")


class GraphSource:
    """One folder of one mailbox; with `reports`, of what has come since yesterday alone what may be a report about mail."""

    def __init__(
        self,
        mailbox: Mailbox,
        http: Http,
        *,
        key: str,
        folder: str,
        after: After,
        move_to: str,
        clock: Callable[[], datetime],
        reports: bool = False,
    ) -> None:
        self.key = key
        self._mailbox = mailbox
        self._http = http
        self._folder = folder
        self._after = after
        self._move_to = move_to
        self._clock = clock
        self._reports = reports
        self._ids: dict[str, str] = {}

    async def new(self, cursor: str, skip: int) -> New | Trouble:
        folder = await self._id(self._folder)
        if not isinstance(folder, str):
            return folder
        if self._after is After.NOTHING:
            return await self._changes(folder, cursor, self._clock() - (DAY if self._reports else timedelta()))
        found = await self._run(receiving.unread(self._mailbox, folder, most=min(receiving.PAGE + skip, MOST)))
        if isinstance(found, NotThere):
            return self._gone(self._folder)
        return New(found, "", more=bool(found)) if isinstance(found, tuple) else found

    async def read(self, message: Arrived, into: Path) -> NotThere | NotConvertible | Trouble | None:
        return await self._run(receiving.fetch(self._mailbox, message.remote.remote_id, str(into)))

    async def tell(self, url: str, state: str, subscription: str) -> tuple[str, datetime] | Trouble:
        folder = await self._id(self._folder)
        if not isinstance(folder, str):
            return folder
        kept = subscribing.keep(self._mailbox, folder, subscription, url=url, client_state=state, now=self._clock())
        found = await self._run(kept)
        if isinstance(found, NotThere):
            return self._gone(self._folder)
        return (found.id, found.until) if isinstance(found, subscribing.Subscription) else found

    async def close(self) -> None:
        """There is no connection of its own."""

    async def acknowledge(self, message: Arrived) -> Trouble | None:
        folder = await self._id(self._move_to) if self._after is After.MOVE else ""
        if not isinstance(folder, str):
            return folder
        return await self._run(receiving.acknowledge(self._mailbox, message.remote.remote_id, self._after, folder))

    async def _changes(self, folder: str, cursor: str, since: datetime) -> New | Trouble:
        found = await self._run(receiving.changes(self._mailbox, folder, cursor, since))
        if isinstance(found, receiving.CursorLost):
            return await self._changes(folder, "", self._clock() - MISSED)
        if isinstance(found, NotThere):
            return self._gone(self._folder)
        if not isinstance(found, receiving.Changes):
            return found
        arrived = [each for each in found.arrived if not self._reports or may_be_a_report(each.sender, each.subject)]
        return New(arrived, found.cursor, found.more)

    async def _id(self, path: str) -> str | Trouble:
        if path not in self._ids:
            found = await self._run(receiving.folder_id(self._mailbox, path))
            if isinstance(found, NotThere):
                return self._gone(path)
            if not isinstance(found, str):
                return found
            self._ids[path] = found
        return self._ids[path]

    def _gone(self, path: str) -> Held:
        """It may come back under another id."""
        self._ids.clear()
        return Held(Reply(404, f"There is no folder {path!r} in the mailbox; make it there, or name another one in the incoming server"))

    async def _run(self, flow: Flow[T]) -> T:
        async def forget(note: Note) -> None:
            raise AssertionError("reading has nothing to commit on the way")

        return await arun(flow, self._http, forget)
