"""The commands of a submission session, as far as aiosmtpd's own are not enough."""

# ruff: noqa: N802  aiosmtpd finds commands by their name

from __future__ import annotations

import asyncio
import hashlib
import re

from aiosmtpd.smtp import syntax

from mailroom.accept import Submission
from mailroom.listen.connection import Connection
from mailroom.listen.listener import TlsMode
from mailroom.listen.path import NULL, read_path
from mailroom.listen.receive import receive
from mailroom.listen.rules import Visit, permitted
from mailroom.listen.service import shutting_down
from mailroom.objects import Application
from mailroom.observe import events
from mailroom.spool import SpoolFile
from mailroom_core.errors import Refused

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._:\[\]-]")
"""A device may call itself `My Printer`, but what follows us in a trace header must be able to read it."""


class SubmissionSession(Connection):
    """From EHLO to the handing over."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __dir__(self) -> list[str]:
        return _METHODS  # aiosmtpd looks through all attributes for every connection

    def _create_session(self) -> Visit:
        """What we know of the client by now."""
        door, tls = self._service.door, self._ssl_object
        visit = Visit(self.loop, self._client)
        if tls is not None:
            visit.tls = tls.version() or "TLS"
            certificate = tls.getpeercert(binary_form=True)
            if certificate:
                visit.application = door.by_certificate(hashlib.sha256(certificate).hexdigest())
        if visit.application is None:
            visit.application = door.by_network(self._client)
        visit.can_start_tls = self._listener.mode is TlsMode.STARTTLS and not visit.tls
        in_clear_text = self._limits.clear_text_login_on_loopback and self._client.is_loopback and not self._listener.legacy
        visit.can_log_in = bool(visit.tls) or in_clear_text
        return visit

    @syntax("HELO hostname")  # type: ignore[untyped-decorator]  # aiosmtpd has no types
    async def smtp_HELO(self, arg: str | None) -> None:
        self._hello(arg, extended=False)
        await self._reply(f"250 {self.hostname}\r\n".encode())

    @syntax("EHLO hostname")  # type: ignore[untyped-decorator]
    async def smtp_EHLO(self, arg: str | None) -> None:
        self._hello(arg, extended=True)
        visit = self.session
        size = self._service.door.max_size(visit.application) if visit.application else self._limits.max_size
        offers = [self.hostname, "PIPELINING", f"SIZE {size}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if visit.can_start_tls:
            offers.append("STARTTLS")
        if visit.can_log_in:
            offers.append("AUTH PLAIN LOGIN")
        text = "".join(f"250-{offer}\r\n" for offer in offers)
        await self._reply(f"{text}250 HELP\r\n".encode())

    def _hello(self, name: str | None, *, extended: bool) -> None:
        if not name or len(name) > 255 or not name.isascii() or not name.isprintable():
            raise Refused(501, "5.5.4", "Say who you are: EHLO host.example.com")
        self._set_rset_state()
        self.session.extended_smtp = extended
        self.session.host_name = _NOT_IN_A_NAME.sub("?", name)

    @syntax("VRFY <address>")  # type: ignore[untyped-decorator]
    async def smtp_VRFY(self, arg: str | None) -> None:
        await self.push("252 2.5.0 Send the message and see" if arg else "501 5.5.4 Syntax: VRFY <address>")

    def _getaddr(self, arg: str) -> tuple[str, str]:
        return read_path(arg)

    def _getparams(self, params: list[str]) -> dict[str, str | bool] | None:
        found = super()._getparams(params)
        if found:
            found.pop("AUTH", None)  # Postfix sends it; we trust nobody with it (RFC 4954 5)
        return found  # type: ignore[no-any-return]

    @syntax("STARTTLS")  # type: ignore[untyped-decorator]
    async def smtp_STARTTLS(self, arg: str | None) -> None:
        if arg:
            raise Refused(501, "5.5.4", "STARTTLS takes no argument")
        if not self.session.can_start_tls:
            why = "is in use already" if self.session.tls else "is not offered on this port"
            raise Refused(503, "5.5.1", f"TLS {why}")
        await self.push("220 2.0.0 Ready to start TLS")
        self._write()
        self._inbound.forget()  # commands that came with STARTTLS were not protected: RFC 3207 4.2
        await self._start_tls()
        self._set_rset_state()

    @syntax("AUTH <mechanism>")  # type: ignore[untyped-decorator]
    async def smtp_AUTH(self, arg: str | None) -> None:
        visit = self.session
        if not visit.can_log_in:
            if visit.can_start_tls:
                raise Refused(538, "5.7.11", "A password needs encryption: issue STARTTLS first")
            raise Refused(503, "5.5.1", "AUTH is not offered on this port")
        if self.envelope.mail_from:
            raise Refused(503, "5.5.1", "AUTH is not allowed in the middle of a mail")
        mechanism, _, response = (arg or "").partition(" ")
        visit.wrong_user = None
        await super().smtp_AUTH(f"{mechanism.upper()} {response}".strip())
        if visit.wrong_user is not None:
            events.login_failed(self._peer, visit.wrong_user)
            await asyncio.sleep(self._service.logins.failed(self._client))
            raise Refused(535, "5.7.8", "Wrong user or password")

    @syntax("DATA")  # type: ignore[untyped-decorator]
    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        if arg:
            raise Refused(501, "5.5.4", "DATA takes no argument")
        if not self.envelope.mail_from:
            raise Refused(503, "5.5.1", "MAIL FROM comes first")
        if not self.envelope.rcpt_tos:
            raise Refused(554, "5.5.1", "No valid recipients")
        application = permitted(self.session)
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        try:
            text = await self._take_message(application)
        finally:
            self._set_post_data_state()
        self.session.messages += 1
        self._errors = 0
        self._lines_before = self._inbound.lines
        await self.push(f"250 2.0.0 {text}")
        if self._service.stopping:
            await self.push(str(shutting_down()))

    async def _take_message(self, application: Application) -> str:
        with SpoolFile(self._service.spool) as spool:
            received = await receive(self._inbound, spool, self._service.door.max_size(application))
            visit, envelope = self.session, self.envelope
            submission = Submission(
                application=application,
                sender=None if envelope.mail_from == NULL else envelope.mail_from,
                recipients=tuple(envelope.rcpt_tos),
                raw=received.raw,
                spool=spool.path if received.raw is None else None,
                size=received.size,
                client=self._peer,
                helo=visit.host_name,
                tls=visit.tls,
                authenticated=visit.user,
            )
            self._busy = True  # a client that leaves now changes nothing
            try:
                return await self._service.door.accept(submission)
            finally:
                self._busy = False


_METHODS = [name for name in dir(SubmissionSession) if name.startswith(("smtp_", "auth_"))]
