"""Feeds a flow by hand: what it is expected to ask for, and what it is answered.

    played = play(flow, ("POST /v1.0/me/sendMail", Response(202)))

The script is the whole conversation: another request, a missing one or another order fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote, urlsplit

from mailroom_core.flow import Flow, NoResponse, Note, Request, Response, Streamed, run

T = TypeVar("T")

Line = tuple[str, Response | NoResponse]
"""`METHOD /path?query` as a person writes it (percent-encoding undone, without the host), and the answer."""


@dataclass
class Played(Generic[T]):
    """What came of it."""

    result: T
    log: list[Request | Note] = field(default_factory=list)
    """Requests and notes in their order."""

    @property
    def requests(self) -> list[Request]:
        return [step for step in self.log if isinstance(step, Request)]

    @property
    def notes(self) -> list[Mapping[str, str]]:
        return [step.facts for step in self.log if isinstance(step, Note)]


def play(flow: Flow[T], *script: Line) -> Played[T]:
    """Drive the flow with the real `run`, answering from the script."""
    lines = list(script)
    log: list[Request | Note] = []

    def http(request: Request) -> Response:
        log.append(request)
        assert lines, f"the flow asks for more than the script has: {line_of(request)}"
        expected, answer = lines.pop(0)
        assert line_of(request) == expected
        if isinstance(answer, NoResponse):
            raise answer
        return answer

    result = run(flow, http, log.append)
    assert not lines, f"the flow ended before it asked for {lines[0][0]}"
    return Played(result, log)


def line_of(request: Request) -> str:
    """A request as a script writes it."""
    url = urlsplit(request.url)
    return f"{request.method} {unquote(url.path)}" + (f"?{unquote(url.query)}" if url.query else "")


def body_of(request: Request) -> bytes:
    """A request's whole body."""
    if isinstance(request.body, Streamed):
        raw = b"".join(request.body.chunks())
        assert len(raw) == request.body.length, "a streamed body is exactly as long as it says"
        return raw
    return request.body


def answer(status: int, fields: object = None, **headers: str) -> Response:
    """A response with a JSON body; header names are given with `_` for `-`."""
    body = b"" if fields is None else json.dumps(fields).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def lost(*, sent: bool) -> NoResponse:
    """The connection broke, after or before the request was sent."""
    return NoResponse("connection lost", sent=sent)
