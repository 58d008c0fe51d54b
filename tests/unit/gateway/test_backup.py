"""A backup and its restore: nothing is lost, no key gets out, and what is restored waits for a person."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from mailroom.backup import DATABASE, backup, restore
from mailroom.holds import RESTORED, free_after_sign_in
from mailroom.objects import Role
from mailroom.ports import Query, Store
from mailroom.settings import Settings
from mailroom.store.open import open_store
from mailroom.users import Link, LinkKind, Session, User
from mailroom_core.errors import ConfigError
from mailroom_core.model import LaneName
from tests.contract.store.makers import FakeClock, Maker

LANE = LaneName("graph:office:mary@example.com")


def said(done: int, total: int) -> None: ...


@dataclass
class House:
    """A gateway with one mail in its queue, its backups, and a directory to restore into."""

    folder: Path
    clock: FakeClock

    def __post_init__(self) -> None:
        self.old, self.new = Settings(data=self.folder / "old"), Settings(data=self.folder / "new")
        self.new.data.mkdir()
        (self.old.data / "blobs" / "00").mkdir(parents=True)
        (self.old.data / "blobs" / "00" / "1.eml").write_bytes(b"large")
        for name in ("vault.key", "tls.crt", "tls.key"):
            (self.old.data / name).write_text(name)
        self.store = self.open(self.old.data / DATABASE)
        self.store.put([Maker(self.clock).message("anna@example.org", lane=LANE)])

    def open(self, path: Path) -> Store:
        return open_store(path, clock=self.clock)

    def backup(self, *, with_key: bool = False) -> Path:
        target = self.folder / f"backup-{with_key}.tar"
        backup(self.old, target, with_key=with_key, progress=said)
        return target

    def restore(self, source: Path) -> int:
        return restore(self.new, source, self.open, progress=said)

    def held(self) -> dict[str, str]:
        store = self.open(self.new.data / DATABASE)
        try:
            return {lane.name: lane.held for lane in store.lanes()}
        finally:
            store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, FakeClock())
    yield made
    made.store.close()


def test_a_backup_holds_the_keys_only_if_they_are_asked_for(house: House) -> None:
    for with_key, keys in ((False, set()), (True, {"vault.key", "tls.crt", "tls.key"})):
        with tarfile.open(house.backup(with_key=with_key)) as tar:
            assert set(tar.getnames()) == {DATABASE, "blobs/00/1.eml", *keys}


def test_a_backup_waits_for_no_writer_and_holds_one_moment(house: House) -> None:
    with open_store(house.old.data / DATABASE, clock=house.clock)._database.write() as tx:
        tx.run("UPDATE deliveries SET recipient = 'uncommitted'")
        source = house.backup(with_key=True)
    house.restore(source)
    restored = house.open(house.new.data / DATABASE)
    assert [found.delivery.recipient for found in restored.find(Query(), limit=5)[0]] == ["anna@example.org"]
    restored.close()


def test_a_restored_queue_is_held(house: House) -> None:
    assert house.restore(house.backup(with_key=True)) == 1
    assert house.held() == {LANE: RESTORED}
    assert (house.new.data / "blobs" / "00" / "1.eml").read_bytes() == b"large"
    assert (house.new.data / DATABASE).stat().st_mode & 0o777 == 0o600
    assert not (house.new.data / "restoring").exists()


def test_all_that_was_restored_is_on_the_disk_before_the_database_takes_its_name(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    source = house.backup(with_key=True)
    synced: list[str] = []
    sync = os.fsync

    def note(handle: int) -> None:
        sync(handle)
        if not (house.new.data / DATABASE).exists():
            synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{handle}"), house.new.data))

    monkeypatch.setattr(os, "fsync", note)
    house.restore(source)
    assert {"blobs/00/1.eml", "blobs/00", "blobs", ".", "vault.key", "tls.crt", "tls.key", f"restoring/{DATABASE}"} <= set(synced)


def test_nobody_is_signed_in_to_what_was_restored(house: House) -> None:
    """Sessions and links that were ended after the backup must not come back with it."""
    users, now = house.store.users, house.clock()
    users.add(User(name="mary@example.com", role=Role.ADMIN))
    users.begin_session(Session(key="s", user="mary@example.com", created_at=now, seen_at=now, agent="", address=""))
    users.put_link(Link(key="l", kind=LinkKind.PASSWORD, user="mary@example.com", expires_at=now + timedelta(days=1)))
    house.restore(house.backup(with_key=True))
    restored = house.open(house.new.data / DATABASE)
    day = timedelta(days=1)
    assert [user.name for user in restored.users.all()] == ["mary@example.com"]
    assert restored.users.sessions(idle=day, absolute=day) == []
    assert restored.users.link("l", LinkKind.PASSWORD) is None
    restored.close()


def test_without_a_key_nothing_is_restored_and_with_one_it_is_held(house: House) -> None:
    source = house.backup()
    with pytest.raises(ConfigError, match=r"vault\.key"):
        house.restore(source)
    assert not (house.new.data / DATABASE).exists()
    (house.new.data / "vault.key").write_text("mine")
    assert house.restore(source) == 1
    assert house.held() == {LANE: RESTORED}
    assert (house.new.data / "vault.key").read_text() == "mine"


@pytest.mark.parametrize("at", ["unpacking", "holding"])
def test_an_interrupted_restore_leaves_no_database_and_begins_anew(house: House, at: str) -> None:
    source = house.backup(with_key=True)

    def interrupt(*_: object) -> Store:
        raise KeyboardInterrupt

    def progress(done: int, total: int) -> None:
        if at == "unpacking" and (house.new.data / "restoring" / DATABASE).exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(house.new, source, interrupt if at == "holding" else house.open, progress=progress)
    assert not (house.new.data / DATABASE).exists()
    assert house.restore(source) == 1
    assert house.held() == {LANE: RESTORED}


def test_another_file_is_no_backup(house: House) -> None:
    other = house.folder / "other.tar"
    with tarfile.open(other, "w") as tar:
        tar.add(house.old.data / "tls.crt", "notes.txt")
    with pytest.raises(ConfigError, match="no backup"):
        house.restore(other)


def test_a_new_sign_in_frees_what_waited_for_it_and_no_restored_lane(house: House) -> None:
    other = LaneName("graph:office:tom@example.com")
    house.store.hold_lane(LANE, "AADSTS70008: expired. Connect the account again")
    house.store.hold_lane(other, RESTORED)
    freed, staying = free_after_sign_in(house.store, lambda lane: lane.startswith("graph:office:"))
    assert (freed, [lane.name for lane in staying]) == (1, [other])
    assert {lane.name: bool(lane.held) for lane in house.store.lanes()} == {LANE: False, other: True}
