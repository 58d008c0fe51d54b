"""Where a benchmark runs: a folder of its own, and one for what the processes say."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


class Missing(Exception):
    """A measurement can't be made; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Place:
    """`folder` is removed afterwards, `out` is kept."""

    folder: Path
    out: Path

    def log(self, name: str) -> Path:
        return self.out / f"{name}.log"


def tool(name: str) -> str:
    """The path of a program of the Debian package postfix. Raises Missing."""
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise Missing(f"{name} is not installed; as root: apt-get install postfix")
    return path
