"""The submission listener: applications hand their mail in by SMTP (RFC 6409), usually on 2525, 587 or 465."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from mailroom.listen.door import Door
from mailroom.listen.implicit import ImplicitTlsServer
from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.rules import Rules
from mailroom.listen.service import Service
from mailroom.listen.session import SubmissionSession
from mailroom.listen.tls import Certificates
from mailroom_core.errors import ConfigError

_BACKLOG = 1024


class Server(Protocol):
    """An `asyncio.Server`, or our own."""

    @property
    def sockets(self) -> Sequence[Any]: ...

    def close(self) -> None: ...


class Running:
    """The listeners at work."""

    def __init__(self, service: Service, servers: Sequence[Server]) -> None:
        self._service = service
        self._servers = servers
        self.addresses: list[tuple[str, int]] = [server.sockets[0].getsockname()[:2] for server in servers]
        """Where they listen, in the order in which they were given."""

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._service.sessions)

    async def stop(self, deadline: timedelta) -> None:
        """Take no new connections and no new mail; let what is on its way arrive until `deadline`; close the rest."""
        self._service.stopping = True
        for server in self._servers:
            server.close()
        for session in list(self._service.sessions):
            session.stop()
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                await self._service.all_gone()
        except TimeoutError:
            for session in list(self._service.sessions):
                session.abort()
            await self._service.all_gone()  # what the door is busy with is finished


async def serve(
    listeners: Sequence[Listener],
    door: Door,
    *,
    spool: Path,
    hostname: str,
    certificates: Certificates | None = None,
    limits: Limits | None = None,
    ident: str = "ESMTP Mailroom",
    clock: Callable[[], float] = time.monotonic,
) -> Running:
    """Listen. `spool` is a directory of our own; `hostname` and `ident` are the greeting.

    Raises ConfigError if a port can't be had.
    """
    if certificates is None and any(listener.mode is not TlsMode.NONE for listener in listeners):
        raise ConfigError("A listener wants TLS, but there is no certificate; name one, or set tls = none")
    logging.getLogger("mail.log").disabled = True  # aiosmtpd's; ours are the events, and nobody's are the dialogues
    service = Service(
        door=door,
        limits=limits or Limits(),
        spool=spool,
        hostname=hostname,
        ident=ident,
        certificates=certificates,
        clock=clock,
    )
    servers: list[Server] = []
    try:
        for listener in listeners:
            servers.append(await _listen(service, listener))
    except ConfigError:
        for server in servers:
            server.close()
        raise
    return Running(service, servers)


async def _listen(service: Service, listener: Listener) -> Server:
    loop = asyncio.get_running_loop()
    session = SubmissionSession(service, Rules(service), listener, loop).another
    try:
        family, *_, address = (await loop.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM))[0]
        sock = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as problem:
        raise ConfigError(
            f"Can't listen on {listener.host} port {listener.port} ({problem.strerror}); choose another port, stop what uses it, "
            "or give us the right to use ports below 1024"
        ) from problem
    if listener.mode is TlsMode.IMPLICIT:
        return ImplicitTlsServer(service, listener, session, sock)
    return await loop.create_server(session, sock=sock, backlog=_BACKLOG)
