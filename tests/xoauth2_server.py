"""An SMTP server that lets nobody in without a token (XOAUTH2), as smtp.office365.com and smtp.gmail.com do.

with Xoauth2Server(may, says_no=MICROSOFT, tls=context) as server:
    ... connect to 127.0.0.1:server.port, STARTTLS ...
    assert server.mails[0].signed_in == "mary@contoso.example"
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from types import TracebackType
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

MICROSOFT = ("535 5.7.3 Authentication unsuccessful",)
"""The refusal at once (the vendor's page on OAuth for SMTP)."""
GOOGLE = (
    "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0=",
    "535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
    "535 5.7.8  https://support.google.com/mail/?p=BadCredentials",
)
"""First what is wrong, as a challenge; the refusal comes after an empty line (developers.google.com/gmail/imap/xoauth2-protocol)."""


@dataclass(frozen=True)
class Taken:
    """A mail that was accepted, and who had signed in."""

    signed_in: str
    sender: str
    recipients: list[str]
    content: bytes


class _Session(SMTP):  # type: ignore[misc]  # aiosmtpd has no types
    line_length_limit = 1 << 14
    """Tokens are long."""


class Xoauth2Server:
    """Listens on 127.0.0.1 while it is entered. `may(user, token)` says why not; empty lets them in."""

    def __init__(self, may: Callable[[str, str], str], *, says_no: tuple[str, ...], tls: ssl.SSLContext) -> None:
        self.may = may
        self.says_no = says_no
        self.mails: list[Taken] = []
        self.refused: list[str] = []
        """Why each sign-in was refused."""
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="xoauth2-server", daemon=True)
        self.port = 0

    def __enter__(self) -> Xoauth2Server:
        self._thread.start()
        listening = self._loop.create_server(self._session, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _session(self) -> SMTP:
        passwords = ["LOGIN", "PLAIN"]
        return _Session(
            self, tls_context=self._tls, require_starttls=True, auth_required=True, auth_exclude_mechanism=passwords, loop=self._loop
        )

    # -- called by aiosmtpd

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> Any:
        given = args[1].encode() if len(args) > 1 else await server.challenge_auth("", encode_to_b64=False)
        if not isinstance(given, bytes):
            return AuthResult(success=False, handled=True)
        user, _, bearer = given.decode().removesuffix("\x01\x01").partition("\x01auth=Bearer ")
        user = user.removeprefix("user=")
        if why := self.may(user, bearer):
            self.refused.append(why)
            *challenges, last = self.says_no
            for challenge in challenges:
                await server.push(challenge)
                await server._reader.readline()
            await server.push(last)
            return AuthResult(success=False, handled=True)
        return AuthResult(success=True, auth_data=user)

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.mails.append(Taken(session.auth_data, envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 OK"
