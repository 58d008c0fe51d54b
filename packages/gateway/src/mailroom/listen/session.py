"""A submission session: who the client is, and that it proves it."""

# ruff: noqa: N802  aiosmtpd finds commands by their name

from __future__ import annotations

import asyncio
import hashlib

from aiosmtpd.smtp import syntax

from mailroom.accept import Submission
from mailroom.listen.commands import Commands, commands_of
from mailroom.listen.door import Door
from mailroom.listen.listener import Listener, TlsMode
from mailroom.listen.receive import Received
from mailroom.listen.rules import Rules, Visit, permitted
from mailroom.listen.service import Service
from mailroom.observe import events
from mailroom.spool import SpoolFile
from mailroom_core.errors import Refused


class SubmissionSession(Commands):
    """From EHLO to the handing over."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, service: Service, door: Door, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._door = door
        rules = Rules(service, door)
        super().__init__(service, rules, listener, loop, rules.authenticate)

    def __dir__(self) -> list[str]:
        return _METHODS

    def _name(self) -> str:
        application = self.session.application
        return application.name if application else ""

    def _create_session(self) -> Visit:
        """What we know of the client by now."""
        door, tls = self._door, self._ssl_object
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

    def _announced(self) -> int:
        application = self.session.application
        return self._door.max_size(application) if application else self._limits.max_size

    def _offers(self) -> list[str]:
        return ["AUTH PLAIN LOGIN"] if self.session.can_log_in else []

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

    def _limit(self) -> int:
        return self._door.max_size(permitted(self.session))

    async def _hand_over(self, received: Received, spool: SpoolFile) -> str:
        visit, envelope = self.session, self.envelope
        return await self._door.accept(
            Submission(
                application=permitted(visit),
                sender=self._sender,
                recipients=tuple(envelope.rcpt_tos),
                raw=received.raw,
                spool=spool.path if received.raw is None else None,
                size=received.size,
                client=self._peer,
                helo=visit.host_name,
                tls=visit.tls,
                authenticated=visit.user,
            )
        )


_METHODS = commands_of(SubmissionSession)
