"""Listening: HTTP on a port, in this thread or in one of its own."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from mailroom_emulator.app import Application
from mailroom_emulator.emulator import Emulator
from mailroom_emulator.seed import Seed


@dataclass(frozen=True)
class Options:
    """How to run; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    seed: Seed = field(default_factory=Seed)
    data: Path | None = None
    time_scale: float = 1.0


@dataclass(frozen=True)
class Running:
    """An emulator that listens: `url` has no slash at the end."""

    url: str
    emulator: Emulator


class _Protocol(H11Protocol):
    """HTTP/1.1 that lets faults reach the connection, to break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


@contextlib.asynccontextmanager
async def listening(options: Options) -> AsyncIterator[Running]:
    """Serve on the running loop as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        data = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailroom-emulator-")))
        emulator = Emulator(options.seed, data, options.time_scale)
        server = await asyncio.get_running_loop().create_server(_protocols(emulator), options.host, options.port)
        agenda = asyncio.create_task(emulator.agenda.run())
        try:
            yield Running(f"http://{options.host}:{server.sockets[0].getsockname()[1]}", emulator)
        finally:
            agenda.cancel()
            server.close()


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
    started: list[Running] = []
    failures: list[BaseException] = []
    ready = threading.Event()
    loop_ready: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        async with listening(options or Options()) as running:
            started.append(running)
            loop_ready.append((asyncio.get_running_loop(), stop))
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
    if failures or not started:
        raise failures[0] if failures else RuntimeError("the emulator did not start")
    loop, stop = loop_ready[0]
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
