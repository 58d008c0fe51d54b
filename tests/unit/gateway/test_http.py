"""The HTTP adapter: what it tells of a request that got no answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from mailroom.transports.http import Http
from mailroom_core.flow import NoResponse, Request

pytestmark = pytest.mark.anyio
TOKEN = "eyJ-very-secret"


@pytest.mark.parametrize(
    ("problem", "sent", "why"),
    [
        (httpx2.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'"), True, "LocalProtocolError at graph.example"),
        (httpx2.ReadTimeout(""), True, "ReadTimeout at graph.example"),
        (httpx2.ConnectError("Name or service not known"), False, "ConnectError at graph.example: Name or service not known"),
    ],
)
async def test_no_token_and_no_path_stand_in_the_reason(problem: Exception, sent: bool, why: str) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise problem

    async def token(refused: str) -> str:
        return TOKEN

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(fail)) as client:
        with pytest.raises(NoResponse) as told:
            await Http(client, token)(Request("POST", f"https://graph.example/v1.0/upload?token={TOKEN}", {}, b"x"))
    assert (told.value.sent, told.value.why) == (sent, why)


async def test_a_body_that_belongs_into_a_file_is_never_held_and_an_error_is_answered_as_always(tmp_path: Path) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 1000

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=drip()) if request.url.path == "/mail" else httpx2.Response(404, content=b"gone")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        there = await Http(client)(Request("GET", "https://graph.example/mail", into=str(tmp_path / "1"), auth=False))
        gone = await Http(client)(Request("GET", "https://graph.example/other", into=str(tmp_path / "2"), auth=False))
    assert (there.status, there.body, (tmp_path / "1").read_bytes()) == (200, b"", b"x" * 3000)
    assert (gone.status, gone.body, (tmp_path / "2").exists()) == (404, b"gone", False)
