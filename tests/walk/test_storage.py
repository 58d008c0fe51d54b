"""Our own bad days: the database is busy, full or gone. What can't be kept is not accepted, and it goes on by itself."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailroom_core.model import State
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.world import ANNA, World, eventually, mail, unique

LARGE = "x" * 70 + "\r\n"
SMALL_DISK = "40m"


@pytest.fixture(scope="module")
def started(make_world: MakeWorld) -> World:
    return make_world(environment=QUICK_LOOKS).set_up()


@pytest.fixture
def world(started: World) -> World:
    started.calm()
    return started


@pytest.fixture(scope="module")
def on_a_small_disk(make_world: MakeWorld) -> Iterator[World]:
    """A gateway whose data directory is a file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    world = make_world(environment=QUICK_LOOKS)
    world.gateway.data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(world.gateway.data)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield world.set_up()
    finally:
        world.gateway.stop()
        subprocess.run(["umount", str(world.gateway.data)], check=True)


def test_a_busy_database_is_a_451_and_what_is_on_its_way_arrives_once(world: World) -> None:
    """Sent is sent: its end is written when the database can be written again, and nobody has to find it out."""
    world.emulator.fault(match={"operation": "send"}, action={"kind": "delay", "seconds": 1.0})
    subject = unique("busy on its way")
    world.submit(mail(subject))
    assert eventually(lambda: world.faults_left() == 0, every=0.02)
    with _database_lock(world):
        assert eventually(lambda: world.arrived(subject))
        code, text = world.answer_to(mail(unique("busy")))
        assert (code, text[:5]) == (451, "4.3.0")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("createDraft"), world.count("getMessage")) == (1, 0)
    world.submit(mail(unique("not busy any more")))


def test_a_database_that_is_gone_is_a_451_and_not_a_promise(world: World) -> None:
    """SQLite itself would go on writing to a file that has no name any more."""
    gone = [path for path in world.gateway.data.glob("mailroom.db*") if path.suffix not in {".lock", ".turn"}]
    for path in gone:
        path.rename(path.with_name(f"away-{path.name}"))
    try:
        code, text = world.answer_to(mail(unique("gone")))
        assert (code, text[:5]) == (451, "4.3.0")
    finally:
        for path in gone:
            path.unlink(missing_ok=True)
            path.with_name(f"away-{path.name}").rename(path)
    subject = unique("there again")
    world.submit(mail(subject))
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


@pytest.mark.parametrize("lines", [1, 5_000, 30_000], ids=["in the row", "as a blob", "megabytes"])
def test_a_full_disk_is_a_452_and_goes_on(on_a_small_disk: World, lines: int) -> None:
    world = on_a_small_disk
    with _full(world.gateway.data):
        code, text = world.answer_to(mail(unique("full"), text=LARGE * lines))
        assert (code, text[:5]) == (452, "4.3.1")
    subject = unique("room again")
    world.submit(mail(subject, text=LARGE * lines))
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert world.gateway.process.poll() is None
    assert list((world.gateway.data / "spool").iterdir()) == []


def test_a_mail_on_its_way_while_the_disk_is_full_arrives_once(on_a_small_disk: World) -> None:
    world = on_a_small_disk
    world.calm()
    world.emulator.fault(match={"operation": "createDraft"}, action={"kind": "delay", "seconds": 1.0})
    subject = unique("full on its way")
    world.submit(mail(subject))
    assert eventually(lambda: world.faults_left() == 0, every=0.02)
    with _full(world.gateway.data):
        assert eventually(lambda: world.count("createDraft"))
        assert world.answer_to(mail(unique("full")))[0] == 452
        assert world.states(subject) == {ANNA: State.SENDING}
    world.wait_until_sent(subject, patience=60)
    assert world.arrived(subject) == [ANNA]


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """Not a byte is left on the file system."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size):
                        pass
        yield
    finally:
        filler.unlink()


@contextmanager
def _database_lock(world: World) -> Iterator[None]:
    """Another program writes to the database, and takes its time."""
    connection = sqlite3.connect(world.gateway.data / "mailroom.db", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
