"""HTTP conversations without HTTP: a flow yields a `Request`, gets a `Response`, and returns its result.

A flow never sleeps, retries, looks at the clock or knows an HTTP library. Between requests it may yield a `Note`, something that
its driver must have committed before the flow goes on (a draft's id before `/send`). When no response comes, the driver throws
`NoResponse` into the flow; `sent` says whether the other side may have seen the whole request.

    outcome = run(flow, http, remember)              # Odoo, tests
    outcome = await arun(flow, http, remember)       # the gateway
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from mailroom_core.mime.source import InMemory as InMemory
from mailroom_core.mime.source import ReadAt as ReadAt
from mailroom_core.mime.source import Streamed as Streamed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. With `auth`, the driver adds `Authorization: Bearer`, and after a 401 it refreshes and asks once more."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Streamed = b""
    auth: bool = True
    into: str = ""
    """With a path, the driver writes the body of a 2xx answer to this file, however large, and answers without a body."""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response, whole. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_object(response: Response) -> dict[str, object]:
    """The JSON object in a response's body; empty if it is anything else, as what answers is not ours to trust."""
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class NoResponse(Exception):
    """No response came. `sent` is False only if the other side can't have seen the whole request (it was not connected yet)."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Note:
    """Facts that must be committed before the flow goes on. The driver answers None."""

    facts: Mapping[str, str]


Flow = Generator[Request | Note, Response | None, T]
Http = Callable[[Request], Response]
AsyncHttp = Callable[[Request], Awaitable[Response]]


def ask(request: Request) -> Flow[Response]:
    """Yield one request and insist on its response: `response = yield from ask(Request(...))`."""
    response = yield request
    assert response is not None, "a driver answers a Request with a Response"
    return response


def run(flow: Flow[T], http: Http, remember: Callable[[Note], None]) -> T:
    """Drive a flow with a blocking `http`, which raises `NoResponse`."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Note):
                remember(step)
                step = next(flow)
                continue
            try:
                response = http(step)
            except NoResponse as problem:
                step = flow.throw(problem)
            else:
                step = flow.send(response)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration.value is Any
    finally:
        flow.close()


async def arun(flow: Flow[T], http: AsyncHttp, remember: Callable[[Note], Awaitable[None]]) -> T:
    """Drive a flow with an async `http`, which raises `NoResponse`."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Note):
                await remember(step)
                step = next(flow)
                continue
            try:
                response = await http(step)
            except NoResponse as problem:
                step = flow.throw(problem)
            else:
                step = flow.send(response)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration.value is Any
    finally:
        flow.close()
