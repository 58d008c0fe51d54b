"""Group commit: many callers, one transaction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from mailroom.batching import GroupCommit
from mailroom_core.errors import StoreError


@pytest.mark.anyio
async def test_callers_that_wait_share_one_write_and_each_hears_after_it() -> None:
    batches: list[list[int]] = []
    gate = threading.Event()

    def write(items: Sequence[int]) -> int:
        gate.wait(5)
        batches.append(list(items))
        return len(batches)

    commit = GroupCommit("test", write, most=10)
    first = asyncio.create_task(commit(0))
    await asyncio.sleep(0)
    others = [asyncio.create_task(commit(number)) for number in range(1, 16)]
    await asyncio.sleep(0)
    assert not first.done()
    gate.set()
    assert await first == 1
    assert set(await asyncio.gather(*others)) == {2, 3}
    assert batches == [[0], list(range(1, 11)), list(range(11, 16))]
    await commit.close()


@pytest.mark.anyio
async def test_one_bad_item_fails_alone() -> None:
    written: list[int] = []

    def write(items: Sequence[int]) -> None:
        if 2 in items:
            raise ValueError("two")
        written.extend(items)

    commit = GroupCommit("test", write)
    results = await asyncio.gather(*(commit(number) for number in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), type(None), ValueError, type(None), type(None)]
    assert written == [0, 1, 3, 4]
    await commit.close()


@pytest.mark.anyio
async def test_closing_writes_what_waits() -> None:
    written: list[int] = []
    commit = GroupCommit("test", written.extend)
    task = asyncio.create_task(commit(1))
    await asyncio.sleep(0)
    await commit.close()
    await task
    assert written == [1]


@pytest.mark.anyio
async def test_who_gave_up_waiting_harms_nobody() -> None:
    gate = threading.Event()
    commit: GroupCommit[int, bool] = GroupCommit("test", lambda items: gate.wait(5))
    impatient, patient = asyncio.create_task(commit(1)), asyncio.create_task(commit(2))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    assert await patient is True
    with pytest.raises(asyncio.CancelledError):
        await impatient
    await commit.close()


@pytest.mark.anyio
async def test_callers_that_come_back_together_are_written_together() -> None:
    batches: list[int] = []
    disk = threading.Event()

    def write(items: Sequence[int]) -> None:
        disk.wait(0.02)  # a slow one: nobody ever sets it
        batches.append(len(items))

    commit = GroupCommit("test", write)

    async def caller() -> None:
        for number in range(3):
            await commit(number)

    await asyncio.gather(*(caller() for _ in range(5)))
    assert batches == [5, 5, 5]
    await commit.close()


@pytest.mark.anyio
async def test_closing_waits_for_no_further_callers() -> None:
    gate = threading.Event()
    commit: GroupCommit[int, bool] = GroupCommit("test", lambda items: gate.wait(5))
    callers = [asyncio.create_task(commit(number)) for number in range(3)]
    await asyncio.sleep(0)
    gate.set()
    await commit.close()
    assert all(caller.done() for caller in callers)


@pytest.mark.anyio
async def test_a_database_in_trouble_is_asked_once_and_not_for_each_item() -> None:
    calls = 0

    def write(items: Sequence[int]) -> None:
        nonlocal calls
        calls += 1
        raise StoreError("busy")

    commit = GroupCommit("test", write)
    results = await asyncio.gather(*(commit(number) for number in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {StoreError}
    assert calls <= 2
    await commit.close()
