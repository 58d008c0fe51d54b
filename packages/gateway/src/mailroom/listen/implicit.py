"""A port where TLS comes first (RFC 8314 3.3), accepted by ourselves.

`create_server(ssl=...)` would take any number of half-open handshakes, and the certificate of its first hour for ever.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from mailroom.listen.guard import read_client
from mailroom.listen.listener import Listener
from mailroom.listen.service import Service
from mailroom.observe import events
from mailroom_core.errors import Refused

_OUT_OF_FILES = 0.1
"""Seconds to wait when the system gives us no more connections."""


class ImplicitTlsServer:
    """Like an `asyncio.Server`, as far as `Running` needs one."""

    def __init__(self, service: Service, listener: Listener, factory: Callable[[], asyncio.Protocol], sock: socket.socket) -> None:
        assert service.certificates is not None, "serve() insists on them"
        self._certificates = service.certificates
        self._service = service
        self._listener = listener
        self._factory = factory
        self.sockets = (sock,)
        sock.setblocking(False)
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Take no more connections and give up the handshakes."""
        for task in (self._accepting, *self._handshakes):
            task.cancel()
        self._accepting.add_done_callback(lambda _: self.sockets[0].close())  # the loop must have let go of it

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(self.sockets[0])
            except ConnectionError:
                continue
            except OSError as problem:
                events.session_refused("", str(problem))
                await asyncio.sleep(_OUT_OF_FILES)
                continue
            task = loop.create_task(self._shake_hands(sock, peer[0]))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, sock: socket.socket, host: str) -> None:
        client = read_client(host)
        try:
            self._service.enter(client, self._listener)
        except Refused as refused:
            events.session_refused(host, refused.text)
            sock.close()
            return
        made = False
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._factory,
                sock,
                ssl=self._certificates.context(),
                ssl_handshake_timeout=self._service.limits.handshake.total_seconds(),
            )
            made = True
        except OSError as problem:
            events.tls_failed(host, str(problem) or repr(problem))
        finally:
            if not made:
                self._service.counts.leave(client)
                sock.close()
