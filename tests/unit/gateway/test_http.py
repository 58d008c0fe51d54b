"""The HTTP adapter: what it tells of a request that got no answer."""

from __future__ import annotations

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
