"""`/notify/graph`: Microsoft tells us that mail has come. Anybody on the internet can call it, so it believes nobody.

A notification proves itself by the state that we gave Graph for this very server; it is only a reason to look. However many come,
each server is looked at once more, and the answer is always quick: Graph wants one within three seconds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailroom.incoming import NOTIFY_PATH
from mailroom.observe import events
from mailroom_core.errors import StoreError

MOST_TOKEN = 2000
MOST_BODY = 256 * 1024
MOST = 1000
"""Notifications in one request that are looked at."""

LookAt = Callable[[Sequence[str]], None]


def routes(look_at: LookAt, state_of: Callable[[str], str]) -> list[Route]:
    """`look_at` (blocking) has servers looked at; `state_of` gives the state of a server, with its name before the last dot."""

    async def notified(request: Request) -> Response:
        token = request.query_params.get("validationToken")
        if token is not None:
            return PlainTextResponse(token) if len(token) <= MOST_TOKEN else Response(status_code=400)
        found = [_proven(state, state_of) for state in _states(await _body(request))]
        names = {name for name in found if name}
        if "" in found:
            events.notification_ignored(found.count(""))
        if names:
            events.notified(len(names))
            try:
                await asyncio.to_thread(look_at, sorted(names))
            except StoreError as problem:
                events.store_trouble(str(problem))
                return Response(status_code=503)  # Graph tries again, for hours
        return Response(status_code=202)

    return [Route(NOTIFY_PATH, notified, methods=["POST"])]


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            return b""
    return body


def _states(body: bytes) -> list[str]:
    """The states in a request; whatever it is, no error."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    listed = value.get("value") if isinstance(value, dict) else None
    return [str(each.get("clientState", "")) for each in listed[:MOST] if isinstance(each, dict)] if isinstance(listed, list) else []


def _proven(state: str, state_of: Callable[[str], str]) -> str:
    """The server that a state belongs to; empty if it is none of ours."""
    said = state.encode("utf-8", "replace")  # JSON can hold halves of characters
    name, dot, _ = said.decode().rpartition(".")
    return name if dot and compare_digest(said, state_of(name).encode()) else ""
