"""What is around every request of API and console: who sends a body is known first, bodies are small, answers have the header fields
that they should have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 9.2.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What API and console have of their own."""

    headers: Callable[[Scope], Mapping[str, str]]
    limit: Callable[[Scope], int | None]
    """Bytes of a body; None if the route looks at the size itself."""
    too_large: Callable[[int], Exception]
    admit: Callable[[Request], Awaitable[object]]
    """Asked before a byte of a body is taken: frameworks read it before they ask who sends it. Raises what the answer is made of."""


class Edge:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, *, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rules, limit = self._rules, self._rules.limit(scope)
        received, admitted = 0, scope["method"] in SAFE

        async def limited() -> Message:
            nonlocal received, admitted
            if not admitted:
                await rules.admit(Request(scope))
                admitted = True
                if limit is not None and _announced(scope) > limit:
                    raise rules.too_large(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if limit is not None and received > limit:
                raise rules.too_large(limit)
            return message

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in rules.headers(scope).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, limited, completed)


def _announced(scope: Scope) -> int:
    length = Request(scope).headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdecimal() else 0
