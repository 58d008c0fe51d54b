"""A short run of `make crash`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash import run


@pytest.mark.timeout(900)  # on a busy machine, a gateway takes seconds to get to work after each kill
def test_twenty_five_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", "") or int.from_bytes(os.urandom(3)))
    verdict = run(tmp_path, 25, seed)
    assert verdict.good, f"{verdict}; again with CRASH_SEED={seed}\n{verdict.details()}"
    assert verdict.accepted > 50, "there was no load"
