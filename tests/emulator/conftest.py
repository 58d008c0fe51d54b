"""One emulator for all tests here, set back before each."""

from collections.abc import Iterator

import pytest

from mailroom_emulator.server import Running, in_thread
from tests.emulator.client import Tenant


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    with in_thread() as emulator:
        yield emulator


@pytest.fixture
def tenant(running: Running) -> Iterator[Tenant]:
    with Tenant(running.url) as client:
        client.control("POST", "/reset")
        yield client
