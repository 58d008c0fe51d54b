from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from mailroom.ports import Store
from mailroom.queue import indexing
from mailroom_core.errors import StoreError


class Troubled:
    """Its database is busy once, and then it has three parts to make."""

    def __init__(self) -> None:
        self.parts = 0
        self.asked = 0
        self.done = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def index(self) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise StoreError("busy")
        if self.parts == 3:
            self.loop.call_soon_threadsafe(self.done.set)
            return False
        self.parts += 1
        return True


async def index_all(monkeypatch: pytest.MonkeyPatch) -> Troubled:
    monkeypatch.setattr(indexing, "PAUSE", timedelta())
    monkeypatch.setattr(indexing, "EVERY", timedelta())
    store = Troubled()
    task = asyncio.create_task(indexing.keep_index(cast(Store, store)))
    await asyncio.wait_for(store.done.wait(), 10)
    task.cancel()
    return store


def test_the_index_is_made_part_by_part_whatever_the_database_says_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(index_all(monkeypatch)).parts == 3
