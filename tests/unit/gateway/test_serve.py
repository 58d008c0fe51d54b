"""What keeps the gateway going: its workers come back, whatever ended them, and nothing dies in silence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailroom import serve
from mailroom.settings import Settings
from mailroom_core.errors import StoreError

pytestmark = pytest.mark.anyio


class Child:
    """A worker process that has ended, or runs until it is told to end."""

    def __init__(self, returncode: int | None) -> None:
        self.returncode = returncode
        self._ended = asyncio.Event()
        if returncode is not None:
            self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return self.returncode or 0

    def terminate(self) -> None:
        self._ended.set()


async def test_a_worker_is_started_again_though_neither_system_nor_database_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, running = asyncio.Event(), asyncio.Event()
    coming: list[Child | OSError] = [OSError("no more processes"), Child(1), OSError("again"), Child(None)]

    async def start(*words: str, **options: object) -> Child:
        child = coming.pop(0)
        if isinstance(child, OSError):
            raise child
        if child.returncode is None:
            running.set()
        return child

    def busy(owners: str) -> None:
        raise StoreError("busy")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(serve, "RESTART", 0.0)
    parts: Any = SimpleNamespace(settings=Settings(data=tmp_path), store=SimpleNamespace(end_leases=busy))
    keeper = serve.essential(serve.keep_worker(parts, [], (), stop), stop)
    async with asyncio.timeout(10):
        await running.wait()
        assert not keeper.done()
        stop.set()
        await keeper
    assert coming == []


async def test_a_part_that_dies_stops_its_process_and_says_why() -> None:
    stop = asyncio.Event()

    async def dies() -> None:
        raise ZeroDivisionError

    async def lives() -> None:
        await asyncio.Event().wait()

    dead, alive = serve.essential(dies(), stop), serve.essential(lives(), asyncio.Event())
    async with asyncio.timeout(10):
        await stop.wait()
    alive.cancel()
    await asyncio.wait({dead, alive})
    with pytest.raises(ZeroDivisionError):
        serve.end_of(alive, dead)
    serve.end_of(alive)


async def test_a_change_that_somebody_else_has_noticed_first_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    failures = [StoreError("busy")]
    current = SimpleNamespace(version=1)

    class Directory:
        def __call__(self) -> Any:
            return current

        def look(self) -> bool:
            return False  # whoever looked before us knows it already

    def changed() -> None:
        if failures:
            raise failures.pop()
        told.append(current.version)

    async def pass_(seconds: float) -> None:
        if told == [1, 2]:
            raise asyncio.CancelledError
        current.version = 2 if told else 1

    monkeypatch.setattr("mailroom.serve.asyncio.sleep", pass_)
    monkeypatch.setattr("mailroom.serve.events.store_trouble", lambda why: None)
    with pytest.raises(asyncio.CancelledError):
        await serve._refresh(SimpleNamespace(directory=Directory()), changed)  # type: ignore[arg-type]
