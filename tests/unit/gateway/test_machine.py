"""The name of a machine among those that share a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailroom.machine import machine
from mailroom_core.errors import ConfigError


def test_a_machine_keeps_its_name_and_shares_it_with_no_other(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert machine(one) == machine(one) != machine(other)
    assert [path.name for path in one.iterdir()] == ["machine"]


def test_a_data_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone/machine"):
        machine(tmp_path / "gone")
