"""One request and its answer, with a fault between them if one was asked for."""

import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope

from mailroom_emulator.entra.errors import ERRORS, EntraError
from mailroom_emulator.faults import (
    NO_EFFECTS,
    Action,
    Answer,
    AnswerAndDoLater,
    Delay,
    DoButAnswer,
    Drop,
    Effects,
    Refuse,
)
from mailroom_emulator.graph.errors import error_body

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

Do = Callable[[Receive, Effects], Awaitable[Response]]


@dataclass
class Exchange:
    """What is known about a request on its way; `cleanup` runs when the answer has left."""

    emulator: "Emulator"
    scope: Scope
    receive: Receive
    operation: str
    request_id: str
    mailbox: str = ""
    cleanup: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


async def carry_out(exchange: Exchange, do: Do) -> Response | None:
    """The answer to a request; None when the connection was broken instead."""
    scope = exchange.scope
    path = scope["path"]
    action = exchange.emulator.faults.take(exchange.operation, scope["method"], path, exchange.mailbox)
    return await _with_fault(exchange, do, action)


async def _with_fault(exchange: Exchange, do: Do, action: Action | None) -> Response | None:
    receive = exchange.receive
    match action:
        case None:
            return await do(receive, NO_EFFECTS)
        case Effects():
            return await do(receive, action)
        case Refuse(answer):
            await _drain(receive)
            return _respond(exchange, answer)
        case DoButAnswer(answer):
            await do(receive, NO_EFFECTS)
            return _respond(exchange, answer)
        case AnswerAndDoLater(answer, after):
            _do_later(exchange, do, await _drain(receive), after)
            return _respond(exchange, answer)
        case Delay(span):
            await exchange.emulator.agenda.sleep(span)
            return await do(receive, NO_EFFECTS)
        case Drop(when, after_bytes):
            if after_bytes is not None:
                await _read_bytes(receive, after_bytes)
            elif when == "after":
                await do(receive, NO_EFFECTS)
            await break_connection(exchange)
            return None
        case _:
            assert_never(action)


def _do_later(exchange: Exchange, do: Do, body: bytes, after: timedelta) -> None:
    """Do with the same body when its time has come; the answer of that interests nobody."""
    emulator = exchange.emulator

    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def carry() -> Response:
        with exchange.cleanup:
            return await do(replay, NO_EFFECTS)

    emulator.agenda.later(after, lambda: emulator.spawn(carry()))


async def _drain(receive: Receive) -> bytes:
    pieces = []
    while True:
        event = await receive()
        pieces.append(event.get("body", b""))
        if event["type"] == "http.disconnect" or not event.get("more_body", False):
            return b"".join(pieces)


async def _read_bytes(receive: Receive, count: int) -> None:
    while count > 0:
        event = await receive()
        count -= len(event.get("body", b""))
        if event["type"] == "http.disconnect" or not event.get("more_body", False):
            return


async def break_connection(exchange: Exchange) -> None:
    """Reset it (RST), as a load balancer or a cut cable does, and wait until it is gone."""
    transport = exchange.scope["state"]["transport"]
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await exchange.receive())["type"] != "http.disconnect":
        continue


def _respond(exchange: Exchange, answer: Answer) -> Response:
    headers = dict(answer.headers)
    if answer.retry_after is not None:
        headers["Retry-After"] = f"{answer.retry_after:g}"
    if answer.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm=""')
    if answer.body is not None:
        return Response(answer.body, answer.status, headers, media_type="text/html")
    now = exchange.emulator.clock.now()
    if answer.aadsts is not None:
        kind = ERRORS.get(answer.aadsts)
        if kind is None:
            text = f"AADSTS{answer.aadsts}: {answer.message}"
            body = {"error": answer.code, "error_description": text, "error_codes": [answer.aadsts]}
            return JSONResponse(body, answer.status, headers)
        placeholders = {name: name for name in _PLACEHOLDERS}
        return JSONResponse(EntraError(answer.aadsts, **placeholders).body(now), kind.status, headers)
    request_id = exchange.request_id
    return JSONResponse(error_body(answer.code, answer.message, now, request_id, request_id), answer.status, headers)


_PLACEHOLDERS = ("client", "grant", "issued", "kind", "name", "resource", "scope", "tenant", "uri", "user", "why")
