"""Who may do what in a session: the hooks that aiosmtpd calls for a command whose syntax is right."""

# ruff: noqa: N802  aiosmtpd finds hooks by their name

from __future__ import annotations

from typing import Any

from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from mailroom.listen.door import Client, Door
from mailroom.listen.path import NULL
from mailroom.listen.receive import too_large
from mailroom.listen.service import Service, shutting_down
from mailroom.objects import Application
from mailroom_core.errors import Refused


class Visit(Session):  # type: ignore[misc]  # aiosmtpd has no types
    """What we know about the client of a session; begun anew with TLS (RFC 3207 4.2)."""

    def __init__(self, loop: Any, client: Client) -> None:
        super().__init__(loop)
        self.client = client
        self.application: Application | None = None
        self.user = ""
        """Of AUTH."""
        self.wrong_user: str | None = None
        """Of the AUTH that has just failed."""
        self.tls = ""
        """The protocol version."""
        self.can_log_in = False
        self.can_start_tls = False
        self.messages = 0
        self.crowded = False
        """Whether this message has had more recipients than it may have."""

    def too_many_recipients(self) -> Refused:
        """Raises it the first time: one event for each message is enough."""
        refused = Refused(452, "4.5.3", "Too many recipients: send the message to the others separately")
        if self.crowded:
            return refused
        self.crowded = True
        raise refused


class Rules:
    """The handler of aiosmtpd: raises Refused, or answers what the client reads."""

    def __init__(self, service: Service, door: Door) -> None:
        self._service = service
        self._door = door

    def __dir__(self) -> list[str]:
        return ["handle_MAIL", "handle_RCPT"]  # aiosmtpd looks through it for every connection

    async def handle_MAIL(self, server: object, visit: Visit, envelope: Envelope, address: str, options: list[str]) -> str:
        application = permitted(visit)
        check_messages(self._service, visit, envelope)
        limit = self._door.max_size(application)
        if announced_size(options) > limit:
            raise too_large(limit)
        sender = None if address == NULL else address
        self._door.check_sender(application, sender)
        envelope.mail_from = address
        visit.crowded = False
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(self, server: object, visit: Visit, envelope: Envelope, address: str, options: list[str]) -> str:
        if address == NULL:
            raise Refused(553, "5.1.3", "The null address can't be a recipient")
        if len(envelope.rcpt_tos) >= self._service.limits.max_recipients:
            return str(visit.too_many_recipients())
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"

    def authenticate(self, server: object, visit: Visit, envelope: Envelope, mechanism: str, login: LoginPassword) -> AuthResult:
        """The authenticator of aiosmtpd. A failure is answered by the session, after a while.

        Raises Refused (421) if there were too many; asked as late as here, so that many sessions at once guess no more than one.
        """
        self._service.logins.check(visit.client)
        user, secret = (part.decode("utf-8", "replace") for part in login)
        application = self._door.by_credential(user, secret)
        if application is None:
            visit.wrong_user = user
            return AuthResult(success=False, handled=True)
        visit.application, visit.user = application, user
        return AuthResult(success=True)


def permitted(visit: Visit) -> Application:
    """The application that this client is. Raises Refused with what it has to do to be one."""
    if visit.application is not None:
        return visit.application
    if visit.can_log_in:
        raise Refused(530, "5.7.0", "Authentication required")
    if visit.can_start_tls:
        raise Refused(530, "5.7.0", "Authentication required; issue STARTTLS first")
    raise Refused(554, "5.7.1", f"Relaying denied: {visit.client} is not in the network of any application")


def check_messages(service: Service, visit: Visit, envelope: Envelope) -> None:
    """Whether another message may begin, whoever sends it. Raises Refused."""
    if service.stopping:
        raise shutting_down()
    if visit.messages >= service.limits.max_messages:
        raise Refused(421, "4.7.0", "Enough messages on this connection; open another one")
    if envelope.smtp_utf8:
        raise Refused(555, "5.6.7", "SMTPUTF8 is not offered")


def announced_size(options: list[str]) -> int:
    """The SIZE parameter (RFC 1870); aiosmtpd has checked that it is a number."""
    return max((int(option[5:]) for option in options if option.startswith("SIZE=")), default=0)
