from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.doctor.health.house import Installation, installation


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made
