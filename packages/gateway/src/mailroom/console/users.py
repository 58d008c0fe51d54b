"""People, for administrators: who may sign in, and as what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom.console.door import Door, TheDoor
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role
from mailroom.signin.links import PASSWORD
from mailroom_core.errors import ConfigError

Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
router = APIRouter(dependencies=[Depends(at_least(Role.ADMIN))])
Text = Annotated[str, Form()]
TheRole = Annotated[Role, Form()]


def _page(request: Request, *, status: int = 200, error: str = "", **values: Any) -> HTMLResponse:
    """Blocking."""
    door: Door = request.app.state.door
    sessions = door.reception.sessions("")
    seen = {each.user: each.seen_at for each in reversed(sessions)}
    counts = Counter(each.user for each in sessions)
    return page(request, "users.html", status=status, users=door.staff.all(), seen=seen, counts=counts, error=error, **values)


def _link(request: Request, name: str, token: str, days: int) -> Response:
    """Shown this once, and kept nowhere."""
    door: Door = request.app.state.door
    return page(request, "users_link.html", name=name, link=f"{door.address(request)}{PASSWORD}{token}", days=days)


@router.get("/users")
def show(request: Request) -> Response:
    return _page(request)


@router.post("/users")
def invite(request: Request, door: TheDoor, me: Admin, name: Text = "", role: TheRole = Role.VIEWER) -> Response:
    try:
        return _link(request, name.strip(), door.staff.invite(name, role, by=me.by), 7)
    except ConfigError as problem:
        return _page(request, status=422, error=str(problem))


@router.post("/users/link")
def another_link(request: Request, door: TheDoor, me: Admin, name: Text = "") -> Response:
    try:
        return _link(request, name, door.staff.reset(name, by=me.by), 1)
    except ConfigError as problem:
        return _page(request, status=422, error=str(problem))


@router.post("/users/change")
def change(request: Request, door: TheDoor, me: Admin, name: Text = "", role: TheRole = Role.VIEWER) -> Response:
    try:
        door.staff.set_role(name, role, by=me.by)
    except ConfigError as problem:
        return _page(request, status=422, error=str(problem))
    return RedirectResponse("/users", 303)


@router.post("/users/{what}")
def act(request: Request, door: TheDoor, me: Admin, what: str, name: Text = "") -> Response:
    """`end` sessions, `deactivate`, `activate`, `drop-second-factor`, `remove`."""
    deeds: dict[str, Callable[[], object]] = {
        "end": lambda: door.staff.end_sessions(name, by=me.by),
        "deactivate": lambda: door.staff.set_active(name, False, by=me.by),
        "activate": lambda: door.staff.set_active(name, True, by=me.by),
        "drop-second-factor": lambda: door.staff.drop_second_factor(name, by=me.by),
        "remove": lambda: door.staff.remove(name, by=me.by),
    }
    if what not in deeds:
        return _page(request, status=404, error=f"There is nothing to do that is called {what[:40]!r}")
    try:
        deeds[what]()
    except ConfigError as problem:
        return _page(request, status=422, error=str(problem))
    return RedirectResponse("/users", 303)
