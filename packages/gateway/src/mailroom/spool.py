"""A file for what is too large for memory. It disappears unless somebody moves it away."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from mailroom_core.errors import Refused


class SpoolFile:
    """`with` removes the file at the end, if it was ever made (mode 0600) and is still there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        assert self._path is not None, "nothing was written"
        return self._path

    async def append(self, data: bytes) -> None:
        """Raises Refused (452) if the disk doesn't take it."""
        try:
            if self._path is None:
                # Here and not in the thread: if the session is cancelled meanwhile, nobody would know the name.
                handle, name = tempfile.mkstemp(suffix=".eml", dir=self._directory)
                os.close(handle)
                self._path = Path(name)
            await asyncio.to_thread(_append, self._path, data)
        except OSError as problem:
            raise Refused(452, "4.3.1", "No room for this message at the moment; try again later", why=str(problem)) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _append(path: Path, data: bytes) -> None:
    # Opened for each batch, so that no cancelled session can close a handle under a thread that writes; never made anew,
    # so that a late thread can't bring back a file that was removed.
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)
