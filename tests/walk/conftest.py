"""Processes are started once per module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.walk.world import World

MakeWorld = Callable[..., World]
QUICK_LOOKS = {"MAILROOM_QUEUE_LOOKS": "300ms, 300ms, 500ms, 1s, 1s"}
"""The provider is asked what became of an unanswered attempt within seconds, not minutes."""


@pytest.fixture(scope="module")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeWorld]:
    """Worlds of a module, with the options of `World`; they end with it."""
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(tmp_path_factory.mktemp("world"), **options))
        return made[-1]

    yield make
    for world in made:
        world.stop()
