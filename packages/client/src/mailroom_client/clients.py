"""Carries calls out: `Mailroom` at once, `AsyncMailroom` with `await`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from mailroom_client.calls import Call, Pages
from mailroom_client.values import Found, Problem

T = TypeVar("T")
TIMEOUT = 60.0
"""Seconds without any progress."""


def _options(call: Call[Any]) -> dict[str, Any]:
    body = {"content": call.content} if call.content is not None else {"json": call.json} if call.json is not None else {}
    return {"params": dict(call.query), "headers": dict(call.headers), **body}


def _settings(url: str, token: str, timeout: float) -> dict[str, Any]:
    return {"base_url": f"{url.rstrip('/')}/v1", "headers": {"Authorization": f"Bearer {token}"}, "timeout": timeout}


def _read(call: Call[T], answer: httpx2.Response) -> T:
    kind = answer.headers.get("content-type", "")
    body = answer.json() if kind.startswith(("application/json", "application/problem+json")) else None
    if answer.is_success:
        return call.read(answer.content, body)
    told = body if isinstance(body, dict) else {}
    errors = "".join(f"; {each.get('where')}: {each.get('what')}" for each in told.get("errors", ()))
    wait = answer.headers.get("retry-after", "")
    text = told.get("detail", f"{answer.request.url} answered {answer.status_code}, and not as a Mailroom gateway does; check the address")
    retry_after = float(wait) if wait.isdecimal() else None
    raise Problem(answer.status_code, f"{text}{errors}", retry_after=retry_after, enhanced=told.get("enhanced", ""))


def _unreachable(url: object, problem: Exception) -> Problem:
    return Problem(0, f"The gateway at {url} gave no answer ({problem or type(problem).__name__}); see that it runs, and try again")


class Mailroom:
    """A gateway, for programs that wait. Close it, or use `with`."""

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT) -> None:
        self._http = httpx2.Client(**_settings(url, token, timeout))

    def do(self, call: Call[T]) -> T:
        """The answer to a call. Raises Problem."""
        try:
            answer = self._http.request(call.method, call.path, **_options(call))
        except httpx2.TransportError as problem:
            raise _unreachable(self._http.base_url, problem) from problem
        return _read(call, answer)

    def all(self, pages: Pages) -> Iterator[Found]:
        """Every item of every page. Raises Problem."""
        page = self.do(pages)
        yield from page.items
        while page.next:
            page = self.do(pages.after(page.next))
            yield from page.items

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Mailroom:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncMailroom:
    """A gateway, for asyncio. Close it, or use `async with`."""

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT) -> None:
        self._http = httpx2.AsyncClient(**_settings(url, token, timeout))

    async def do(self, call: Call[T]) -> T:
        """The answer to a call. Raises Problem."""
        try:
            answer = await self._http.request(call.method, call.path, **_options(call))
        except httpx2.TransportError as problem:
            raise _unreachable(self._http.base_url, problem) from problem
        return _read(call, answer)

    async def all(self, pages: Pages) -> AsyncIterator[Found]:
        """Every item of every page. Raises Problem."""
        page = await self.do(pages)
        for found in page.items:
            yield found
        while page.next:
            page = await self.do(pages.after(page.next))
            for found in page.items:
                yield found

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncMailroom:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
