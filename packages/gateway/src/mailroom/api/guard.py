"""Who may ask for what, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import Depends, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.objects import Application, Directory, Scope, Token
from mailroom.observe import events
from mailroom.vault import credentials

WINDOW = timedelta(minutes=1)
TOOL = "mailroom-tool"
"""Names the tool of an AI agent that asks (`mailroom mcp`)."""
_bearer = HTTPBearer(auto_error=False, description="A token that `mailroom token add` has shown")
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


@dataclass(slots=True)
class _Window:
    """The requests of one token in one minute."""

    began: datetime
    count: int = 0


class Guard:
    """Knows the tokens of one version of the directory, and what they have used up. One for each application."""

    def __init__(self) -> None:
        self._version = -1
        self._tokens: dict[str, Token] = {}
        self._windows: dict[str, _Window] = {}

    def token(self, directory: Directory, digest: str) -> Token | None:
        if directory.version != self._version:
            self._tokens = {token.key: token for token in directory.tokens.values()}
            self._windows = {name: window for name, window in self._windows.items() if name in directory.tokens}
            self._version = directory.version
        return self._tokens.get(digest)

    def count(self, token: Token, now: datetime) -> dict[str, str]:
        """Header fields that say what is left (draft-ietf-httpapi-ratelimit-headers-10). Raises Problem when nothing is."""
        if not token.per_minute:
            return {}
        window = self._windows.get(token.name)
        if window is None or not timedelta() <= now - window.began < WINDOW:
            window = self._windows[token.name] = _Window(now)
        window.count += 1
        left = max(token.per_minute - window.count, 0)
        reset = max(int((window.began + WINDOW - now).total_seconds()), 1)
        headers = {
            "RateLimit-Policy": f'"minute";q={token.per_minute};w={int(WINDOW.total_seconds())}',
            "RateLimit": f'"minute";r={left};t={reset}',
        }
        if window.count > token.per_minute:
            text = (
                f"This token may ask {token.per_minute} times a minute; go on in {reset} s, or send several mails with /v1/messages/batch"
            )
            raise Problem(429, text, headers={"Retry-After": str(reset), **headers})
        return headers


def known(request: Request, office: Office, given: HTTPAuthorizationCredentials | None) -> Token:
    """Whose token it is. Raises Problem."""
    if given is None:
        text = "Send a token as `Authorization: Bearer ...`; `mailroom token add` makes one"
        raise Problem(401, text, headers={"WWW-Authenticate": "Bearer"})
    guard: Guard = request.app.state.guard
    digest = credentials.digest(office.key, given.credentials)
    token = guard.token(office.directory(), digest)
    client = request.client.host if request.client else ""
    if token is None:
        events.token_rejected(client, "", "unknown")
        text = "This token is not known here; it may have been removed. `mailroom token add` makes another one"
        raise Problem(401, text, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    if token.expires_at is not None and token.expires_at <= office.clock():
        events.token_rejected(client, token.name, "expired")
        text = f"The token {token.name!r} expired on {token.expires_at:%Y-%m-%d %H:%M} UTC; `mailroom token add` makes another one"
        raise Problem(401, text, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return token


def may(scope: Scope) -> Callable[[Request, TheOffice, _Bearer], Awaitable[Token]]:
    """The token of a request that needs this scope. Raises Problem."""

    async def check(request: Request, office: TheOffice, given: _Bearer) -> Token:
        token = known(request, office, given)
        guard: Guard = request.app.state.guard
        request.state.headers = guard.count(token, office.clock())
        await _note_tool(request, office, token)
        if scope not in token.scopes:
            events.token_rejected(request.client.host if request.client else "", token.name, f"has no {scope.value}")
            text = f"The token {token.name!r} may not do this: it needs the scope {scope.value}; `mailroom token add` makes one that may"
            headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope.value}"'}
            raise Problem(403, text, headers=headers)
        return token

    return check


async def _note_tool(request: Request, office: Office, token: Token) -> None:
    """What an AI agent asks by a tool stands in the audit log, also if it may not."""
    if tool := _visible(request.headers.get(TOOL, ""), 60):
        asked = f"{request.method} {request.url.path}{f'?{request.url.query}' if request.url.query else ''}"
        note = partial(office.store.audit, by=f"token:{token.name}", what="ask", kind="tool", name=tool, after=_visible(asked, 500))
        await run_in_threadpool(note)


def _visible(text: str, most: int) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:most])


def application_of(office: Office, token: Token) -> Application:
    """As whom a token sends. Raises Problem."""
    application = office.directory().applications.get(token.application)
    if application is None or not application.active:
        text = f"The token {token.name!r} sends as the application {token.application!r}, which is not active; ask the administrator"
        raise Problem(403, text)
    return application


def plain_bearer(authorization: bytes) -> HTTPAuthorizationCredentials | None:
    """What `HTTPBearer` finds in this header field, if it is there."""
    scheme, _, rest = authorization.decode("latin-1").partition(" ")
    secret = rest.strip()
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=secret) if scheme == "Bearer" and secret else None


may_send = may(Scope.SEND)
MaySend = Annotated[Token, Depends(may_send)]
MayRead = Annotated[Token, Depends(may(Scope.READ))]
MayAct = Annotated[Token, Depends(may(Scope.ACT))]
MayReadObjects = Annotated[Token, Depends(may(Scope.OBJECTS_READ))]
MayWriteObjects = Annotated[Token, Depends(may(Scope.OBJECTS_WRITE))]
MayReadConversations = Annotated[Token, Depends(may(Scope.CONVERSATIONS_READ))]
MayWriteConversations = Annotated[Token, Depends(may(Scope.CONVERSATIONS_WRITE))]
MayWriteInbound = Annotated[Token, Depends(may(Scope.INBOUND_WRITE))]
