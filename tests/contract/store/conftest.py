"""Every test here runs over SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailroom.ports import Lane, NewMessage, Store
from mailroom.store.open import open_store
from tests.contract.store.makers import FakeClock, Maker, claim_one
from tests.contract.store.postgresql import Cluster, programs, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[tuple[Cluster, str]]:
    """A running PostgreSQL, and the name of a database that has the tables."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL server here: install the package postgresql")
    with running(folder) as cluster:
        template = cluster.create()
        open_store(cluster.url(template), clock=FakeClock()).close()
        yield cluster, template


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty store lies."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/mailroom.db"
        return
    cluster, template = request.getfixturevalue("cluster")
    database = cluster.create(template)
    yield cluster.url(database)
    cluster.drop(database)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reopen(url: str, clock: FakeClock) -> Iterator[Callable[[], Store]]:
    """Opens the same store once more, as another process would."""
    opened = []

    def open_again() -> Store:
        store = open_store(url, clock=clock)
        opened.append(store)
        return store

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    return reopen()


@pytest.fixture
def make(clock: FakeClock, store: Store) -> Maker:
    return Maker(clock, store.node())


@pytest.fixture
def message(store: Store, make: Maker) -> NewMessage:
    """One message to one recipient, waiting."""
    message = make.message()
    store.put([message])
    return message


@pytest.fixture
def lane(store: Store, message: NewMessage) -> Lane:
    """The lane of `message`, ours."""
    return claim_one(store)
