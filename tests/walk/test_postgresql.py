"""Two gateways, as on two machines, over one PostgreSQL: each delivers what the other has accepted, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import Gateway
from tests.contract.store import postgresql
from tests.walk.world import ANNA, World, eventually, mail, unique


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    folder = postgresql.programs()
    if folder is None:
        pytest.skip("needs the Debian package postgresql")
    with postgresql.running(folder) as cluster:
        yield cluster.url(cluster.create())


@pytest.fixture(scope="module")
def world(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    key = tmp_path_factory.mktemp("keys") / "vault.key"
    environment = {
        "MAILROOM_DATABASE": database,
        "MAILROOM_KEY_FILE": str(key),
        "MAILROOM_QUEUE_LOOKS": "300ms, 300ms, 1s",
        "MAILROOM_QUEUE_TIME_LIMIT": "10s",
    }
    world = World(tmp_path_factory.mktemp("one"), environment=environment)
    try:
        yield world.set_up()
    finally:
        world.stop()


@pytest.fixture
def second(world: World, tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "two", world.gateway.environment)
    gateway.start()
    yield gateway
    gateway.stop()


def test_mail_goes_its_whole_way_over_postgresql(world: World) -> None:
    subject = unique("Over PostgreSQL")
    world.submit(mail(subject))
    assert eventually(lambda: world.arrived(subject)) == [ANNA]
    assert eventually(lambda: [row["state"] for row in world.gateway.ask("queue", "list", subject)]) == ["sent"]


def test_a_second_machine_takes_over_what_a_killed_one_has_accepted(world: World, second: Gateway) -> None:
    subjects = [unique(f"From a dead machine {number}") for number in range(20)]
    for subject in subjects:
        world.submit(mail(subject))
    world.gateway.kill()
    assert eventually(lambda: all(world.arrived(subject) for subject in subjects), patience=90)
    assert all(world.arrived(subject) == [ANNA] for subject in subjects)
    world.gateway.start()
