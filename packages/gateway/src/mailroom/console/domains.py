"""Alias domains: the domains that are ours, one for each company."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from mailroom import tables
from mailroom.console.forms import Entered, Field, Given, changed_meanwhile, given_by, given_of, mistakes, seen, table_of
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import AliasDomain, Role
from mailroom.way_out import notification_address
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/domains", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
NAME = Field("name", "Domain", help="For example example.com", required=True)
FIELDS = (
    Field("company", "Company"),
    Field(
        "default_from",
        "Notification address",
        help="Its part before the @: mail of senders without a way out of their own leaves with it. A full address: then all mail uses it.",
    ),
    Field("bounce", "Bounce address", help="Its part before the @: where failures come back to."),
    Field("catchall", "Catchall address", help="Its part before the @: where answers come back to."),
)


def _form(request: Request, name: str, given: Given, wrong: Mapping[str, str] | None = None, *, status: int = 200) -> Response:
    fields = FIELDS if name else (NAME, *FIELDS)
    return page(request, "domain.html", status=status, name=name, fields=fields, given=given, wrong=wrong or {})


def _known(house: House, name: str) -> AliasDomain:
    house.look()
    found = house.directory().alias_domains.get(name)
    if found is None:
        raise HTTPException(404, f"There is no alias domain {name[:120]!r}; it may have been removed")
    return found


def _list(request: Request, house: House, *, status: int = 200, error: str = "") -> Response:
    house.look()
    rows = [(each, notification_address(each)) for _, each in sorted(house.directory().alias_domains.items())]
    return page(request, "domains.html", status=status, error=error, rows=rows)


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.get("/new")
def new(request: Request) -> Response:
    usual = AliasDomain(name="")
    return _form(request, "", given_of((NAME, *FIELDS), {each.name: getattr(usual, each.name) for each in (NAME, *FIELDS)}))


@router.get("/of/{name:path}")
def edit(request: Request, house: TheHouse, name: str) -> Response:
    known = _known(house, name)
    return _form(request, name, given_of(FIELDS, asdict(known)) | seen(known))


@router.post("/save")
def save(request: Request, house: TheHouse, who: Admin, form: Entered, old: str = "") -> Response:
    house.look()
    fields = FIELDS if old else (NAME, *FIELDS)
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    name = old or str(given["name"]).lower()
    if not old and name in house.directory().alias_domains:
        wrong["name"] = f"There is an alias domain {name!r} already"
    if not old and ("@" in name or "." not in name or " " in name):
        wrong["name"] = "Write a domain, for example example.com"
    if old:
        known = _known(house, old)
        wrong |= changed_meanwhile(form, given, known, FIELDS, asdict(known))
    if wrong:
        return _form(request, old, given, wrong, status=422)
    table.pop("name", None)
    base = tables.write(_known(house, old)) if old else {}
    try:
        house.objects.put("alias_domain", name, {**base, **table}, by=who.by)
    except (ConfigError, ValidationError) as problem:
        return _form(request, old, given, mistakes(problem, fields), status=422)
    return RedirectResponse("/domains", 303)


@router.post("/remove")
def remove(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    _known(house, name)
    try:
        house.objects.remove("alias_domain", name, by=who.by)
    except ConfigError as problem:
        return _list(request, house, status=409, error=str(problem))
    return RedirectResponse("/domains", 303)
