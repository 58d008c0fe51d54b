"""A visit to a mail server: a connection that is opened when it is first needed, signed in, and used by one thread of its own.

Its libraries block and raise; here that becomes values. A sign-in that the server refuses for good is a VaultError, as if there were
no token. A connection that breaks is opened once more by whoever asks next.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from imaplib import IMAP4
from poplib import error_proto
from typing import Generic, Protocol, TypeVar

from mailroom.objects import ImapInbox, PopInbox
from mailroom_core.errors import VaultError
from mailroom_core.model import Deferred, Held, Reply, Trouble

CONNECT = 20.0
"""Seconds until a server has answered."""
ANSWER = 60.0
"""Seconds without a byte, after which a connection counts as broken."""
KEEP_ALIVE = 60
"""Seconds of silence, after which the other side is asked whether it is there."""
GOODBYE = 10.0
"""Seconds for a farewell, which lets a POP3 server delete."""
NONSENSE = (ValueError, LookupError, TypeError, AttributeError)
"""What the libraries stumble over when a server says what no server should."""
PROBLEMS = (OSError, EOFError, IMAP4.error, error_proto, *NONSENSE)
"""What the libraries raise about the other side."""
_NOT_NOW = re.compile(r"\[(UNAVAILABLE|LIMIT|INUSE|IN-USE|LOGIN-DELAY|SYS/TEMP|SERVERBUG)\b", re.IGNORECASE)
"""RFC 5530 3, RFC 2449 8.1, RFC 3206 4: it passes."""
_NEVER = re.compile(r"\[(AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED|CONTACTADMIN|AUTH)\]", re.IGNORECASE)
"""RFC 5530 3, RFC 3206 4: these credentials will never do."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credential:
    """What is shown to the server: a password, or a token (XOAUTH2)."""

    user: str
    secret: str = field(repr=False)
    token: bool = False


SignIn = Callable[[str], Awaitable[Credential]]
"""Asked for each connection, and once more with the token that the server has refused. Raises VaultError."""


class NotLetIn(Exception):
    """The server refused the sign-in."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class Broken(Exception):
    """The connection ended in the middle. Whoever asks again gets a new one."""


class SaidNo(Exception):
    """To one command; the connection is good for the next one."""

    def __init__(self, trouble: Deferred | Held) -> None:
        super().__init__(str(trouble.reply))
        self.trouble = trouble


class Session(Protocol):
    """A signed-in connection; blocking, raises PROBLEMS."""

    def leave(self) -> None:
        """Say goodbye, and close."""

    def break_off(self) -> None:
        """From any thread: what is under way ends at once."""

    def shut(self) -> None:
        """Give back what is left of it."""


S = TypeVar("S", bound=Session)


@dataclass(slots=True)
class Visit(Generic[S]):
    """To one mailbox. `enter` opens a connection and signs in; it blocks, and raises NotLetIn and PROBLEMS."""

    place: ImapInbox | PopInbox
    sign_in: SignIn
    enter: Callable[[Credential], S]
    secret: str
    """The command that gives a new password."""
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="mailbox"))
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One after the other, so that a connection that ends is the fault of nobody else's work."""
    _session: S | None = None
    _busy: int = 0

    async def __call__(self, work: Callable[[S], T]) -> T | Trouble:
        """Trouble: nobody gets in. Raises VaultError, SaidNo, and Broken if the connection ended while `work` was under way."""
        async with self._turn:
            return await self._alone(work)

    async def again(self, work: Callable[[S], T]) -> T | Trouble:
        """The same; if the connection ends, once more over a new one. Broken twice, it is by this work and not by the network."""
        try:
            return await self(work)
        except Broken:
            return await self(work)

    async def _alone(self, work: Callable[[S], T]) -> T | Trouble:
        if self._session is None:
            entered = await self.open()
            if entered is not None:
                return entered
        assert self._session is not None
        try:
            return await self._blocking(partial(work, self._session))
        except PROBLEMS as problem:
            if _is_refusal(problem):
                raise SaidNo(_refusal(self.place, problem)) from problem
            self.drop()
            raise Broken(f"{self.place.host} {_words(problem)}") from problem

    async def open(self) -> Trouble | None:
        """Also tried with a fresh token. Raises VaultError."""
        shown = await self.sign_in("")
        for last in (not shown.token, True):
            try:
                self._session = await self._blocking(partial(self.enter, shown))
            except NotLetIn as refused:
                if _NOT_NOW.search(refused.said):
                    return Deferred(Reply(0, f"{self.place.host} lets nobody in at present: {refused.said}"))
                if last:
                    return self._not_let_in(shown, refused)
                shown = await self.sign_in(shown.secret)
            except PROBLEMS as problem:
                return trouble_of(self.place, problem)
            else:
                return None
        raise AssertionError("the second try is the last one")

    def _not_let_in(self, shown: Credential, refused: NotLetIn) -> Trouble:
        """Held for good only where the server says that it is for good: some say no when they mean not now."""
        what = f"the token of {self.place.account!r}" if shown.token else "the password"
        then = f"run: mailroom connect {self.place.account}" if shown.token else f"run: {self.secret}"
        told = f"{self.place.host} refuses {what} for {shown.user}: {refused.said}; {then}"
        if _NEVER.search(refused.said):
            raise VaultError(told)
        return Held(Reply(0, told))

    async def _blocking(self, call: Callable[[], T]) -> T:
        self._busy += 1
        done = asyncio.get_running_loop().run_in_executor(self._thread, call)
        done.add_done_callback(lambda _: self._free())
        return await done

    def _free(self) -> None:
        self._busy -= 1

    def drop(self) -> None:
        """The connection is good for nothing any more."""
        session, self._session = self._session, None
        if session is not None:
            session.break_off()
            self._thread.submit(session.shut)

    async def leave(self) -> Trouble | None:
        """With a goodbye; the next one who asks enters anew."""
        session, self._session = self._session, None
        if session is None:
            return None
        try:
            await self._blocking(session.leave)
        except PROBLEMS as problem:
            return trouble_of(self.place, problem)
        finally:
            self._thread.submit(session.shut)
        return None

    async def close(self) -> None:
        """For good. What is under way is broken off."""
        if self._busy:
            self.drop()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self.leave()
        self.drop()
        self._thread.shutdown(wait=False)


class NoCertificates(OSError):
    """In `ca_file`."""


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Verifies the server's certificate and name, against `ca_file` alone if there is one. Raises NoCertificates."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as problem:
        raise NoCertificates(
            f"{ca_file!r} can't be read as certificates ({problem.strerror or problem}); name another in ca_file"
        ) from None


def watch_over(connection: socket.socket) -> None:
    """Notice that the other side is gone, also while nobody says anything."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE)


def hang_up(connection: socket.socket) -> None:
    """Whoever reads from it sees its end. Of TLS nothing is touched: another thread may be in it."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def said(problem: Exception) -> str:
    """What the other side said, without the wrapping of the libraries."""
    text = str(problem.args[0].decode("utf-8", "replace") if problem.args and isinstance(problem.args[0], bytes) else problem)
    text = re.sub(r"^b(['\"])(.*)\1$", r"\2", text)
    return re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", " ", text).strip()[:300]


def _is_refusal(problem: Exception) -> bool:
    """A no to one command, after which the connection is good for the next one."""
    if isinstance(problem, error_proto):
        return said(problem).startswith("-ERR") and said(problem) != "-ERR EOF"
    return isinstance(problem, IMAP4.error) and not isinstance(problem, IMAP4.abort)


def _refusal(place: ImapInbox | PopInbox, problem: Exception) -> Deferred | Held:
    reply = Reply(0, f"{place.host} says: {said(problem)}")
    return Deferred(reply) if _NOT_NOW.search(said(problem)) else Held(reply)


def trouble_of(place: ImapInbox | PopInbox, problem: Exception) -> Trouble:
    """What stood in the way of a connection."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return Held(Reply(0, f"{place.host} shows a certificate that can't be verified ({problem.verify_message}); {_CERTIFICATE}"))
    if isinstance(problem, NoCertificates):
        return Held(Reply(0, str(problem)))
    if _is_refusal(problem):
        return _refusal(place, problem)
    return Deferred(Reply(0, f"{place.host}:{place.port} {_words(problem)}"))


_CERTIFICATE = "use the name that stands in it as host, or name the file of its own CA in ca_file"


def _words(problem: BaseException) -> str:
    match problem:
        case socket.gaierror():
            return f"has no address ({problem.strerror}); look at the spelling of host"
        case TimeoutError():
            return "gives no answer in time"
        case ConnectionRefusedError():
            return "takes no connections; look at host and port"
        case ssl.SSLError():
            return f"and we found no common TLS ({problem.reason or problem}); look at port and security"
        case _ if isinstance(problem, NONSENSE):
            return f"says what can't be understood ({type(problem).__name__}: {str(problem)[:200]})"
        case OSError():
            return f"has ended the connection ({problem.strerror or problem})"
        case _:
            return f"has ended the connection ({said(problem) if isinstance(problem, Exception) else problem})"
