"""The running gateway: one process that accepts, with the listeners and the web address, and one or more that deliver.

Accepting and delivering use different cores. Workers are children that inherit two pipes: one nudges them when there is new work,
the other one ends when their parent ends, however it ends; then they end at once, because a new boot takes their leases.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from mailroom.observe import events
from mailroom.settings import Settings
from mailroom.wakeup import PipeWakeup
from mailroom.wiring.doctor import watch_health
from mailroom.wiring.fetching import make_fetch, watch_servers
from mailroom.wiring.front import make_front
from mailroom.wiring.mailboxes import make_waiting
from mailroom.wiring.parts import Parts, open_parts
from mailroom.wiring.signin import tell_set_up
from mailroom.wiring.ways import Ways
from mailroom.wiring.worker import make_sweep, make_teller, make_worker
from mailroom_core.errors import ConfigError, StoreError

STOP = timedelta(seconds=20)
"""How long sessions and attempts may go on after a request to stop."""
RESTART = 1.0
"""Seconds before a worker that ended is started again."""
LOCK_WAIT = 15.0


@contextlib.contextmanager
def one_gateway(data: Path) -> Iterator[int]:
    """The lock of a data directory. Workers inherit it, so that a new boot knows that all processes of the old one are dead."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(handle, data)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, data: Path) -> None:
    until, told = time.monotonic() + LOCK_WAIT, False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                print(f"A gateway is running in {data}: waiting up to {LOCK_WAIT:.0f} seconds for its end.", file=sys.stderr, flush=True)
                told = True
            if time.monotonic() > until:
                raise ConfigError(f"a gateway is running in {data} already; stop it first, or name another directory with --data") from None
            time.sleep(0.05)


async def serve(settings: Settings, arguments: Sequence[str], *, ready: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT. `arguments` start the same command line in a worker."""
    with one_gateway(settings.data) as lock:
        parts = open_parts(settings)
        parts.ids()  # asks for this process's node now, before anybody waits for an id
        _forget_counters(settings.data / "metrics")
        _end_leases(parts)
        wakeup, parent = PipeWakeup(), os.pipe()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        worker = essential(keep_worker(parts, arguments, (*wakeup.ends, parent[0], lock), stop), stop)
        front = await make_front(parts, wakeup, stop.is_set)
        refresh = essential(_refresh(parts), stop)
        await asyncio.to_thread(tell_set_up, parts, front.web.url)
        _announce(front.addresses(), ready)
        if not any(server.active for server in parts.directory().servers.values()):
            events.no_way_out()
        events.started()
        _calm_collector()
        try:
            await stop.wait()
        finally:
            events.stopping()
            await front.stop(STOP)
            refresh.cancel()
            await asyncio.wait({worker, refresh})
            os.close(parent[1])
            parts.close()
        end_of(worker, refresh)


def essential(work: Coroutine[None, None, None], stop: asyncio.Event) -> asyncio.Task[None]:
    """A part without which the process is good for nothing: when it ends, the process stops, so that a new one is started."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda _: stop.set())
    return task


def end_of(*parts: asyncio.Task[None]) -> None:
    """Raises what ended one of them, unless it was cancelled."""
    for part in parts:
        if not part.cancelled():
            part.result()


def _forget_counters(folder: Path) -> None:
    """Those of boots before; each counts into a folder of its own."""
    for boot in folder.iterdir():
        if boot.name != str(os.getpid()):
            shutil.rmtree(boot, ignore_errors=True)


def _end_leases(parts: Parts) -> None:
    """No worker runs here: every owner of before is dead, on a database that others may share those of this machine. Without this,
    leases end by themselves."""
    try:
        parts.store.end_leases(parts.machine if parts.settings.database else "")
    except StoreError as problem:
        events.store_trouble(str(problem))


def _announce(addresses: list[str], ready: Path | None) -> None:
    for address in addresses:
        print(address, flush=True)
    if ready is not None:
        ready.write_text("\n".join(addresses) + "\n")


async def keep_worker(parts: Parts, arguments: Sequence[str], inherited: tuple[int, ...], stop: asyncio.Event) -> None:
    """Start the worker again whenever it ends, until we stop."""
    while not stop.is_set():
        words = (sys.executable, "-m", "mailroom.cli", *arguments, "worker", *map(str, inherited[:3]))
        try:
            child = await asyncio.create_subprocess_exec(*words, pass_fds=inherited, stdin=asyncio.subprocess.DEVNULL)
        except OSError as problem:
            events.worker_missing(str(problem))
            await asyncio.sleep(RESTART)
            continue
        ended, stopped = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            child.terminate()
            try:
                await asyncio.wait_for(ended, STOP.total_seconds())
            except TimeoutError:
                child.kill()
                await child.wait()
        elif not stop.is_set():
            events.worker_ended(child.returncode or 0)
            await asyncio.sleep(RESTART)
            await asyncio.to_thread(_end_leases, parts)


async def work(settings: Settings, wake: int, nudge: int, parent: int) -> None:
    """A worker process, started by `serve`."""
    parts = open_parts(settings)
    parts.ids()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's Ctrl+C reaches us as well; our parent decides
    loop.add_reader(parent, partial(os._exit, 1))
    refresh = essential(_refresh(parts, partial(watch_servers, parts)), stop)
    ways, wakeup = Ways(parts), PipeWakeup((wake, nudge))
    fetch, commit = make_fetch(parts, ways, wakeup)
    worker = make_worker(parts, ways, wakeup, fetch)
    sweeping = essential(make_sweep(parts), stop)
    telling = asyncio.create_task(make_teller(parts).run(stop))
    looking = asyncio.create_task(watch_health(parts))  # no mail waits for it
    waiting = essential(make_waiting(parts, wakeup).run(stop), stop)
    _calm_collector()
    try:
        await worker.run(stop)
    finally:
        stop.set()
        refresh.cancel()
        sweeping.cancel()
        looking.cancel()
        await asyncio.wait({refresh, sweeping, telling, looking, waiting})
        await commit.close()
        await ways.close()
        parts.close()
    end_of(refresh, sweeping, waiting)


def _calm_collector() -> None:
    """What exists by now stays, and mails leave few cycles behind: looking for them as often as Python does costs a twentieth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


async def _refresh(parts: Parts, changed: Callable[[], None] = lambda: None) -> None:
    """Notice changed objects."""
    told = -1
    while True:
        version = parts.directory().version  # others look as well, so that a change may be known already
        if version != told:
            try:
                await asyncio.to_thread(changed)
                told = version
            except StoreError as problem:
                events.store_trouble(str(problem))
        await asyncio.sleep(1.0)
        await asyncio.to_thread(parts.directory.look)
