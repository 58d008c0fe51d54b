"""Where bytes lie: small ones in memory, large ones in files that vanish with their last user."""

import base64
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

MEMORY_LIMIT = 256 * 1024
_READ = 57 * 4096  # a multiple of 57, so that every piece is whole base64 lines


class Blob:
    """Bytes that never change. `size` is in bytes."""

    def __init__(self, data: bytes | None, path: Path | None, size: int) -> None:
        self._data = data
        self._path = path
        self.size = size
        if path is not None:
            weakref.finalize(self, _unlink, path)

    def chunks(self) -> Iterator[bytes]:
        if self._data is not None:
            yield self._data
        elif self._path is not None:
            with self._path.open("rb") as file:
                while piece := file.read(_READ):
                    yield piece

    def read(self) -> bytes:
        return self._data if self._data is not None else b"".join(self.chunks())


class Writer:
    """A growing file that becomes a blob; dropped without `finish`, it vanishes."""

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(dir=folder, prefix="blob-")
        self._file = os.fdopen(handle, "wb")
        self._path = Path(name)
        self.size = 0
        self._cleanup = weakref.finalize(self, _unlink, self._path)

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)

    def finish(self) -> Blob:
        self._file.close()
        self._cleanup.detach()
        return Blob(None, self._path, self.size)


class Blobs:
    """The folder for large blobs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def keep(self, data: bytes) -> Blob:
        if len(data) <= MEMORY_LIMIT:
            return Blob(data, None, len(data))
        writer = self.writer()
        writer.write(data)
        return writer.finish()

    def writer(self) -> Writer:
        return Writer(self._folder)


class Encoded:
    """A blob as base64 lines of 76 characters with CRLF, made while it is read."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        full, rest = divmod(blob.size, 57)
        self.size = full * 78 + ((rest + 2) // 3 * 4 + 2 if rest else 0)

    def chunks(self) -> Iterator[bytes]:
        for piece in self._blob.chunks():
            text = base64.b64encode(piece)
            yield b"".join(text[i : i + 76] + b"\r\n" for i in range(0, len(text), 76))


Segment = bytes | Blob | Encoded


class Rope:
    """A mail as it goes over the wire: pieces in order, of which the large ones stay where they are."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        self.segments = tuple(segments)
        self.size = sum(len(s) if isinstance(s, bytes) else s.size for s in self.segments)

    def chunks(self) -> Iterator[bytes]:
        for segment in self.segments:
            if isinstance(segment, bytes):
                yield segment
            else:
                yield from segment.chunks()

    def read(self) -> bytes:
        return b"".join(self.chunks())


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
