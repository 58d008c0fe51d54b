"""queue.attempt: a try has ended before anybody else may take it for dead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from mailroom.ports import Job, NewAttempt, Remember, Store
from mailroom.queue.attempt import Desk, deliver
from mailroom.queue.ledger import Ledger
from mailroom.store.open import open_store
from mailroom_core.model import DeliveryId, LaneName, Outcome, State
from tests.contract.store.makers import FakeClock, Maker
from tests.contract.store.memory_blobs import MemoryBlobs

pytestmark = pytest.mark.anyio
LANE = LaneName("smarthost:out")


class Endless:
    """A way out that never answers."""

    way = "endless"

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        await asyncio.Event().wait()
        raise AssertionError

    resolve = attempt

    async def close(self) -> None: ...


class SlowLedger(Ledger):
    """Its commit of the beginning takes a minute and a half."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        super().__init__(store)
        self._clock = clock

    async def begin(self, attempt: NewAttempt) -> bool:
        begun = await super().begin(attempt)
        self._clock.go_on(seconds=90)
        return begun


async def test_a_slow_beginning_takes_of_the_time_that_the_whole_try_has(tmp_path: Path) -> None:
    clock = FakeClock()
    store = open_store(tmp_path / "db", clock=clock)
    maker = Maker(clock)
    store.put([maker.message("anna@example.org", lane=LANE)])
    (lane,) = store.claim("me", want=1, ttl=timedelta(minutes=1))
    (work,) = store.due(lane, limit=1)
    ledger = SlowLedger(store, clock)
    limit = timedelta(seconds=90)
    desk = Desk(store=store, blobs=MemoryBlobs(), ids=maker.ids, clock=clock, random=Random(1), ledger=ledger, time_limit=limit)
    settled = await asyncio.wait_for(deliver(desk, lane, Endless(), work), 20)
    await ledger.close()
    store.close()
    assert settled is not None
    assert [each.state for each in settled.deliveries] == [State.UNSURE]
    assert "no end after 90 s" in settled.text
