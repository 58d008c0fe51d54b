"""Who asks for a page, and whether they may: sessions, roles, and the token that shows that a form is ours.

Every route of the console stands behind `protected`; a route that needs more than a viewer says `at_least(Role.OPERATOR)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException, Request
from starlette.datastructures import UploadFile

from mailroom.console.door import Door, own_host, session_of
from mailroom.edge import SAFE
from mailroom.objects import Role
from mailroom.signin.reception import Present


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in."""

    name: str
    role: Role
    csrf: str = field(repr=False)
    """Belongs into every form, as the field `csrf`, or into the header `X-CSRF-Token`."""
    present: Present = field(repr=False)

    @property
    def by(self) -> str:
        """For the audit log."""
        return f"user:{self.name}"

    def may(self, role: Role) -> bool:
        return self.role.covers(role)


async def visitor(request: Request) -> Visitor:
    """Who is signed in; sends everybody else to the sign-in page, and back here afterwards."""
    known: Visitor | None = getattr(request.state, "visitor", None)
    if known is None:
        door: Door = request.app.state.door
        present = await asyncio.to_thread(door.reception.who, session_of(request))
        if present is None:
            raise _sign_in_first(request)
        known = request.state.visitor = Visitor(present.user.name, present.user.role, present.csrf, present)
    return known


def _sign_in_first(request: Request) -> HTTPException:
    if request.headers.get("hx-request"):  # a part of a page: htmx is to load the whole sign-in page
        to = f"/signin?next={quote(local(_path_of(request.headers.get('hx-current-url', ''))))}"
        return HTTPException(401, "Sign in first", {"HX-Redirect": to})
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    to = f"/signin?next={quote(local(here))}" if request.method in SAFE else "/signin"
    return HTTPException(303, "Sign in first", {"Location": to})


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "/"
    return parts.path + (f"?{parts.query}" if parts.query else "")


def local(path: str) -> str:
    """A path of ours; `/` for anything that a browser could take for another place."""
    if not path.startswith("/") or path.startswith(("//", "/\\")) or any(ord(each) < 33 or each in '\\"<>' for each in path):
        return "/"
    return path if path.isascii() and len(path) <= 2000 else "/"


async def protected(request: Request, who: Annotated[Visitor, Depends(visitor)]) -> None:
    """The one place that stands before all routes of the console."""
    own_host(request)
    door: Door = request.app.state.door
    if request.method not in SAFE and not door.reception.csrf_fits(session_of(request), await csrf_given(request)):
        raise HTTPException(403, "This form belongs to another sign-in, or was open for too long. Load the page again and repeat it")


async def csrf_given(request: Request) -> str:
    """The token that came with a request."""
    if given := request.headers.get("x-csrf-token"):
        return given
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        return ""
    value = (await request.form()).get("csrf", "")
    return "" if isinstance(value, UploadFile) else value


def at_least(role: Role) -> Callable[[Visitor], Awaitable[Visitor]]:
    """The visitor of a route that needs this role; 403 for those below."""

    async def check(who: Annotated[Visitor, Depends(visitor)]) -> Visitor:
        if not who.may(role):
            text = f"This needs the role {role.value}; you are signed in as {who.role.value}. An administrator can change that"
            raise HTTPException(403, text)
        return who

    return check
