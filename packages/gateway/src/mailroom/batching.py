"""Group commit: many callers share one transaction.

A caller hands in an item and waits. A writer takes everything that is waiting, writes it in one call, and then releases all of its
callers at once: the slower the disk, the larger the batches. If a batch fails, its items are written one by one, so that one
bad item never fails the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """`write` is blocking, gets up to `most` items and returns a result that every one of their callers gets."""

    def __init__(self, name: str, write: Callable[[Sequence[T]], R], *, most: int = 200) -> None:
        self._write = write
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._writer: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """Returns when the item is committed; raises what `write` raised for it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._commit(batch)
        finally:
            self._writer = None

    async def _commit(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self._write, [item for item, _ in batch])
        except Exception as problem:  # noqa: BLE001  # whatever it is, it belongs to the callers
            if len(batch) == 1:
                _fail(batch[0][1], problem)
                return
            for one in batch:
                await self._commit([one])
        else:
            for _, future in batch:
                if not future.done():
                    future.set_result(result)

    async def close(self) -> None:
        """Write what is waiting, then end the thread."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()


def _fail(future: asyncio.Future[R], problem: Exception) -> None:
    if not future.done():
        future.set_exception(problem)
