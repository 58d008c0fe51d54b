"""Blobs as files, spread over 256 folders."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from mailroom_core.errors import StoreError, StoreFull

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class FileBlobs:
    """`folder/<two hexadecimal digits>/<name>`, readable for its owner only. The spool must lie on the same file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _told(f"the blob folder {folder}"):
            _make(folder)
            for number in range(256):
                (folder / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
            _sync(folder)

    def keep(self, name: str, spooled: Path) -> None:
        """See `Blobs.keep`. Raises StoreError, StoreFull; the spooled file may be gone then."""
        path = self._path(name)
        with _told(f"blob {name}"):
            if path.exists():
                raise StoreError(f"blob {name} is kept already; a name is given once, please report it")
            _sync(spooled)
            os.chmod(spooled, 0o600)
            os.rename(spooled, path)
            _sync(path.parent)

    def open(self, name: str) -> OpenFile:
        """Raises StoreError if there is none."""
        with _told(f"blob {name}"):
            return OpenFile(os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC))

    def drop(self, name: str) -> None:
        """None there is no error: it may have been dropped before a crash."""
        with _told(f"blob {name}"):
            self._path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """In no order; what is kept or dropped meanwhile may be among them or not."""
        with _told(f"the blob folder {self._folder}"):
            for folder in self._folder.iterdir():
                yield from (file.name for file in folder.iterdir())

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name!r} can't be the name of a blob; please report it")
        return self._folder / sha256(name.encode()).hexdigest()[:2] / name


class OpenFile:
    """A `ReadAt`; several threads may read at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        os.close(self._descriptor)


def _make(folder: Path) -> None:
    """Makes a folder and what is missing above it, each synced into its own parent."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What the system says, in words that help."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"{what} does not fit on the disk; free some space, Mailroom goes on by itself") from problem
        if problem.errno == errno.ENOENT:
            raise StoreError(f"{what} is missing ({problem}); if the disk is all right, restore the last backup") from problem
        if problem.errno == errno.EXDEV:
            raise StoreError(
                f"{what} can't be kept: the spool must lie on the same file system as the blobs; correct the setting"
            ) from problem
        raise StoreError(f"{what} can't be used ({problem}); see that its folder belongs to the user that Mailroom runs as") from problem
