"""The core's `Request`s over `requests`, which Odoo has.

It adds the token, asks for a fresh one after a 401 and repeats that request once, and says of a missing response whether the other side
may have seen the whole request. One session per thread, so that connections are kept.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from mailroom_core.flow import NoResponse, Request, Response, Streamed

CHUNK = 256 * 1024
PATIENCE = 60.0
"""Seconds until somebody listens, and until an answer comes."""
_NEVER_CONNECTED = (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)

_kept = threading.local()


class Http:
    """One identity's requests. `token(refused)` gives an access token, another one than the refused; None for requests without one."""

    def __init__(self, token: Callable[[str], str] | None = None) -> None:
        self._token = token

    def __call__(self, request: Request) -> Response:
        """Raises NoResponse, and whatever `token` raises."""
        token = self._token("") if request.auth and self._token else ""
        response = _exchange(request, token)
        if response.status == 401 and token and self._token:
            response = _exchange(request, self._token(token))
        return response


class _Body:
    """A streamed body whose length is known: `requests` sends it as it is, with a Content-Length."""

    def __init__(self, body: Streamed) -> None:
        self._body = body

    def __len__(self) -> int:
        return self._body.length

    def __iter__(self) -> Iterator[bytes]:
        return self._body.chunks()


def _exchange(request: Request, token: str) -> Response:
    body: Any = _Body(request.body) if isinstance(request.body, Streamed) else request.body
    headers = {"content-length": str(len(body))} if len(body) or request.method in {"POST", "PUT", "PATCH"} else {}
    headers.update(request.headers)
    if token:
        headers["authorization"] = f"Bearer {token}"
    try:
        with _session().request(
            request.method,
            request.url,
            data=body if len(body) else None,
            headers=headers,
            timeout=PATIENCE,
            allow_redirects=False,
            stream=True,
        ) as answer:
            return Response(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, _read(answer, request))
    except requests.exceptions.RequestException as problem:
        raise NoResponse(_why(problem, request), sent=not _never_connected(problem)) from None


def _read(answer: requests.Response, request: Request) -> bytes:
    if not request.into or not 200 <= answer.status_code < 300:
        return answer.content
    with open(request.into, "wb") as file:
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
    return b""


def _session() -> requests.Session:
    session: requests.Session | None = getattr(_kept, "session", None)
    if session is None:
        session = _kept.session = requests.Session()
    return session


def _never_connected(problem: BaseException) -> bool:
    """Whether the other side can't have seen the request. `requests` wraps what happened, several times over."""
    seen: set[int] = set()
    found: object = problem
    while isinstance(found, BaseException) and id(found) not in seen:
        if isinstance(found, _NEVER_CONNECTED):
            return True
        seen.add(id(found))
        found = getattr(found, "reason", None) or (found.args[0] if found.args else None)
    return isinstance(problem, (requests.exceptions.ConnectTimeout, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema))


def _why(problem: Exception, request: Request) -> str:
    """Without path and headers: an upload URL carries its own token."""
    return f"{type(problem).__name__} at {urlsplit(request.url).hostname}"
