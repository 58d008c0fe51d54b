"""Listening: HTTP, HTTPS and a proxy, in this thread or in one of its own."""

import asyncio
import contextlib
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from mailroom_emulator import proxy
from mailroom_emulator.app import Application
from mailroom_emulator.emulator import Emulator
from mailroom_emulator.seed import Seed
from mailroom_emulator.tls import Authority, write_ca


@dataclass(frozen=True)
class Options:
    """How to run. Port 0 takes a free one, None does not listen; `ca_file` is where the CA is written."""

    host: str = "127.0.0.1"
    port: int = 0
    https_port: int | None = None
    proxy_port: int | None = None
    ca_file: Path | None = None
    seed: Seed = field(default_factory=Seed)
    data: Path | None = None
    time_scale: float = 1.0


@dataclass(frozen=True)
class Running:
    """An emulator that listens; the URLs have no slash at the end."""

    url: str
    https_url: str | None
    proxy_url: str | None
    ca_file: Path | None
    emulator: Emulator


class _Protocol(H11Protocol):
    """HTTP/1.1 that lets faults reach the connection, to break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


@contextlib.asynccontextmanager
async def listening(options: Options) -> AsyncIterator[Running]:
    """Serve on the running loop as long as the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        data = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailroom-emulator-")))
        emulator = Emulator(options.seed, data, options.time_scale)
        protocols = _protocols(emulator)
        port = await _listen(stack, protocols, options.host, options.port, None)
        https_port = proxy_port = None
        if options.https_port is not None or options.proxy_port is not None:
            authority = Authority()
            https_port = await _listen(stack, protocols, options.host, options.https_port or 0, authority.context())
            if options.ca_file is not None:
                write_ca(options.ca_file, authority.pem)
        if options.proxy_port is not None and https_port is not None:
            proxy_port = await _listen_as_proxy(stack, options.host, options.proxy_port, https_port)
        agenda = asyncio.create_task(emulator.agenda.run())
        stack.callback(agenda.cancel)
        yield Running(
            url=f"http://{options.host}:{port}",
            https_url=f"https://localhost:{https_port}" if options.https_port is not None else None,
            proxy_url=f"http://{options.host}:{proxy_port}" if proxy_port is not None else None,
            ca_file=options.ca_file,
            emulator=emulator,
        )


async def _listen(
    stack: contextlib.AsyncExitStack,
    protocols: Callable[[], _Protocol],
    host: str,
    port: int,
    context: ssl.SSLContext | None,
) -> int:
    server = await asyncio.get_running_loop().create_server(protocols, host, port, ssl=context, backlog=1024)
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


async def _listen_as_proxy(stack: contextlib.AsyncExitStack, host: str, port: int, https_port: int) -> int:
    server = await asyncio.start_server(proxy.connecting_to(host, https_port), host, port)
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


def _protocols(emulator: Emulator) -> Callable[[], _Protocol]:
    config = uvicorn.Config(
        Application(emulator),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        ws="none",
    )
    config.load()
    state = ServerState()
    return lambda: _Protocol(config, state, {})


@contextlib.contextmanager
def in_thread(options: Options | None = None) -> Iterator[Running]:
    """Serve from a thread of its own, for tests; everything goes over HTTP, the state belongs to that thread."""
    started: list[tuple[Running, asyncio.AbstractEventLoop, asyncio.Event]] = []
    failures: list[OSError] = []
    ready = threading.Event()

    async def serve() -> None:
        stop = asyncio.Event()
        async with listening(options or Options()) as running:
            started.append((running, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except OSError as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="mailroom-emulator", daemon=True)
    thread.start()
    ready.wait()
    if not started:
        raise failures[0] if failures else RuntimeError("the emulator did not start")
    running, loop, stop = started[0]
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
