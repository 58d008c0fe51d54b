"""What time does to mail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mailroom.ports import DeliveryResult, NewMessage, Query, Work
from mailroom.queue.sweep import check_owner, drop_orphans, end_expired, tick_off
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.errors import StoreError, StoreRefused
from mailroom_core.model import DeliveryId, State, show_id
from tests.contract.store.makers import FakeClock, Maker
from tests.contract.store.memory_blobs import MemoryBlobs
from tests.contract.store.test_cutting_over import mover


def test_a_blob_that_nobody_refers_to_goes_and_one_on_its_way_in_stays(tmp_path: Path) -> None:
    clock, blobs = FakeClock(), MemoryBlobs()
    store, maker = open_store(tmp_path / "db", clock=clock), Maker(clock)
    names = {}
    for kind in ("stored", "orphan"):
        names[kind] = f"{show_id(maker.ids())}.eml"
    clock.go_on(hours=2)
    names["young"] = f"{show_id(maker.ids())}.eml"
    names["foreign"] = "notes.txt"
    for name in names.values():
        spooled = tmp_path / "spooled"
        spooled.write_bytes(b"x")
        blobs.keep(name, spooled)
    store.put([maker.message("anna@example.org", raw=None, blob=names["stored"])])
    assert drop_orphans(store, blobs, clock) == 1
    assert set(blobs.names()) == {names["stored"], names["young"], names["foreign"]}
    clock.go_on(hours=1, seconds=1)
    assert drop_orphans(store, blobs, clock) == 1
    assert set(blobs.names()) == {names["stored"], names["foreign"]}
    store.close()


def test_blobs_of_another_database_are_left_alone(tmp_path: Path) -> None:
    mark = tmp_path / "blobs.owner"
    check_owner(mark, "one")
    check_owner(mark, "one")
    with pytest.raises(StoreError, match="another database"):
        check_owner(mark, "two")
    mark.unlink()
    check_owner(mark, "two")


class Stubborn:
    """A store that refuses to end one delivery."""

    def __init__(self, store: SqlStore, never: DeliveryId) -> None:
        self._store, self._never = store, never

    def expired(self, *, limit: int) -> list[Work]:
        return self._store.expired(limit=limit)

    def fail_expired(self, results: Sequence[DeliveryResult], replies: Sequence[NewMessage]) -> None:
        if any(result.id == self._never for result in results):
            raise StoreRefused("this one never")
        self._store.fail_expired(results, replies)


def test_one_mail_that_the_store_refuses_to_end_stops_no_other(tmp_path: Path) -> None:
    clock = FakeClock()
    store, maker = open_store(tmp_path / "db", clock=clock), Maker(clock)
    bad, good = maker.message("bad@example.org"), maker.message("good@example.org")
    store.put([bad, good])
    clock.go_on(days=30)
    end_expired(Stubborn(store, bad.deliveries[0].id), clock, lambda work, results: ())  # type: ignore[arg-type]  # two methods of it
    found = {each.delivery.recipient: each.delivery.state for each in store.find(Query(), limit=9)[0]}
    assert found == {"bad@example.org": State.QUEUED, "good@example.org": State.FAILED}
    store.close()


def test_the_sweep_ticks_off_who_has_moved_here(tmp_path: Path) -> None:
    clock = FakeClock()
    store = open_store(tmp_path / "db", clock=clock)
    store.cutover.enlist([mover(clock)], by="test")
    clock.go_on(seconds=1)
    store.put([Maker(clock).message("anna@example.org", application="scanner")])
    clock.go_on(seconds=1)
    tick_off(store)
    assert store.cutover.all()[0].done_at is not None
    store.close()
