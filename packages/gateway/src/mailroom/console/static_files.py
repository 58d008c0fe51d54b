"""Style, scripts and pictures: read once, compressed once, under addresses that change with their content."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

router = APIRouter()
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, ready to be sent."""

    media: str
    plain: bytes
    packed: bytes
    digest: str


@cache
def static_files() -> dict[str, StaticFile]:
    """By their path below `static/`. Blocking, the first time."""
    return dict(_walk(files("mailroom.console").joinpath("static"), ""))


def _walk(folder: Traversable, path: str) -> list[tuple[str, StaticFile]]:
    found = []
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{path}{each.name}"
        if each.is_dir():
            found += _walk(each, f"{name}/")
        elif media := mimetypes.guess_type(name)[0]:
            plain = each.read_bytes()
            found.append((name, StaticFile(media, plain, gzip.compress(plain, 9, mtime=0), hashlib.sha256(plain).hexdigest()[:12])))
    return found


def address(name: str) -> str:
    """Where a file is found; raises KeyError for one that is not there."""
    return f"/static/{static_files()[name].digest}/{name}"


@router.get("/static/{digest}/{name:path}")
def send(request: Request, digest: str, name: str) -> Response:
    """A file under an address of another version is not there, so that no cache keeps the wrong one."""
    file = static_files().get(name)
    if file is None or file.digest != digest:
        raise HTTPException(404, "This file belongs to another version of Mailroom; load the page again")
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.plain, media_type=file.media, headers=headers)
    return Response(file.packed, media_type=file.media, headers=headers | {"Content-Encoding": "gzip"})
