"""What only PostgreSQL has: a server that may be gone, and transactions that meet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from mailroom.ports import Action, Query
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.errors import StoreError
from mailroom_core.model import State
from tests.contract.store.makers import FakeClock, Maker, claim_one
from tests.contract.store.postgresql import Cluster


@pytest.fixture
def server(cluster: tuple[Cluster, str]) -> Iterator[str]:
    """The URL of an empty store."""
    made = cluster[0].create(cluster[1])
    yield cluster[0].url(made)
    cluster[0].drop(made)


@pytest.fixture
def store(server: str, clock: FakeClock) -> Iterator[SqlStore]:
    with closing(open_store(server, clock=clock)) as store:
        yield store


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(StoreError, match="can't be reached; see that the server runs"):
        open_store("postgresql://mailroom:hunter2@/d?host=/nowhere", clock=FakeClock())


def test_a_password_is_in_no_errors_text() -> None:
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://mailroom:hunter2@/d?host=/nowhere", clock=FakeClock())
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there_is_said(server: str) -> None:
    with pytest.raises(StoreError, match=r"the database and the user are right .*does not exist"):
        open_store(server.replace("/d", "/none"), clock=FakeClock())


def test_lost_connections_are_made_anew(store: SqlStore, server: str) -> None:
    store.ping()
    with closing(open_store(server, clock=FakeClock())) as other, other._database.write() as tx:
        tx.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    store.ping()


def test_a_broken_rule_is_said_without_the_row(store: SqlStore, make: Maker) -> None:
    store.put([make.message("canary@example.org")])
    with pytest.raises(StoreError, match="due_while_waiting") as caught, store._database.write() as tx:
        tx.run("UPDATE deliveries SET due_at = NULL")
    assert "canary" not in str(caught.value)


def test_several_may_migrate_at_once(cluster: tuple[Cluster, str]) -> None:
    database = cluster[0].create()
    problems: list[Exception] = []

    def run() -> None:
        try:
            open_store(cluster[0].url(database), clock=FakeClock()).close()
        except StoreError as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cluster[0].drop(database)
    assert problems == []


def test_workers_and_people_never_lock_each_other_out(store: SqlStore, make: Maker, clock: FakeClock) -> None:
    """Both touch the same deliveries and attempts in large batches, again and again."""
    store.put([make.message("a@example.org", "b@example.org", due_in=timedelta()) for _ in range(30)])
    lane = claim_one(store)
    stop, problems = threading.Event(), []

    def person(actions: tuple[Action, ...]) -> None:
        try:
            while not stop.is_set():
                for action in actions:
                    store.act(Query(), action, by="eve")
        except StoreError as problem:
            problems.append(problem)

    people = [threading.Thread(target=person, args=(actions,)) for actions in ((Action.HOLD, Action.RETRY), (Action.RETRY, Action.CANCEL))]
    for thread in people:
        thread.start()
    try:
        for _ in range(40):
            clock.go_on(seconds=1)
            attempts = [make.attempt(lane, work) for work in store.due(lane, limit=50)]
            begun = store.begin(attempts)
            mine = [attempt for attempt in attempts if attempt.id in begun]
            store.settle([make.settled(attempt, State.UNSURE, due_in=timedelta()) for attempt in mine])
            for attempt, _ in store.unresolved(lane, limit=50):
                store.note(make.note(attempt, {"draft_id": "d"}, epoch=lane.epoch))
                store.settle([make.settled(attempt, State.QUEUED, due_in=timedelta())])
    finally:
        stop.set()
        for thread in people:
            thread.join()
    assert problems == []
