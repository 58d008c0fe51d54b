"""These tests need an Odoo, so that only `make test-odoo` collects them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from demo.processes import Emulator

if "ODOO_UNDER_TEST" in os.environ:
    from tests.odoo.machine import Odoo, Place
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def place() -> Place:
    return Place.given()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), "--time-scale", "60")
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def odoo(place: Place, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odoo]:
    odoo = Odoo(place, tmp_path_factory.mktemp("odoo"))
    try:
        odoo.start()
        odoo.set_up(emulator)
        yield odoo
    finally:
        odoo.stop()
