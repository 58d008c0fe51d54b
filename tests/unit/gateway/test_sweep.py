"""What time does to mail."""

from __future__ import annotations

from pathlib import Path

from mailroom.queue.sweep import drop_orphans
from mailroom.store.open import open_store
from mailroom_core.model import show_id
from tests.contract.store.makers import FakeClock, Maker
from tests.contract.store.memory_blobs import MemoryBlobs


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
