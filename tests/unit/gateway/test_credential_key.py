"""The key of the stored hashes: one for all processes, whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest

from mailroom.settings import Settings
from mailroom.vault.vault import SealedVault
from mailroom.wiring.parts import credential_key, open_parts

PROCESSES = 4


def test_all_who_start_at_the_same_moment_get_the_same_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else passwords that one of two gateways has made are refused by the other one, and by itself after its next start."""
    together, opened = Barrier(PROCESSES), SealedVault.open
    first = set[int]()

    def looked(vault: SealedVault, name: str) -> dict[str, str] | None:
        found = opened(vault, name)
        if id(vault) not in first:
            first.add(id(vault))
            together.wait(20)  # all have seen that there is none
        return found

    monkeypatch.setattr(SealedVault, "open", looked)
    with ExitStack() as ending, ThreadPoolExecutor(PROCESSES) as threads:
        parts = [open_parts(Settings(data=tmp_path)) for _ in range(PROCESSES)]
        for each in parts:
            ending.callback(each.close)
        keys = list(threads.map(credential_key, parts))
    assert len(set(keys)) == 1
