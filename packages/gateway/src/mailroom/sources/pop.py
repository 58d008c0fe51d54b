"""A mailbox, read by POP3: all that lies in it is ours.

A mail is known by its UIDL. Where it is deleted, that happens after it is stored, and for good when the visit ends; a visit that
breaks off deletes nothing. Where mail stays, the cursor names the last ones that are safe: others delete there, too, and the store knows
the mails of before for some months only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypeVar

from mailroom.incoming import New
from mailroom.objects import PopInbox
from mailroom.sources.pop_session import PopSession
from mailroom.sources.visit import Broken, Credential, SaidNo, SignIn, Visit
from mailroom_core.model import After, Arrived, Deferred, NotConvertible, NotThere, Remote, Reply, Trouble

T = TypeVar("T")
PAGE = 200
"""Mails of one visit; after it, what was deleted is gone."""
REMEMBERED = 100
"""UIDLs in a cursor. They are 70 characters at most (RFC 1939 7), and have no line ends."""


class PopSource:
    """One mailbox, for one look."""

    def __init__(self, inbox: PopInbox, sign_in: SignIn, *, address: str, after: After, secret: str) -> None:
        self.key = f"pop:{address}@{inbox.host}".lower()
        self._inbox = inbox
        self._after = after
        self._visit = Visit(inbox, sign_in, self._enter, secret)

    def _enter(self, shown: Credential) -> PopSession:
        return PopSession(self._inbox, shown)

    async def new(self, cursor: str, skip: int) -> New | Trouble:
        if (trouble := await self._visit.leave()) is not None:  # so that what was deleted is gone
            return trouble
        found = await self._asked(lambda session: list(session.numbers))
        if not isinstance(found, list):
            return found
        safe = cursor.split("\n") if cursor and self._after is After.NOTHING else []
        there = {unique: place for place, unique in enumerate(found)}
        if safe:
            found = found[max((there[each] + 1 for each in safe if each in there), default=0) :]
        page = list(islice(found, PAGE + skip))
        further = "\n".join([*safe, *page][-REMEMBERED:]) if self._after is After.NOTHING and page else ""
        return New([Arrived(Remote(each), None) for each in page], further, more=len(found) > len(page))

    async def read(self, message: Arrived, into: Path) -> NotThere | NotConvertible | Trouble | None:
        unique = message.remote.remote_id
        try:
            found = await self._visit.again(lambda session: session.read(unique, into))
        except SaidNo as problem:
            return problem.trouble if isinstance(problem.trouble, Deferred) else NotConvertible(problem.trouble.reply)
        if isinstance(found, bool):
            return None if found else NotThere()
        return found

    async def acknowledge(self, message: Arrived) -> Trouble | None:
        if self._after is After.NOTHING:
            return None
        return await self._asked(lambda session: session.delete(message.remote.remote_id))

    async def _asked(self, work: Callable[[PopSession], T]) -> T | Trouble:
        try:
            return await self._visit.again(work)
        except SaidNo as problem:
            return problem.trouble
        except Broken as problem:
            return Deferred(Reply(0, str(problem)))

    async def tell(self, url: str, state: str, subscription: str) -> None:
        """POP3 can't."""

    async def close(self) -> None:
        await self._visit.close()
