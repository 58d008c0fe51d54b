"""A mail that comes in, read from a file: Odoo parses a mail in memory, at several times its size, so that its large files stay behind.

A few bytes stand in the place of each while Odoo parses, and its content takes their place as soon as that is done.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mailroom_core.mime.index import Part, decoded_pieces, read_head
from mailroom_core.mime.source import ReadAt

LARGE = 256 * 1024
"""Bytes from which a file stays behind."""
# What is no file for sure, or what Python's email package takes for text, Odoo shall see as it is.
_FILE = re.compile(r"(application|audio|image|video)/[\w.+-]+\s*(;|$)", re.IGNORECASE)


class LeftBehind(Exception):
    """Odoo has not come upon what stands for a file: it has to read the whole mail."""


class Apart:
    """What gives the content of each file, by what stands in its place; each once."""

    def __init__(self, contents: Mapping[bytes, Callable[[], bytes]]) -> None:
        self._left = dict(contents)

    def content(self, found: object) -> bytes | None:
        """Of the file that this stands for; None if it stands for nothing but itself."""
        give = self._left.pop(found, None) if isinstance(found, bytes) else None
        return give() if give else None

    def check(self) -> None:
        """Raises LeftBehind if there is a file that nobody has asked for."""
        if self._left:
            raise LeftBehind


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A `ReadAt` over an open file."""

    file: BinaryIO
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(length)


@contextmanager
def on_disk(path: Path) -> Iterator[OnDisk]:
    with path.open("rb") as file:
        yield OnDisk(file, path.stat().st_size)


def kept_apart(source: ReadAt, root: Part) -> tuple[bytes, Apart]:
    """The mail without its large files, and these. Nobody can guess what stands for one, so no file can pretend to be another."""
    pieces: list[bytes] = []
    contents: dict[bytes, Callable[[], bytes]] = {}
    end = 0
    for part in _files(source, root):
        name = f"microsoft_graph_mail {secrets.token_hex(16)}".encode()
        pieces += [source.read_at(end, part.body_start - end), base64.b64encode(name)]
        contents[name] = partial(_content, source, part)
        end = part.body_end
    return b"".join([*pieces, source.read_at(end, source.size - end)]), Apart(contents)


def whole(source: ReadAt) -> bytes:
    return source.read_at(0, source.size)


def _content(source: ReadAt, part: Part) -> bytes:
    return b"".join(decoded_pieces(source, part))


def _files(source: ReadAt, part: Part) -> Iterator[Part]:
    """Those that may stay behind: in base64, and of this mail rather than of one that is attached to it."""
    for inner in part.parts if part.content_type.startswith("multipart/") else ():
        yield from _files(source, inner)
        if inner.content is None or inner.encoding != "base64" or inner.body_end - inner.body_start < LARGE:
            continue
        if _FILE.match((read_head(source, inner).get("Content-Type") or "").strip()):
            yield inner
