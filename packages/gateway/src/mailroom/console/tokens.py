"""Tokens of the HTTP API: which programs may use it, and for what."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from mailroom.console.forms import Entered, Field, given_by, given_of, mistakes, table_of
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role, Scope
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/tokens", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
SCOPES = {
    Scope.SEND: "Send mail",
    Scope.READ: "See mail and what became of it",
    Scope.ACT: "Retry, cancel and hold mail",
    Scope.OBJECTS_READ: "See servers, applications and the rest",
    Scope.OBJECTS_WRITE: "Change them: it can then route all mail anywhere",
    Scope.CONVERSATIONS_READ: "See conversations",
    Scope.CONVERSATIONS_WRITE: "Answer in them, close them, write notes",
    Scope.INBOUND_WRITE: "Hand over mail that has come for us elsewhere",
}
LIFE = (("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"))


def _fields(house: House) -> tuple[Field, ...]:
    applications = tuple((name, f"{name}: sends as it, and sees its mail alone") for name in sorted(house.directory().applications))
    return (
        Field("name", "Name", help="What will use it, for example shop or backup.", required=True),
        Field("application", "Application", "choice", choices=(("", "None: all mail"), *applications)),
        Field("days", "It ends", "choice", choices=LIFE),
        Field("per_minute", "Requests a minute", "number", "0 is no limit."),
    )


def _list(request: Request, house: House, *, status: int = 200, **values: Any) -> Response:
    house.look()
    fields = _fields(house)
    known = {"given": given_of(fields, {"per_minute": 6000}), "chosen": frozenset(), "wrong": {}, **values}
    tokens = [each for _, each in sorted(house.directory().tokens.items())]
    return page(request, "tokens.html", status=status, tokens=tokens, now=house.clock(), scopes=SCOPES, fields=fields, **known)


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.post("/add")
def add(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """It is shown this once."""
    house.look()
    fields = _fields(house)
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    known = {scope.value for scope in Scope}
    chosen = frozenset(Scope(each) for each in form.getlist("scope") if each in known)
    if not wrong:
        days = str(table["days"])
        ends = house.clock() + timedelta(days=int(days)) if days in ("30", "90", "365") else None
        try:
            scopes = [each for each in Scope if each in chosen]
            secret = house.objects.new_token(
                str(table["name"]),
                scopes=scopes,
                application=str(table["application"]),
                expires_at=ends,
                per_minute=max(int(table["per_minute"]), 0),
                by=who.by,
            )
            return page(request, "token_secret.html", name=table["name"], secret=secret)
        except ConfigError as problem:
            wrong = mistakes(problem, (*fields, Field("scopes", "")))
    return _list(request, house, status=422, given=given, chosen=chosen, wrong=wrong)


@router.post("/remove")
def remove(house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    house.look()
    if name not in house.directory().tokens:
        raise HTTPException(404, f"There is no token {name[:120]!r}; it may have been removed")
    house.objects.remove_token(name, by=who.by)
    return RedirectResponse("/tokens", 303)
