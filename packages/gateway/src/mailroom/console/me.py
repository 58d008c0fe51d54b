"""What everybody changes for themselves: password, second factor, sessions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom.console.door import Door, TheDoor, begin_session, end_session, guest_of
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, visitor
from mailroom.signin import second
from mailroom.signin.reception import SignInRefused
from mailroom_core.errors import ConfigError

router = APIRouter()
Text = Annotated[str, Form()]
Me = Annotated[Visitor, Depends(visitor)]
ISSUER = "Mailroom"


def _page(request: Request, me: Visitor, *, status: int = 200, error: str = "", **values: Any) -> HTMLResponse:
    """Blocking."""
    door: Door = request.app.state.door
    known = {"error": error, "secret": "", "picture": "", "codes": (), "done": ""}
    user = door.staff.user(me.name) or me.present.user
    sessions, own = door.reception.sessions(me.name), me.present.session.key
    return page(request, "me.html", status=status, user=user, sessions=sessions, own=own, **{**known, **values})


@router.get("/me")
def show(request: Request, me: Me) -> Response:
    return _page(request, me)


@router.post("/me/signout")
def sign_out(request: Request, door: TheDoor, me: Me) -> Response:
    door.reception.leave(me.present)
    made = RedirectResponse("/signin", 303)
    end_session(request, made)
    return made


@router.post("/me/sessions/end")
def end_one(request: Request, door: TheDoor, me: Me, key: Text = "") -> Response:
    if key == me.present.session.key:
        return sign_out(request, door, me)
    if not door.reception.end(me.present, key):
        return _page(request, me, status=404, error="This session has ended already.")
    return RedirectResponse("/me", 303)


@router.post("/me/password")
def change_password(request: Request, door: TheDoor, me: Me, present: Text = "", password: Text = "", again: Text = "") -> Response:
    """Ends all sessions; this browser gets a new one."""
    guest = guest_of(request)
    try:
        if password != again:
            raise ConfigError("The two new passwords differ; type the same one twice")
        door.reception.check_password(me.present.user, present, guest)
        user = door.staff.change_password(me.present.user, password)
    except (ConfigError, SignInRefused) as problem:
        return _page(request, me, status=422, error=str(problem))
    made = RedirectResponse("/me", 303)
    begin_session(request, made, door.reception.begin(user, guest))
    return made


# ---- second factor --------------------------------------------------------------------------------------------------


@router.post("/me/second-factor")
def offer(request: Request, door: TheDoor, me: Me) -> Response:
    return _offer(request, me, door.staff.offer_second_factor(me.present.user))


def _offer(request: Request, me: Visitor, secret: str, *, status: int = 200, error: str = "") -> Response:
    picture = second.picture(second.address(secret, me.name, ISSUER))
    return _page(request, me, status=status, error=error, secret=secret, picture=picture)


@router.post("/me/second-factor/on")
def accept(request: Request, door: TheDoor, me: Me, code: Text = "") -> Response:
    try:
        codes = door.staff.accept_second_factor(me.present.user, code)
    except ConfigError as problem:
        secret = door.staff.offered_second_factor(me.present.user)
        return _offer(request, me, secret, status=422, error=str(problem)) if secret else RedirectResponse("/me", 303)
    return _page(request, me, codes=codes)


@router.post("/me/second-factor/off")
def drop(request: Request, door: TheDoor, me: Me, code: Text = "") -> Response:
    try:
        door.reception.check_code(me.present.user, code, guest_of(request))
    except SignInRefused as refused:
        return _page(request, me, status=422, error=str(refused))
    door.staff.drop_second_factor(me.name, by=me.name)
    return RedirectResponse("/me", 303)
