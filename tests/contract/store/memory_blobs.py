"""Blobs in memory: for tests that need no files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mailroom_core.errors import StoreError
from mailroom_core.mime.source import InMemory


class MemoryBlobs:
    """Keeps what it is given until it is dropped."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def keep(self, name: str, spooled: Path) -> None:
        if name in self._kept:
            raise StoreError(f"blob {name} is kept already")
        if not name or "/" in name or name.startswith("."):
            raise StoreError(f"{name!r} can't be the name of a blob")
        self._kept[name] = spooled.read_bytes()
        spooled.unlink()

    def open(self, name: str) -> OpenMemory:
        if name not in self._kept:
            raise StoreError(f"blob {name} is missing")
        return OpenMemory(self._kept[name])

    def drop(self, name: str) -> None:
        self._kept.pop(name, None)

    def names(self) -> Iterator[str]:
        return iter(list(self._kept))


class OpenMemory(InMemory):
    """Nothing to close."""

    def close(self) -> None: ...
