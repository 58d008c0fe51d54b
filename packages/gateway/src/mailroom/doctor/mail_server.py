"""A test of a mailbox by IMAP or POP3: each step with what the server said. It takes no mail, and changes none."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from mailroom.doctor.trial import Step
from mailroom.objects import ImapInbox, IncomingServer, PopInbox
from mailroom.sources import imap_session, pop_session
from mailroom.sources.imap_session import ImapSession, NoFolder
from mailroom.sources.pop_session import PopSession
from mailroom.sources.visit import PROBLEMS, Broken, SaidNo, SignIn, Visit, trouble_of
from mailroom_core.errors import VaultError
from mailroom_core.model import After, Deferred, Failed, Held, Trouble

T = TypeVar("T")
Steps = dict[str, Callable[[], Awaitable[str]]]


class _Failed(Exception):
    """A step did not go well."""


async def mail_server_trial(server: IncomingServer, sign_in: SignIn, secret: str) -> AsyncIterator[Step]:
    """The steps as they happen; they end with the first that fails. `secret` is the command that gives a new password."""
    inbox = server.source
    assert isinstance(inbox, ImapInbox | PopInbox)
    door = _Door(inbox)
    inside = _Folder(server, inbox, sign_in, secret) if isinstance(inbox, ImapInbox) else _Maildrop(server, inbox, sign_in, secret)
    steps: Steps = {"resolve": door.resolve, "connect": door.connect, "tls": door.tls, **inside.steps()}
    try:
        for name, step in steps.items():
            try:
                said = await step()
                yield Step(name, said, ends=door.ends if name == "tls" else None)
            except PROBLEMS as problem:
                trouble = trouble_of(inbox, problem)
                yield Step("tls" if isinstance(problem, ssl.SSLError) else name, str(trouble.reply), ok=False)
                return
            except (VaultError, SaidNo, Broken, _Failed) as problem:
                yield Step(name, str(problem), ok=False)
                return
    finally:
        await inside.visit.close()


@dataclass(slots=True)
class _Door:
    """Before anybody signs in."""

    inbox: ImapInbox | PopInbox
    encrypted: str = ""
    ends: datetime | None = None
    """The server's certificate."""

    async def resolve(self) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(self.inbox.host, self.inbox.port, type=socket.SOCK_STREAM)
        return ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))

    async def connect(self) -> str:
        greeting, self.encrypted, self.ends = await asyncio.to_thread(self._connected)
        return f"{self.inbox.host}:{self.inbox.port} says: {greeting}"

    async def tls(self) -> str:
        return self.encrypted

    def _connected(self) -> tuple[str, str, datetime | None]:
        """The greeting, how the connection is encrypted, and until when the certificate is valid."""
        if isinstance(self.inbox, ImapInbox):
            client: Any = imap_session.connect(self.inbox)
            greeting, connection, end = client.welcome, client.socket(), client.shutdown
        else:
            client = pop_session.connect(self.inbox)
            greeting, connection, end = client.getwelcome(), client.sock, client.close
        try:
            return greeting.decode("utf-8", "replace").strip()[:200], _encryption(connection), _end_of_certificate(connection)
        finally:
            with suppress(OSError):
                end()


def _encryption(connection: socket.socket) -> str:
    if not isinstance(connection, ssl.SSLSocket):
        return "none: password and mail cross the network in clear text"
    return f"{connection.version()}; the certificate is valid until {(connection.getpeercert() or {}).get('notAfter', '?')}"


def _end_of_certificate(connection: socket.socket) -> datetime | None:
    shown = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    end = str((shown or {}).get("notAfter", ""))
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if end else None


class _Folder:
    """By IMAP, signed in."""

    def __init__(self, server: IncomingServer, inbox: ImapInbox, sign_in: SignIn, secret: str) -> None:
        self._server = server
        self._inbox = inbox
        enter = lambda shown: ImapSession(inbox, shown, read_only=server.after is After.NOTHING)  # noqa: E731
        self.visit: Visit[ImapSession] = Visit(inbox, sign_in, enter, secret)

    def steps(self) -> Steps:
        return {"sign in": self._sign_in, "folder": self._folder, "rights": self._rights, "new mail": self._news}

    async def _sign_in(self) -> str:
        try:
            return await _entered(self.visit)
        except NoFolder:
            return "let in"

    async def _folder(self) -> str:
        try:
            count, unseen = _well(await self.visit(lambda session: (session.count, len(session.unseen(session.count)))))
        except NoFolder as problem:
            raise _Failed(_no_folder(problem)) from None
        return f"{self._inbox.folder}: {_mails(count)}, {unseen} unread"

    async def _rights(self) -> str:
        if self._server.after is After.NOTHING:
            return "not needed: mail is left as it is, and what has been taken is remembered here"
        try:
            return _well(await self.visit(self._may))
        except NoFolder as problem:
            raise _Failed(_no_folder(problem)) from None

    def _may(self, session: ImapSession) -> str:
        flag = b"\\Seen" if self._server.after is After.READ else b"\\Deleted"
        if not session.writable or not {flag, b"\\*"} & set(session.flags):
            raise _Failed(f'mail may only be read in {self._inbox.folder}: give the user more rights there, or after = "nothing"')
        if self._server.after is After.READ:
            return "may mark mail as read"
        if self._server.after is After.MOVE:
            session.find(self._server.move_to)
            if session.may("MOVE"):
                return f"may move mail to {self._server.move_to}"
        if session.may("UIDPLUS"):
            return "may delete mail" if self._server.after is After.DELETE else f"may copy mail to {self._server.move_to} and delete it"
        return "may mark mail as deleted, and the server can't delete single mails (UIDPLUS): it stays there, hidden, until somebody does"

    async def _news(self) -> str:
        minutes = f"looked at every {self._server.every_minutes} minutes"
        if not self._inbox.idle:
            return f"{minutes}, because idle is false"
        return "told at once (IDLE)" if _well(await self.visit(lambda session: session.may("IDLE"))) else f"{minutes}: it knows no IDLE"


class _Maildrop:
    """By POP3, signed in."""

    def __init__(self, server: IncomingServer, inbox: PopInbox, sign_in: SignIn, secret: str) -> None:
        self._server = server
        self.visit: Visit[PopSession] = Visit(inbox, sign_in, lambda shown: PopSession(inbox, shown), secret)

    def steps(self) -> Steps:
        return {"sign in": lambda: _entered(self.visit), "mailbox": self._mailbox, "new mail": self._news}

    async def _mailbox(self) -> str:
        count = _well(await self.visit(lambda session: len(session.numbers)))
        then = "deleted when it is safe here" if self._server.after is After.DELETE else "left there, and remembered here"
        return f"{_mails(count)}; what is taken is {then}"

    async def _news(self) -> str:
        return f"looked at every {self._server.every_minutes} minutes"


async def _entered(visit: Visit[Any]) -> str:
    trouble = await visit.open()
    if trouble is not None:
        raise _Failed(str(trouble.reply))
    return "let in"


def _well(found: T | Trouble) -> T:
    if isinstance(found, Deferred | Failed | Held):
        raise _Failed(str(found.reply))
    return found


def _no_folder(problem: NoFolder) -> str:
    return f"there is no folder {problem.name!r} in the mailbox that can be opened; make it there, or name another one"


def _mails(count: int) -> str:
    return f"{count} {'mail' if count == 1 else 'mails'}"
