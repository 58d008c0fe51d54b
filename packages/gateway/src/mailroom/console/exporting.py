"""Tables that grow step by step in files, each until its owner has taken it, for a day at most.

An export is two files in a folder of this machine: the lines so far, and where it is (`Export`), which replaces its predecessor
only when the lines are written. What a step of a process that died has added beyond that is cut off by the next one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from threading import Lock
from time import monotonic

from mailroom.ports import Clock
from mailroom_core.errors import ConfigError

FOLDER = "exports"
"""In the data directory."""
LARGEST = 256 * 1024 * 1024
"""Bytes of one table; with them it ends, and says so."""
MOST = 4
"""Tables at a time, so that all together have a bound, too."""
LIFE = timedelta(days=1)
STEP = 1.0
"""Seconds of a step: so often one sees how far it is, and can stop it."""

Piece = Callable[[str], tuple[bytes, int, str]]
"""From a cursor (empty: the beginning) on: lines, how many, and the next cursor, empty at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """How far it is."""

    id: str
    owner: str
    name: str
    """Of the file that one saves."""
    query: str
    """As in the address bar."""
    began_at: str
    lines: int = 0
    size: int = 0
    after: str = ""
    state: str = "going"
    """going, done, stopped, or full."""

    @property
    def began(self) -> datetime:
        return datetime.fromisoformat(self.began_at)


class Exports:
    """For several threads. Blocking. Raises ConfigError for what is not there (any more), or of somebody else."""

    def __init__(self, folder: Path, clock: Clock, *, largest: int = LARGEST, step: float = STEP) -> None:
        self._folder = folder
        self._clock = clock
        self._largest = largest
        self._step = step
        self._lock = Lock()

    def begin(self, owner: str, name: str, query: str, head: bytes) -> Export:
        with self._alone():
            forget_old(self._folder, self._clock())
            if len(list(self._folder.glob("*.json"))) >= MOST:
                raise ConfigError(f"There are {MOST} tables already, and each takes room: remove one, or wait until one is a day old")
            made = Export(id=token_hex(16), owner=owner, name=name, query=query, began_at=self._clock().isoformat(), size=len(head))
            _write(self._lines(made.id), 0, head)
            self._keep(made)
            return made

    def go_on(self, id: str, owner: str, piece: Piece) -> Export:
        """Pieces for about a second."""
        with self._alone():
            at = self._known(id, owner)
            until = monotonic() + self._step
            while at.state == "going":
                more, lines, after = piece(at.after)
                if at.size + len(more) > self._largest:
                    at = replace(at, state="full")
                    break
                _write(self._lines(id), at.size, more)
                at = replace(at, lines=at.lines + lines, size=at.size + len(more), after=after, state="going" if after else "done")
                if monotonic() > until:
                    break
            self._keep(at)
            return at

    def stop(self, id: str, owner: str) -> Export:
        """It keeps what it has."""
        with self._alone():
            at = self._known(id, owner)
            at = replace(at, state="stopped") if at.state == "going" else at
            self._keep(at)
            return at

    def remove(self, id: str, owner: str) -> None:
        with self._alone():
            self._known(id, owner)
            self._state(id).unlink()
            self._lines(id).unlink(missing_ok=True)

    def of(self, owner: str) -> list[Export]:
        """The newest first."""
        with self._alone():
            found = [_read(each) for each in self._folder.glob("*.json")]
            return sorted((each for each in found if each and each.owner == owner), key=lambda each: each.began_at, reverse=True)

    def lines_of(self, id: str, owner: str) -> tuple[Export, Path]:
        """What it has, for as long as its size says."""
        with self._alone():
            return self._known(id, owner), self._lines(id)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                yield
            except OSError as problem:
                raise ConfigError(
                    f"The table can't be kept in {self._folder}: {problem.strerror}. Make room there, and try again"
                ) from None

    def _known(self, id: str, owner: str) -> Export:
        found = _read(self._state(id)) if id.isalnum() and id.isascii() else None
        if found is None or found.owner != owner or found.began < self._clock() - LIFE:
            raise ConfigError("This table is not here any more: they are kept for a day, on the machine that made them. Export it anew")
        return found

    def _keep(self, at: Export) -> None:
        fresh = self._folder / f"{at.id}.new"
        fresh.unlink(missing_ok=True)
        _write(fresh, 0, json.dumps(asdict(at)).encode())
        fresh.replace(self._state(at.id))

    def _state(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def _lines(self, id: str) -> Path:
        return self._folder / f"{id}.csv"


def forget_old(folder: Path, now: datetime) -> None:
    """Remove what is more than a day old. Blocking."""
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.suffix in {".json", ".csv", ".new"} and each.stat().st_mtime < (now - LIFE).timestamp():
            each.unlink(missing_ok=True)


def _write(file: Path, at: int, data: bytes) -> None:
    """After so many bytes; what stood behind them goes."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
        out.truncate(at)
        out.seek(at)
        out.write(data)


def _read(file: Path) -> Export | None:
    try:
        return Export(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
