"""What an attempt commits on its way, and that it stops when it is not ours any more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailroom.ports import Lane
from mailroom.queue.ledger import Ledger
from mailroom.store.open import open_store
from mailroom_core.errors import StoreError
from tests.contract.store.makers import TTL, FakeClock, Maker, claim_one


@pytest.mark.anyio
async def test_who_has_lost_the_lane_is_told_when_it_wants_to_go_on(tmp_path: Path) -> None:
    clock = FakeClock(datetime(2026, 11, 20, tzinfo=UTC))
    store = open_store(tmp_path / "db", clock=clock)
    make = Maker(clock)
    store.put([make.message()])
    old = claim_one(store, "old")
    (work,) = store.due(old, limit=1)
    ledger = Ledger(store)
    assert await ledger.begin(make.attempt(old, work, limit=TTL))
    clock.go_on(minutes=1)
    new: Lane = claim_one(store, "new")
    ((attempt, _),) = store.unresolved(new, limit=1)
    with pytest.raises(StoreError, match="another owner"):
        await ledger.note(attempt, {"draft_id": "d"})
    await ledger.close()
    store.close()
