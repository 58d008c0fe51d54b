"""What an attempt commits on its way, and that it stops when it is not ours any more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailroom.ports import Lane, Usage
from mailroom.queue.attempt import opened
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


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("facts", "further"),
    [
        ({"draft_id": "d"}, Usage(0, 0, 0)),
        ({"sent_again": "yes"}, Usage(1, 2, 0)),
        ({"1.sent_again": "yes"}, Usage(1, 1, 0)),
        ({"1.turn": "yes"}, Usage(1, 0, 0)),
    ],
)
async def test_what_a_note_announces_counts_for_the_lanes_limits(tmp_path: Path, facts: dict[str, str], further: Usage) -> None:
    clock = FakeClock(datetime(2026, 11, 20, tzinfo=UTC))
    store = open_store(tmp_path / "db", clock=clock)
    make = Maker(clock)
    store.put([make.message("a@example.org", "b@example.org")])
    lane = claim_one(store)
    (work,) = store.due(lane, limit=1)
    ledger = Ledger(store)
    new = make.attempt(lane, work, limit=TTL)
    assert await ledger.begin(new)
    clock.go_on(seconds=1)
    await ledger.note(opened(new), facts)
    assert store.usage(lane.name, clock()) == further
    await ledger.close()
    store.close()
