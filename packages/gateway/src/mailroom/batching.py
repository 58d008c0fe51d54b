"""Group commit: many callers share one transaction.

A caller hands in an item and waits. A writer takes everything that is waiting, writes it in one call, and then releases all of its
callers at once: the slower the disk, the larger the batches. If a batch fails, its items are written one by one, so that one
bad item never fails the others; unless it is the database that is in trouble, which would be so for each of them.

Who was released together comes back soon, with the next item. So under load the writer waits for them, at most as long as the last
write took: half as many transactions, each twice as large. A single caller never waits for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from mailroom_core.errors import StoreError, StoreRefused

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 0.01
"""Seconds that a writer waits for further callers at most, however slow the disk is."""


class GroupCommit(Generic[T, R]):
    """`write` is blocking, gets up to `most` items and returns a result that every one of their callers gets."""

    def __init__(self, name: str, write: Callable[[Sequence[T]], R], *, most: int = 200) -> None:
        self._write = write
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._writer: asyncio.Task[None] | None = None
        self._enough = 0
        self._gathered: asyncio.Future[None] | None = None
        self._closing = False

    async def __call__(self, item: T) -> R:
        """Returns when the item is committed; raises what `write` raised for it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._drain())
        elif self._gathered is not None and len(self._waiting) >= self._enough:
            _release(self._gathered)
        return await future

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                start = loop.time()
                await self._commit(batch)
                callers = min(len(batch) + len(self._waiting), self._most)
                if callers > 1 and not self._closing:
                    await self._gather(callers, min(loop.time() - start, PATIENCE))
        finally:
            self._writer = None

    async def _gather(self, callers: int, patience: float) -> None:
        """Until so many are waiting, or nobody has the patience any more."""
        if len(self._waiting) >= callers:
            return
        loop = asyncio.get_running_loop()
        self._enough, self._gathered = callers, loop.create_future()
        timer = loop.call_later(patience, _release, self._gathered)
        try:
            await self._gathered
        finally:
            timer.cancel()
            self._gathered = None

    async def _commit(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self._write, [item for item, _ in batch])
        except Exception as problem:  # noqa: BLE001  # whatever it is, it belongs to the callers
            if len(batch) == 1 or (isinstance(problem, StoreError) and not isinstance(problem, StoreRefused)):
                for _, future in batch:
                    _fail(future, problem)
                return
            for one in batch:
                await self._commit([one])
        else:
            for _, future in batch:
                if not future.done():
                    future.set_result(result)

    async def close(self) -> None:
        """Write what is waiting, then end the thread."""
        self._closing = True
        if self._gathered is not None:
            _release(self._gathered)
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()


def _release(gathered: asyncio.Future[None]) -> None:
    if not gathered.done():
        gathered.set_result(None)


def _fail(future: asyncio.Future[R], problem: Exception) -> None:
    if not future.done():
        future.set_exception(problem)
