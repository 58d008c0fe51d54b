"""Calls the gateway's API for an agent."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx2

TIMEOUT = 60.0
LONG = 180.0
"""Seconds without any answer, where every provider is asked."""
MOST_MAIL = 512 * 1024
"""Bytes of a mail that are read."""
MOST_ANSWER = 8 * 1024 * 1024
TOOL = "Mailroom-Tool"
"""The header field by which the audit log learns which tool asks."""


class NotDone(Exception):
    """The gateway refused, or gave no answer; the text says what to do."""


class Gateway:
    """One token's view of a running gateway. Use with `async with`."""

    def __init__(self, url: str, token: str, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx2.AsyncClient(base_url=f"{self._url}/v1", headers=headers, timeout=TIMEOUT, transport=transport)

    async def ask(
        self, tool: str, method: str, *path: str, query: Mapping[str, Any] | None = None, json: Any = None, patience: float = TIMEOUT
    ) -> Any:
        """The answer as JSON. Raises NotDone."""
        given = {name: value for name, value in (query or {}).items() if value not in ("", None, [])}
        body, kind = await self._read(tool, method, path, given, json, MOST_ANSWER, patience)
        if len(body) > MOST_ANSWER:
            raise NotDone("The answer is too large; ask for less")
        return httpx2.Response(200, headers={"content-type": kind}, content=body).json() if body else {}

    async def raw(self, tool: str, id: str) -> tuple[bytes, bool]:
        """The beginning of a mail, and whether it is all of it. Raises NotDone."""
        body, _ = await self._read(tool, "GET", ("messages", id, "raw"), {}, None, MOST_MAIL)
        return body[:MOST_MAIL], len(body) <= MOST_MAIL

    async def _read(
        self, tool: str, method: str, path: tuple[str, ...], query: Mapping[str, Any], json: Any, most: int, patience: float = TIMEOUT
    ) -> tuple[bytes, str]:
        """Up to a little more than `most` bytes."""
        if not {".", ".."}.isdisjoint(path):  # they would lead elsewhere
            raise NotDone("There is nothing of that name; list_objects has the names")
        where = "/" + "/".join(quote(each, safe="@") for each in path)
        try:
            async with self._http.stream(method, where, params=query, json=json, headers={TOOL: tool}, timeout=patience) as answer:
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > most:
                        break
        except httpx2.TransportError as problem:
            why = str(problem) or type(problem).__name__
            raise NotDone(f"The gateway at {self._url} gave no answer ({why}); see that it runs, and try again") from None
        if answer.is_success:
            return body, answer.headers.get("content-type", "")
        raise NotDone(_detail(answer.status_code, body))

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.aclose()


def _detail(status: int, body: bytes) -> str:
    """What a problem document says."""
    try:
        told = httpx2.Response(status, content=body).json()
        errors = "".join(f"; {each.get('where')}: {each.get('what')}" for each in told.get("errors", ()))
        return f"{told['detail']}{errors}"[:2000]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"The answer was {status}, and not as a Mailroom gateway's; check the address"
