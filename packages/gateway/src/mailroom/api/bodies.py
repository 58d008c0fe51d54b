"""What arrives, within limits: JSON into memory, a raw mail into memory or, when it is large, into a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import IncrementalNewlineDecoder

from starlette.requests import ClientDisconnect, Request

from mailroom.accept import IN_ROW
from mailroom.api.problems import Problem
from mailroom.spool import SpoolFile

MAX_JSON = 16 * 1024 * 1024
"""Bytes of a mail as JSON: it is built in memory. A larger mail comes as MIME, which is streamed."""
MAX_SMALL = 1024 * 1024
"""Bytes of any other body."""
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Lines:
    """Makes every line end CR LF, whatever it was, over chunks that are cut anywhere."""

    def __init__(self) -> None:
        self._held = b""
        self._end = b"\r\n"
        self._kinds = IncrementalNewlineDecoder(None, translate=False)  # sees in one pass which kinds of line ends occur

    def feed(self, chunk: bytes) -> bytes:
        data = self._held + chunk
        self._held = b"\r" if data.endswith(b"\r") else b""
        data = data[: len(data) - len(self._held)]
        self._kinds.decode(data.decode("latin-1"))
        if self._kinds.newlines not in (None, "\r\n") or data.endswith(b"\r"):  # what was held back begins with a CR as well
            data = _LINE_END.sub(b"\r\n", data)
        self._end = (self._end + data[-2:])[-2:]
        return data

    def close(self) -> bytes:
        """What was held back, and the last line's end if it has none."""
        return b"\r\n" if self._held or self._end != b"\r\n" else b""


@dataclass(frozen=True, slots=True)
class RawMail:
    """A mail as it was received, with CRLF. `raw` is None if it lies in the spool file."""

    raw: bytes | None
    size: int
    digest: str
    """SHA-256, if it was asked for."""


def too_large(limit: int, advice: str) -> Problem:
    return Problem(413, f"The body is larger than the {limit} bytes that are allowed here; {advice}", headers={"Connection": "close"})


def check_length(request: Request, limit: int, advice: str) -> None:
    """Refuse at once what announces itself as too large."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limit, advice)


async def read_json(request: Request, limit: int = MAX_JSON) -> bytes:
    """The body of a request."""
    advice = "send a large mail as MIME (Content-Type: message/rfc822)"
    check_length(request, limit, advice)
    body = bytearray()
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > limit:
            raise too_large(limit, advice)
    return bytes(body)


async def read_mail(request: Request, spool: SpoolFile, limit: int, *, digested: bool) -> RawMail:
    """The body as a mail: up to 256 KiB in memory, above that in `spool`, in constant memory. Raises Problem, Refused."""
    advice = "send less, or ask the administrator for a higher limit"
    check_length(request, limit, advice)
    lines, digest = Lines(), hashlib.sha256() if digested else None
    pieces: list[bytes] = []
    pending = size = 0
    spooled = False

    async for chunk in _chunks(request):
        data = lines.feed(chunk)
        if b"\0" in data:
            raise Problem(422, "The mail holds a NUL character, which mail must not; encode the part that has it")
        if digest is not None:
            digest.update(data)
        pieces.append(data)
        pending += len(data)
        size += len(data)
        if size > limit:
            raise too_large(limit, advice)
        if pending > IN_ROW:
            await spool.append(b"".join(pieces))
            pieces, pending, spooled = [], 0, True
    last = lines.close()
    pieces.append(last)
    size += len(last)
    if not size or size == len(last):
        raise Problem(422, "The body is empty; send the mail as it is (RFC 5322)")
    if spooled:
        await spool.append(b"".join(pieces))
    return RawMail(None if spooled else b"".join(pieces), size, "" if digest is None else digest.hexdigest())


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise Problem(400, "The connection ended before the body did; send it again") from None
