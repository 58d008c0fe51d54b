"""`$batch`: up to 20 requests in one, four at a time (facts 3.6)."""

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope

from mailroom_emulator.graph.errors import bad_request

Json = dict[str, Any]
LARGEST = 20
AT_A_TIME = 4
# Serves one request; the third argument turns its answer into JSON before the request counts as finished.
Serve = Callable[[Scope, Receive, Callable[[Response], Awaitable[Json]]], Awaitable[Json]]


async def answer(outer: Scope, value: Json, serve: Serve) -> Json:
    """The answers, in the order in which they were ready; each has its own status."""
    requests = value.get("requests")
    if not isinstance(requests, list) or not requests:
        raise bad_request("Write the requests of a batch into 'requests'.", "BadRequest")
    if len(requests) > LARGEST:
        raise bad_request("Number of batch request steps exceeds the maximum value of 20.", "MaximumValueExceeded")
    ids = [str(r.get("id")) for r in requests]
    if len(set(ids)) != len(ids):
        raise bad_request("Batch request ids must be given and differ.", "BadRequest")
    done: dict[str, Json] = {}
    waiting = {str(r["id"]): r for r in requests}
    while waiting:
        ready = [i for i, r in waiting.items() if all(d in done for d in r.get("dependsOn") or ())][:AT_A_TIME]
        if not ready:
            raise bad_request("The dependencies of the batch can't be met.", "BadRequest")
        answers = await asyncio.gather(*(_one(outer, waiting.pop(i), done, serve) for i in ready))
        done |= {a["id"]: a for a in answers}
    return {"responses": list(done.values())}


async def _one(outer: Scope, request: Json, done: dict[str, Json], serve: Serve) -> Json:
    request_id = str(request["id"])
    if any(done[d]["status"] >= 400 for d in request.get("dependsOn") or ()):
        error = {"code": "FailedDependency", "message": "A request that this one depends on failed."}
        return {"id": request_id, "status": 424, "body": {"error": error}}
    scope, body = _inner(outer, request)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return {"id": request_id, **await serve(scope, receive, _as_json)}


def _inner(outer: Scope, request: Json) -> tuple[Scope, bytes]:
    path, _, query = str(request.get("url", "")).lstrip("/").partition("?")
    headers = {str(k).lower(): str(v) for k, v in (request.get("headers") or {}).items()}
    kind = headers.get("content-type", "")
    body = b""
    if "body" in request:
        body = _plain(request["body"]) if kind.startswith("text/plain") else json.dumps(request["body"]).encode()
    headers["content-length"] = str(len(body))
    inherited = [(k, v) for k, v in outer["headers"] if k in (b"authorization", b"host")]
    raw = inherited + [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
    full = f"/v1.0/{path}"
    scope = {
        **outer,
        "method": str(request.get("method", "GET")).upper(),
        "path": full,
        "raw_path": full.encode(),
        "query_string": query.encode(),
        "headers": raw,
    }
    return scope, body


def _plain(value: object) -> bytes:
    """A body that is not JSON stands in base64; so MIME is in base64 twice, or once by those who don't know."""
    text = str(value)
    try:
        inner = base64.b64decode(text, validate=True)
        base64.b64decode(inner, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()
    return inner


async def _as_json(response: Response) -> Json:
    pieces: list[bytes] = []
    if isinstance(response, StreamingResponse):
        async for piece in response.body_iterator:
            pieces.append(piece if isinstance(piece, bytes) else str(piece).encode())
    else:
        pieces.append(bytes(response.body))
    raw = b"".join(pieces)
    headers = {k.title(): v for k, v in response.headers.items() if k in ("retry-after", "content-type", "location")}
    result: Json = {"status": response.status_code, "headers": headers}
    if raw:
        is_json = response.headers.get("content-type", "").startswith("application/json")
        result["body"] = json.loads(raw) if is_json else base64.b64encode(raw).decode()
    return result
