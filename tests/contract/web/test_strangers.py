"""Every route of the API for a client without a token: it is refused, and nothing that it sends is taken."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import Message

from mailroom.api.app import make_app
from mailroom.api.office import Office
from mailroom.objects import Directory

OFFICE = SimpleNamespace(directory=Directory, key=b"k" * 32, clock=lambda: datetime(2026, 11, 21, tzinfo=UTC))
OPEN = {"/v1/openapi.json", "/v1/docs"}
SIGNED = f"/v1/inbound/{'0' * 13}/raw/9999999999-{'0' * 40}"
"""A link that proves itself."""


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return make_app(cast(Office, OFFICE), [])


def routes_of(routes: Sequence[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif inner := getattr(route, "original_router", None):
            yield from routes_of(inner.routes)


async def told(app: FastAPI, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, int]:
    """Status of the answer, and how often the body was asked for before."""
    statuses = list[int]()
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += not statuses
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    await app({**scope, "headers": headers, "scheme": "http", "client": ("192.0.2.1", 4711), "state": {}}, receive, send)
    return statuses[0], taken


@pytest.mark.parametrize("media", [b"application/json", b"message/rfc822", b"multipart/form-data; boundary=x"])
@pytest.mark.parametrize("bearer", [b"", b"Bearer of-nobody", b"Basic eDp5", "Bearer ü".encode()])
def test_nothing_is_told_to_a_stranger_and_nothing_taken_from_one(app: FastAPI, media: bytes, bearer: bytes) -> None:
    headers = [(b"content-type", media), *([(b"authorization", bearer)] if bearer else [])]
    count = 0
    for route in routes_of(app.routes):
        path = re.sub(r"{[^}]*}", "1", route.path if route.path.startswith("/v1") else f"/v1{route.path}")
        path, refused = (SIGNED, 403) if path == "/v1/inbound/1/1/1" else (path, 401)
        for method in sorted(route.methods or ()):
            assert asyncio.run(told(app, method, path, headers)) == (refused, 0), f"{method} {path}"
            count += 1
    assert count > 50


def test_only_the_description_is_there_for_everybody(app: FastAPI) -> None:
    for path in sorted(OPEN):
        assert asyncio.run(told(app, "GET", path, []))[0] == 200
