"""The web address of the gateway, in the loop of the process that accepts.

The application and the web server are imported in a thread when all listeners are up: mail doesn't wait for them, and who asks early
waits in the backlog of the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mailroom.observe import events
from mailroom_core.errors import ConfigError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

PATIENCE = 10
"""Seconds that requests may go on after a request to stop."""


class Web:
    """A running web server."""

    def __init__(self, make: Callable[[], ASGIApp], host: str, port: int, *, proxies: Sequence[str] = (), **limits: float) -> None:
        """`make` runs in a thread; what `proxies` (networks) say of a client is believed; `limits` are those of `wire.Limits`. Raises
        ConfigError if the port can't be had."""
        try:
            self._socket = socket.create_server((host, port), backlog=1024)
        except OSError as problem:
            text = f"Can't listen on {host} port {port} for the web ({problem.strerror}); choose another port, or stop what uses it"
            raise ConfigError(text) from problem
        self._make = make
        self._proxies = list(proxies)
        self._limits = limits
        self._server: uvicorn.Server | None = None
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_tell)

    @property
    def url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    async def _run(self) -> None:
        self._server = await asyncio.to_thread(_server, self._make, self._proxies, self._limits)
        await self._server.serve([self._socket])

    async def stop(self) -> None:
        if self._server is None:
            self._task.cancel()
        else:
            self._server.should_exit = True
        await asyncio.wait([self._task])


def _tell(ended: asyncio.Task[None]) -> None:
    """Whatever it was, mail goes on without the web."""
    if not ended.cancelled() and (problem := ended.exception()):
        events.web_broke(repr(problem))


def _server(make: Callable[[], ASGIApp], proxies: list[str], limits: Mapping[str, Any]) -> uvicorn.Server:
    """Blocking, and slow: the imports are."""
    import uvicorn

    from mailroom.api.wire import Connection, Crowd, Limits

    class Server(uvicorn.Server):
        """Signals are the gateway's own business."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        make(),
        http=partial(Connection, Limits(**limits), Crowd()),  # type: ignore[arg-type]  # it makes one, as the class would
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=PATIENCE,
    )
    config.load()
    return Server(config)
