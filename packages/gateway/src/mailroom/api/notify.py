"""`/notify/graph`: Microsoft tells us that mail has come. Anybody on the internet can call it, so it believes nobody.

A notification proves itself by the state that we gave Graph for this very server (`core/providers/graph/notifying.py`); it is only a
reason to look. However many come, each server is looked at once more, and the answer is always quick.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailroom.incoming import NOTIFY_PATH
from mailroom.observe import events
from mailroom_core.errors import StoreError
from mailroom_core.providers.graph.notifying import MOST_BODY, handshake, read

LookAt = Callable[[Sequence[str], Sequence[str]], None]


def routes(look_at: LookAt, state_of: Callable[[str], str]) -> list[Route]:
    """`look_at` (blocking) has servers looked at, and asks anew to be told for the second ones; `state_of` gives the state of a server,
    with its name before the last dot."""

    async def notified(request: Request) -> Response:
        token = request.query_params.get("validationToken")
        if token is not None:
            said = handshake(token)
            return Response(status_code=400) if said is None else PlainTextResponse(said)
        found = read(await _body(request), state_of)
        names = {notice.owner for notice in found.proven}
        if found.ignored:
            events.notification_ignored(found.ignored)
        if names:
            events.notified(len(names))
            try:
                await asyncio.to_thread(look_at, sorted(names), sorted({notice.owner for notice in found.proven if notice.ends}))
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
