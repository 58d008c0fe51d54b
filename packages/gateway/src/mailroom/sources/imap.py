"""A folder of a mailbox, read by IMAP.

Who may mark mail takes what is unread. Where mail is left as it is, the cursor says how far we have come, by UIDs; when the server
has numbered the folder anew (another UIDVALIDITY), a week is read again. What is known already is known by its id, which no
renumbering changes: Gmail's, the server's own (OBJECTID), or what only this copy of a mail bears.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from mailroom.incoming import New
from mailroom.objects import ImapInbox
from mailroom.sources.imap_session import ImapSession, Mail, NoFolder
from mailroom.sources.visit import Broken, Credential, SaidNo, SignIn, Visit
from mailroom_core.model import After, Arrived, Deferred, Held, NotConvertible, NotThere, Remote, Reply, Trouble

T = TypeVar("T")
PAGE = 100
MISSED = timedelta(days=7)
"""How far back a folder is read again that was numbered anew."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a folder was read whose mail is left as it is."""

    uid_validity: int
    next: int
    began: datetime
    """What came before is none of ours."""

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        if not text:
            return None
        validity, following, began = text.split(" ")
        return cls(int(validity), int(following), datetime.fromisoformat(began))

    def __str__(self) -> str:
        return f"{self.uid_validity} {self.next} {self.began.isoformat()}"


class ImapSource:
    """One folder of one mailbox, for one look."""

    def __init__(
        self, inbox: ImapInbox, sign_in: SignIn, *, address: str, after: After, move_to: str, secret: str, clock: Callable[[], datetime]
    ) -> None:
        self.key = f"imap:{address}@{inbox.host}:{inbox.folder}".lower()
        self._of_all_folders = f"imap:{address}@{inbox.host}".lower()
        self._inbox = inbox
        self._after = after
        self._move_to = move_to
        self._clock = clock
        self._visit = Visit(inbox, sign_in, self._enter, secret)
        self._uids: dict[str, list[int]] = {}
        """By id: servers hold doubles, too."""
        self._uid_validity = 0

    def _enter(self, shown: Credential) -> ImapSession:
        return ImapSession(self._inbox, shown, read_only=self._after is After.NOTHING)

    async def new(self, cursor: str, skip: int) -> New | Trouble:
        if self._after is After.NOTHING:
            return await self._asked(partial(self._later, Cursor.read(cursor)))
        found = await self._asked(partial(self._unread, skip))
        return New(found, "", more=bool(found)) if isinstance(found, tuple) else found

    def _unread(self, skip: int, session: ImapSession) -> tuple[Arrived, ...]:
        session.look()
        return self._arrived(session, session.describe(session.unseen(PAGE + skip)))

    def _later(self, cursor: Cursor | None, session: ImapSession) -> New:
        session.look()
        now = self._clock().astimezone(UTC)
        if cursor is None:  # from now on
            return New((), str(Cursor(session.uid_validity, session.uid_next, now)), more=False)
        if cursor.uid_validity != session.uid_validity:
            return self._again(cursor, max(cursor.began, now - MISSED), session)
        uids = session.beyond(cursor.next, PAGE + 1)
        page = uids[:PAGE]
        further = Cursor(cursor.uid_validity, page[-1] + 1 if page else cursor.next, cursor.began)
        return New(self._arrived(session, session.describe(page)), str(further), more=len(uids) > len(page))

    def _again(self, cursor: Cursor, since: datetime, session: ImapSession) -> New:
        """Days of the server's own time zone may begin a day earlier."""
        mails = session.describe(session.since(since - timedelta(days=1)))
        missed = [mail for mail in mails if mail.received_at is None or mail.received_at >= since]
        return New(self._arrived(session, missed), str(Cursor(session.uid_validity, session.uid_next, cursor.began)), more=False)

    def _arrived(self, session: ImapSession, mails: list[Mail]) -> tuple[Arrived, ...]:
        if session.gmail:
            self.key = self._of_all_folders
        self._uid_validity = session.uid_validity
        self._uids = {}
        first: dict[str, Arrived] = {}
        for mail in mails:
            self._uids.setdefault(mail.id, []).append(mail.uid)
            first.setdefault(mail.id, Arrived(Remote(mail.id), mail.received_at))
        return tuple(first.values())

    async def read(self, message: Arrived, into: Path) -> NotThere | NotConvertible | Trouble | None:
        uid = self._uids[message.remote.remote_id][0]
        work = self._same(lambda session: session.read(uid, into))
        try:
            found = await self._visit.again(work)
        except NoFolder as problem:
            return _no_folder(problem)
        except SaidNo as problem:
            return problem.trouble if isinstance(problem.trouble, Deferred) else NotConvertible(problem.trouble.reply)
        if isinstance(found, bool):
            return None if found else NotThere()
        return found

    async def acknowledge(self, message: Arrived) -> Trouble | None:
        if self._after is After.NOTHING:
            return None
        return await self._asked(self._same(partial(self._acknowledge, self._uids[message.remote.remote_id])))

    def _acknowledge(self, uids: list[int], session: ImapSession) -> None:
        match self._after:
            case After.READ:
                session.mark(uids)
            case After.MOVE:
                session.move(uids, self._move_to)
            case _:
                session.delete(uids)

    async def _asked(self, work: Callable[[ImapSession], T]) -> T | Trouble:
        try:
            return await self._visit.again(work)
        except NoFolder as problem:
            return _no_folder(problem)
        except SaidNo as problem:
            return problem.trouble
        except Broken as problem:
            return Deferred(Reply(0, str(problem)))

    def _same(self, work: Callable[[ImapSession], T]) -> Callable[[ImapSession], T | Trouble]:
        """A connection that was opened anew may find other numbers than those that we know."""

        def checked(session: ImapSession) -> T | Trouble:
            if session.uid_validity != self._uid_validity:
                return Deferred(Reply(0, "the server has numbered the folder anew meanwhile; it is read again"))
            return work(session)

        return checked

    async def tell(self, url: str, state: str, subscription: str) -> None:
        """Whoever waits at the mailbox (IDLE) tells."""

    async def close(self) -> None:
        await self._visit.close()


def _no_folder(problem: NoFolder) -> Held:
    why = f" ({problem.why})" if problem.why else ""
    return Held(Reply(0, f"There is no folder {problem.name!r} in the mailbox that can be opened{why}; make it there, or name another"))
