"""Ports at work: opened all or none, and stopped so that nothing is lost that was on its way."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from mailroom.listen.implicit import ImplicitTlsServer
from mailroom.listen.listener import Listener, TlsMode
from mailroom.listen.service import Service
from mailroom_core.errors import ConfigError

_BACKLOG = 1024

Factory = Callable[[Listener], Callable[[], asyncio.Protocol]]
"""For a port, what makes the session of each connection."""


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


async def listen(service: Service, listeners: Sequence[Listener], factory: Factory) -> Running:
    """Raises ConfigError if a port can't be had, and then none is open."""
    if service.certificates is None and any(listener.mode is not TlsMode.NONE for listener in listeners):
        raise ConfigError("A listener wants TLS, but there is no certificate; name one, or set tls = none")
    logging.getLogger("mail.log").disabled = True  # aiosmtpd's; ours are the events, and nobody's are the dialogues
    servers: list[Server] = []
    try:
        for listener in listeners:
            servers.append(await _open(service, listener, factory(listener)))
    except ConfigError:
        for server in servers:
            server.close()
        raise
    return Running(service, servers)


async def _open(service: Service, listener: Listener, session: Callable[[], asyncio.Protocol]) -> Server:
    loop = asyncio.get_running_loop()
    try:
        family, *_, address = (await loop.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM))[0]
        sock = socket.create_server(address[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=_both(family, str(address[0])))
    except OSError as problem:
        raise ConfigError(
            f"Can't listen on {listener.host} port {listener.port} ({problem.strerror}); choose another port, stop what uses it, "
            "or give us the right to use ports below 1024"
        ) from problem
    if listener.mode is TlsMode.IMPLICIT:
        return ImplicitTlsServer(service, listener, session, sock)
    return await loop.create_server(session, sock=sock, backlog=_BACKLOG)


def _both(family: int, host: str) -> bool:
    """`::` is every address of the machine, also those of IPv4."""
    return family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
