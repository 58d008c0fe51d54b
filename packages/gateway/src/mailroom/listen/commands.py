"""The commands that every session has, as far as aiosmtpd's own are not enough."""

# ruff: noqa: N802  aiosmtpd finds commands by their name

from __future__ import annotations

import re

from aiosmtpd.smtp import syntax

from mailroom.listen.connection import Connection
from mailroom.listen.path import NULL, read_path
from mailroom.listen.receive import Received, receive
from mailroom.listen.service import shutting_down
from mailroom.spool import SpoolFile
from mailroom_core.errors import Refused

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._:\[\]-]")
"""A device may call itself `My Printer`, but what follows us in a trace header must be able to read it."""


class Commands(Connection):
    """From EHLO to the end of the data. What a session is for (`_offers`, `_limit`, `_hand_over`) is said by those that are made of it."""

    def _announced(self) -> int:
        """The size that EHLO announces, in bytes."""
        raise NotImplementedError

    def _offers(self) -> list[str]:
        """What EHLO says besides what every session can."""
        raise NotImplementedError

    def _limit(self) -> int:
        """The largest mail that this client may send now, in bytes. Raises Refused if it may not send at all."""
        raise NotImplementedError

    async def _hand_over(self, received: Received, spool: SpoolFile) -> str:
        """A whole mail. Returns after the commit, with a line for the client. Raises Refused."""
        raise NotImplementedError

    @syntax("HELO hostname")  # type: ignore[untyped-decorator]  # aiosmtpd has no types
    async def smtp_HELO(self, arg: str | None) -> None:
        self._hello(arg, extended=False)
        await self._reply(f"250 {self.hostname}\r\n".encode())

    @syntax("EHLO hostname")  # type: ignore[untyped-decorator]
    async def smtp_EHLO(self, arg: str | None) -> None:
        self._hello(arg, extended=True)
        offers = [self.hostname, "PIPELINING", f"SIZE {self._announced()}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self.session.can_start_tls:
            offers.append("STARTTLS")
        text = "".join(f"250-{offer}\r\n" for offer in (*offers, *self._offers()))
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
        limit = self._limit()
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        try:
            text = await self._take_message(limit)
        finally:
            self._set_post_data_state()
        self.session.messages += 1
        self._errors = 0
        self._lines_before = self._inbound.lines
        await self.push(f"250 2.0.0 {text}")
        if self._service.stopping:
            await self.push(str(shutting_down()))

    async def _take_message(self, limit: int) -> str:
        with SpoolFile(self._service.spool) as spool:
            received = await receive(self._inbound, spool, limit)
            self._busy = True  # a client that leaves now changes nothing
            try:
                return await self._hand_over(received, spool)
            finally:
                self._busy = False

    @property
    def _sender(self) -> str | None:
        """None: the null sender."""
        sender: str = self.envelope.mail_from
        return None if sender == NULL else sender


def commands_of(session: type[Commands]) -> list[str]:
    """For `__dir__`: aiosmtpd looks through all attributes for every connection."""
    return [name for name in dir(session) if name.startswith(("smtp_", "auth_"))]
