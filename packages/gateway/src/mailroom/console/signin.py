"""Pages for people who are not signed in: sign-in, its second step, the identity provider's answer, and one-time links."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom.console.door import Door, TheDoor, begin_session, begin_visit, guest_of, own_host, session_of, visit_of
from mailroom.console.pages import page
from mailroom.console.visitor import csrf_given, local
from mailroom.edge import SAFE
from mailroom.observe import events
from mailroom.signin.links import ANSWER
from mailroom.signin.reception import CodeNeeded, Refusal, SignedIn, SignInRefused
from mailroom_core.errors import ConfigError

Text = Annotated[str, Form()]
_NO_REFERRER = {"Referrer-Policy": "no-referrer"}
"""The address of the page is a secret."""
_WORK = {"/signin/provider", ANSWER}
"""Pages that write into the database, or ask others, when they are only looked at."""
_STALE = "This page was open for too long, or the browser keeps no cookies from here. Repeat it."


async def open_form(request: Request) -> None:
    """The one place that stands before all pages without sign-in: forms belong to the visit of the browser that sends them."""
    own_host(request)
    door: Door = request.app.state.door
    works = request.method not in SAFE or request.url.path in _WORK
    if works and not door.throttle.lets_pass(guest_of(request).network, door.clock()):
        raise HTTPException(429, "Too much comes from your network at this moment. Wait a minute", {"Retry-After": "60"})
    if request.method not in SAFE and not door.reception.csrf_fits(visit_of(request), await csrf_given(request)):
        raise HTTPException(403, _STALE)


router = APIRouter(dependencies=[Depends(open_form)])


def _form(request: Request, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> HTMLResponse:
    """A page with a form, and with a visit that the form belongs to. Blocking."""
    door: Door = request.app.state.door
    visit = visit_of(request)
    fresh = "" if visit else begin_visit()
    values = {"csrf": door.reception.csrf_of(visit or fresh), "error": "", **values}
    made = page(request, template, status=status, headers=headers, **values)
    if fresh:
        door.set_cookie(made, "visit", fresh)
    return made


def _sign_in_page(request: Request, *, status: int = 200, error: str = "", name: str = "", next: str = "/") -> HTMLResponse:
    door: Door = request.app.state.door
    headers = {429: {"Retry-After": "900"}, 503: {"Retry-After": "60"}}.get(status)
    values = {"name": name, "next": local(next), "provider": door.provider_name if door.provider else ""}
    return _form(request, "signin.html", status=status, headers=headers, error=error, empty=door.staff.needs_set_up(), **values)


def _status(refused: SignInRefused) -> int:
    return {Refusal.TOO_MANY: 429, Refusal.CROWDED: 503}.get(refused.refusal, 401)


def _arrived(request: Request, answer: SignedIn | CodeNeeded) -> Response:
    if isinstance(answer, CodeNeeded):
        return RedirectResponse("/signin/code", 303)
    made = RedirectResponse(local(answer.next), 303)
    begin_session(request, made, answer.session)
    return made


# ---- password and code ----------------------------------------------------------------------------------------------


@router.get("/signin")
def show(request: Request, door: TheDoor, next: str = "/") -> Response:
    if door.reception.who(session_of(request)):
        return RedirectResponse(local(next), 303)
    return _sign_in_page(request, next=next)


@router.post("/signin")
def sign_in(request: Request, door: TheDoor, name: Text = "", password: Text = "", next: Text = "/") -> Response:
    try:
        answer = door.reception.sign_in(name, password, guest_of(request), next=local(next))
    except SignInRefused as refused:
        return _sign_in_page(request, status=_status(refused), error=str(refused), name=name[:254], next=next)
    return _arrived(request, answer)


@router.get("/signin/code")
def show_code(request: Request) -> Response:
    return _form(request, "signin_code.html")


@router.post("/signin/code")
def give_code(request: Request, door: TheDoor, code: Text = "") -> Response:
    try:
        return _arrived(request, door.reception.give_code(code, guest_of(request)))
    except SignInRefused as refused:
        if refused.refusal is Refusal.TOO_LATE:
            return _sign_in_page(request, status=401, error=str(refused))
        return _form(request, "signin_code.html", status=_status(refused), error=str(refused))


# ---- identity provider ----------------------------------------------------------------------------------------------


@router.get("/signin/provider")
async def to_provider(request: Request, door: TheDoor, next: str = "/") -> Response:
    """By a link, not by a form: a form's policy would not let the browser go elsewhere."""
    from mailroom.signin.provider import ProviderTrouble

    if door.provider is None:
        raise HTTPException(404, "Nobody has set an identity provider; sign in with your password")
    visit, guest = visit_of(request), guest_of(request)
    fresh = "" if visit else begin_visit()
    try:
        url = await door.provider.begin(replace(guest, visit=visit or fresh), door.address(request) + ANSWER, next=local(next))
    except ProviderTrouble as trouble:
        return await _provider_trouble(request, trouble)
    made = RedirectResponse(url, 303)
    if fresh:
        door.set_cookie(made, "visit", fresh)
    return made


@router.get(ANSWER)
async def from_provider(request: Request, door: TheDoor) -> Response:
    from mailroom.signin.provider import ProviderTrouble

    if door.provider is None or door.admission is None:
        raise HTTPException(404, "Nobody has set an identity provider; sign in with your password")
    guest = guest_of(request)
    try:
        identity, to = await door.provider.finish(guest, door.address(request) + ANSWER, dict(request.query_params))
        user = await asyncio.to_thread(door.admission.admit, identity, guest.address)
        answer = await asyncio.to_thread(door.reception.arrive, user, guest, next=to)
    except SignInRefused as refused:
        return await asyncio.to_thread(_sign_in_page, request, status=401, error=str(refused))
    except ProviderTrouble as trouble:
        return await _provider_trouble(request, trouble)
    return _arrived(request, answer)


async def _provider_trouble(request: Request, trouble: Exception) -> Response:
    events.provider_trouble(str(trouble))
    text = "The identity provider does not answer as it should. Try again; if it stays like this, the log of Mailroom says what to change."
    return await asyncio.to_thread(_sign_in_page, request, status=502, error=text)


# ---- one-time links -------------------------------------------------------------------------------------------------


def _gone(request: Request, what: str) -> Response:
    return page(request, "link_gone.html", status=410, headers=_NO_REFERRER, what=what)


@router.get("/setup/{token}")
def show_set_up(request: Request, door: TheDoor, token: str) -> Response:
    if not door.staff.is_set_up_token(token):
        return _gone(request, "setup")
    return _form(request, "setup.html", headers=_NO_REFERRER, name="")


@router.post("/setup/{token}")
def set_up(request: Request, door: TheDoor, token: str, name: Text = "", password: Text = "", again: Text = "") -> Response:
    if not door.staff.is_set_up_token(token):
        return _gone(request, "setup")
    try:
        user = door.staff.set_up(token, name, _same(password, again))
    except ConfigError as problem:
        return _form(request, "setup.html", status=422, headers=_NO_REFERRER, name=name[:254], error=str(problem))
    if door.set_up_file:
        door.set_up_file.unlink(missing_ok=True)
    return _arrived(request, door.reception.arrive(user, guest_of(request)))


@router.get("/welcome/{token}")
def show_welcome(request: Request, door: TheDoor, token: str) -> Response:
    owner = door.staff.owner_of(token)
    if owner is None:
        return _gone(request, "password")
    return _form(request, "welcome.html", headers=_NO_REFERRER, owner=owner)


@router.post("/welcome/{token}")
def choose_password(request: Request, door: TheDoor, token: str, password: Text = "", again: Text = "") -> Response:
    owner = door.staff.owner_of(token)
    if owner is None:
        return _gone(request, "password")
    try:
        user = door.staff.choose_password(token, _same(password, again))
    except ConfigError as problem:
        return _form(request, "welcome.html", status=422, headers=_NO_REFERRER, owner=owner, error=str(problem))
    return _arrived(request, door.reception.arrive(user, guest_of(request)))


def _same(password: str, again: str) -> str:
    if password != again:
        raise ConfigError("The two passwords differ; type the same one twice")
    return password
