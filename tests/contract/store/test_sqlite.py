"""What only SQLite has: a file, a lock, a planner without statistics of its own."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailroom.store import answering, attempts, conversing, due, housekeeping, lanes, looking, migrations, searching
from mailroom.store import open as opening
from mailroom.store.database import Dialect
from mailroom.store.lock import WriteLock
from mailroom.store.migrations import migrate
from mailroom.store.open import open_store
from mailroom.store.problems import store_error
from mailroom.store.sql import SqlStore
from mailroom_core.errors import ConfigError, StoreError, StoreFull
from tests.contract.store.makers import FakeClock, Maker

NEXT = max(migrations.MIGRATIONS) + 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mailroom.db"


@pytest.fixture
def file_store(path: Path) -> Iterator[SqlStore]:
    store = open_store(path, clock=FakeClock())
    yield store
    store.close()


def test_only_its_owner_can_read_the_file(path: Path, file_store: SqlStore) -> None:
    file_store.ping()
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes) == {f"mailroom.db{end}" for end in ("", "-wal", "-shm", ".lock", ".turn")}
    assert set(modes.values()) == {0o600}


def test_a_commit_is_synced(file_store: SqlStore) -> None:
    with file_store._database.read() as tx:
        assert [tx.one(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")] == [("wal",), (2,)]


@pytest.mark.parametrize("where", ["", "mysql://host/db", "postgresql://host", "no://at all"])
def test_a_database_that_we_do_not_know_is_a_mistake_in_the_settings(where: str) -> None:
    with pytest.raises(ConfigError, match="must be a path"):
        open_store(where, clock=FakeClock())


def test_a_path_and_a_url_mean_the_same_file(path: Path, file_store: SqlStore) -> None:
    message = Maker(FakeClock()).message()
    file_store.put([message])
    with closing(open_store(f"sqlite:///{path}", clock=FakeClock())) as other:
        assert other.read(message.id) is not None


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        open_store(tmp_path / "missing" / "mailroom.db", clock=FakeClock())


def test_a_file_that_is_no_database_is_said(path: Path) -> None:
    path.write_bytes(b"something else " * 1000)
    with pytest.raises(StoreError, match="no SQLite database"):
        open_store(path, clock=FakeClock())


def test_a_damaged_database_is_said(path: Path, file_store: SqlStore) -> None:
    make = Maker(FakeClock())
    file_store.put([make.message(raw=b"x" * 4000) for _ in range(50)])
    file_store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    with pytest.raises(StoreError, match=r"damaged.*restore"), closing(open_store(path, clock=FakeClock())) as store:
        store.put([make.message()])


def test_a_full_disk_is_told_apart_and_nothing_is_written(file_store: SqlStore) -> None:
    make = Maker(FakeClock())
    with file_store._database.read() as tx:
        (pages,) = tx.one("PRAGMA page_count") or (0,)
        tx.run(f"PRAGMA max_page_count = {pages + 20}")
    small, large = make.message(), make.message(raw=b"x" * 200_000)
    with pytest.raises(StoreFull, match="no room left; free some disk space"):
        file_store.put([small, large])
    assert file_store.read(small.id) is None
    file_store.put([small])


def test_a_full_file_system_under_the_lock_is_told_apart(file_store: SqlStore) -> None:
    engine = file_store._database.engine
    assert isinstance(store_error(OSError(errno.ENOSPC, "No space left on device"), engine), StoreFull)
    assert not isinstance(store_error(OSError(errno.EACCES, "Permission denied"), engine), StoreFull)


def test_a_program_that_sits_on_the_database_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BUSY", 0.01)
    with closing(open_store(path, clock=FakeClock())) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is busy: another program"):
            store.ping()
        other.execute("ROLLBACK")
        store.ping()


def test_an_errors_text_and_causes_hold_no_content(file_store: SqlStore) -> None:
    message = Maker(FakeClock()).message(subject="canary")
    with pytest.raises(StoreError) as caught:
        file_store.put([message, message])
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in str(error)
        error = error.__cause__


# ---- tables


def test_tables_of_a_newer_mailroom_are_left_alone(path: Path, file_store: SqlStore) -> None:
    with file_store._database.write() as tx:
        tx.run("UPDATE meta SET value = 99 WHERE name = 'schema'")
    with pytest.raises(StoreError, match="made by a newer Mailroom"):
        open_store(path, clock=FakeClock())


def test_a_new_step_is_done_once_and_keeps_what_is_there(file_store: SqlStore) -> None:
    message = Maker(FakeClock()).message()
    file_store.put([message])
    steps = {**migrations.MIGRATIONS, NEXT: ("ALTER TABLE messages ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",)}
    migrate(file_store._database, steps)
    migrate(file_store._database, steps)
    with file_store._database.read() as tx:
        assert tx.rows("SELECT id, colour FROM messages") == [(message.id, "red")]
        assert tx.one("SELECT value FROM meta WHERE name = 'schema'") == (NEXT,)


def test_a_step_that_fails_leaves_nothing_behind(file_store: SqlStore) -> None:
    steps = {**migrations.MIGRATIONS, NEXT: ("ALTER TABLE messages ADD COLUMN colour TEXT", "ALTER TABLE absent ADD COLUMN x TEXT")}
    with pytest.raises(StoreError, match="no such table"):
        migrate(file_store._database, steps)
    migrate(file_store._database)
    with pytest.raises(StoreError, match="no such column"), file_store._database.read() as tx:
        tx.rows("SELECT colour FROM messages")


# ---- the lock


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_waits_for_the_lock_gets_it_before_who_has_just_had_it(path: Path) -> None:
    """Each `WriteLock` stands for a process: flock locks belong to the open file."""
    mine, theirs = WriteLock(path), WriteLock(path)
    order: list[str] = []

    def wait() -> None:
        with theirs.held():
            order.append("theirs")

    def turn_is_taken() -> bool:
        with open(f"{path}.turn") as turn:
            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    waiting = threading.Thread(target=wait)
    with mine.held():
        waiting.start()
        until(turn_is_taken)
        order.append("mine")
    with mine.held():
        order.append("mine again")
    waiting.join()
    assert order == ["mine", "theirs", "mine again"]
    mine.close()
    theirs.close()


def test_threads_of_one_process_write_one_after_the_other(path: Path) -> None:
    lock = WriteLock(path)
    inside, most = 0, 0

    def write() -> None:
        nonlocal inside, most
        for _ in range(50):
            with lock.held():
                inside += 1
                most = max(most, inside)
                os.sched_yield()
                inside -= 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    lock.close()


# ---- plans

HOT = {
    f"{module.__name__.rpartition('.')[2]}.{name}": statement
    for module, names in {
        lanes: ("CLAIMABLE", "OURS", "RENEW", "RELEASE", "STATUS", "USAGE"),
        due: ("OPEN", "DUE", "TOGETHER", "MESSAGES", "UNRESOLVED", "OF_ATTEMPTS"),
        attempts: ("EPOCHS", "DELIVERIES", "SENDING", "SUPERSEDED", "ATTEMPTS", "RESULT", "END", "FACTS", "NOTE"),
        housekeeping: ("EXPIRED", "TOGETHER", "STILL", "RAWS", "ROWS", "STILL_OLD", "REFERRED"),
        searching: ("OLDEST", "NEWEST", "TAKEN", "PARTS", "IDS", "POSTINGS", "UP_TO", "ALIVE", "DROP_POSTINGS"),
        answering: ("BY_PROVIDER", "FRESH", "OURS", "LATELY", "ANSWERS"),
        conversing: ("OF", "ONE", "ENTRIES"),
        looking: ("WALK", "WALK_STATE", "OF_MESSAGE", "STORY_DELIVERIES", "STORY_ATTEMPTS", "STORY_EVENTS"),
    }.items()
    for name in names
    for statement in [getattr(module, name)]
} | {
    "lanes.history": lanes.history(3),
}
LARGE = (
    "postings",
    "search_parts",
    "deliveries",
    "d",
    "messages",
    "m",
    "raws",
    "r",
    "attempts",
    "a",
    "further",
    "f",
    "events",
    "entries",
    "e",
    "conversations",
)


@pytest.mark.parametrize("name", HOT)
def test_nothing_on_a_mails_way_reads_a_whole_table_or_sorts_what_waits(path: Path, file_store: SqlStore, name: str) -> None:
    statement = Dialect(sqlite=True)(HOT[name])
    with closing(sqlite3.connect(path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))]
    assert plan
    small = {step.split()[1] for step in plan if step.startswith("MATERIALIZE")}
    assert [step for step in plan if step.startswith("SCAN") and step.split()[1] in set(LARGE) - small] == []
    assert [step for step in plan if "AUTOMATIC" in step] == []
    assert [step for step in plan if "deliveries_state (state=?)" in step and name != "looking.WALK_STATE"] == []
    if name in ("looking.WALK", "looking.WALK_STATE", "searching.NEWEST", "searching.OLDEST", "due.DUE"):
        assert [step for step in plan if "TEMP B-TREE" in step] == []


@pytest.mark.parametrize(("statement", "index"), [("LATELY", "messages_author (author=?"), ("ANSWERS", "messages_own (application=?")])
def test_what_a_sender_sent_lately_is_found_among_any_number_of_mails(path: Path, file_store: SqlStore, statement: str, index: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        text = getattr(answering, statement)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))]
    assert index in plan[0], plan


def test_the_lanes_own_index_finds_what_is_due(path: Path, file_store: SqlStore) -> None:
    with closing(sqlite3.connect(path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {due.DUE}", [None] * due.DUE.count("?"))]
    assert plan == ["SEARCH deliveries USING INDEX deliveries_due (lane=? AND bulk=? AND due_at>? AND due_at<?)"]
