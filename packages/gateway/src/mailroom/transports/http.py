"""The one HTTP adapter: drives the core's `Request`s over httpx2.

It adds the token, asks for a fresh one after a 401 and repeats that request once (a 401 means that nothing was done), paces every
request, and says of a missing response whether the other side may have seen the whole request.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import anyio
import httpx2

from mailroom_core.flow import NoResponse, Request, Response, Streamed

CHUNK = 256 * 1024


class NoTurn(Exception):
    """A request has not been started, because its turn does not come in time."""


class Pace(Protocol):
    """Decides when a request may start; `answered` is told of every answer."""

    def request(self, upload: int, patience: timedelta | None) -> AbstractAsyncContextManager[None]:
        """Around a request that uploads so many bytes. Raises NoTurn if it can't start within `patience`."""

    def answered(self, response: Response) -> None: ...

    def left(self, recipients: int) -> None:
        """A mail leaves without an attempt of its own: a look sends its draft again."""

    def more(self) -> bool:
        """Whether one more mail of an attempt, for recipients that it has counted, may leave now; then it counts."""


def client(*, verify: ssl.SSLContext | bool = True, patience: float = 60.0) -> httpx2.AsyncClient:
    """One per process; connections are shared and kept. An answer may take `patience` seconds."""
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=30)
    return httpx2.AsyncClient(timeout=httpx2.Timeout(patience, connect=15.0), limits=limits, verify=verify, follow_redirects=False)


@dataclass(slots=True)
class Http:
    """One identity's requests. `token(refused)` gives an access token; None for requests without one.

    `patience` says how long a request may still wait for its turn; None is for ever. What has waited in vain was not sent.
    """

    client: httpx2.AsyncClient
    token: Callable[[str], Awaitable[str]] | None = None
    pace: Pace | None = None
    patience: Callable[[], timedelta] | None = None

    async def __call__(self, request: Request) -> Response:
        """Raises NoResponse, and VaultError when no token can be had."""
        token = await self.token("") if request.auth and self.token else ""
        response = await self._send(request, token)
        if response.status == 401 and token and self.token:
            fresh = await self.token(token)
            response = await self._send(request, fresh)
        return response

    async def _send(self, request: Request, token: str) -> Response:
        length = request.body.length if isinstance(request.body, Streamed) else len(request.body)
        headers = {"content-length": str(length)} if length or request.method in {"POST", "PUT", "PATCH"} else {}
        headers.update(request.headers)
        if token:
            headers["authorization"] = f"Bearer {token}"
        content = _chunks(request.body.chunks) if isinstance(request.body, Streamed) else request.body
        turn = self.pace.request(length, self.patience() if self.patience else None) if self.pace else nullcontext()
        try:
            async with turn:
                response = await self._exchange(request, headers, content)
        except NoTurn as problem:
            raise NoResponse(str(problem), sent=False) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol) as problem:
            raise NoResponse(_why(problem, request), sent=False) from None
        except httpx2.TransportError as problem:
            raise NoResponse(_why(problem, request), sent=True) from None
        if self.pace:
            self.pace.answered(response)
        return response

    async def _exchange(self, request: Request, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes]) -> Response:
        async with self.client.stream(request.method, request.url, headers=headers, content=content) as answer:
            body = b""
            if request.into and answer.is_success:
                async with await anyio.open_file(request.into, "wb") as file:
                    async for chunk in answer.aiter_bytes(CHUNK):
                        await file.write(chunk)
            else:
                body = await answer.aread()
            return Response(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body)


def _why(problem: Exception, request: Request) -> str:
    """Without the path: an upload URL carries its own token. Only where nothing was connected does the problem's own text tell more;
    elsewhere it may quote a header, and with it the token."""
    told = f"{type(problem).__name__} at {httpx2.URL(request.url).host}"
    return f"{told}: {problem}".removesuffix(": ") if isinstance(problem, httpx2.ConnectError) else told


async def _chunks(chunks: Callable[[], Iterator[bytes]]) -> AsyncIterator[bytes]:
    for chunk in chunks():
        yield chunk
