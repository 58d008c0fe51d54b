"""Aliases: addresses of ours, and where their mail goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from mailroom import tables
from mailroom.console.forms import Entered, Field, Given, changed_meanwhile, given_by, given_of, mistakes, seen, table_of
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Alias, Directory, Role, Writers
from mailroom_core.errors import ConfigError
from mailroom_core.policy.addresses import domain_of

router = APIRouter(prefix="/aliases", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
NAME = Field("name", "Address", help="For example sales@example.com", required=True)
WRITERS = {
    Writers.EVERYONE: "Everyone",
    Writers.KNOWN: "Whom we have written to",
    Writers.FOLLOWERS: "Followers of the destination",
}

DEFAULTS = (
    'One in each line: team_id = 3, or priority = "2" for a text of digits. An Odoo gives them to the record that it makes, '
    "a program gets them beside the mail, an inbox knows assignee."
)


def _fields(directory: Directory) -> tuple[Field, ...]:
    destinations = tuple((name, name) for name in sorted(directory.destinations))
    return (
        Field("destination", "Destination", "choice", choices=destinations or (("", "No destination yet: add one first"),)),
        Field("writers", "Who may write to it", "choice", choices=tuple((each.value, words) for each, words in WRITERS.items())),
        Field("authenticated", "Only mail whose sender is proven (DMARC, DKIM or SPF)", "tick"),
        Field("automatic", "Takes automatic answers and mailing lists as well, which else open nothing", "tick"),
        Field("domains", "Also in these domains", "lines", "Other domains in which it is an address as well, one in each line."),
        Field("any_domain", "In every domain: what stands before the @ decides alone", "tick"),
        Field("refusal", "What others are told", help="Somebody who may not write to it is told this. Empty: our own words."),
        Field("defaults", "Values of what it opens", "values", DEFAULTS),
        Field("active", "In use", "tick"),
    )


def _known(house: House, name: str) -> Alias:
    house.look()
    found = house.directory().aliases.get(name)
    if found is None:
        raise HTTPException(404, f"There is no alias {name[:120]!r}; it may have been removed")
    return found


def _table(known: Alias, fields: tuple[Field, ...]) -> dict[str, Any]:
    return {each.name: tables.plain(getattr(known, each.name)) for each in fields}


def _list(request: Request, house: House, *, status: int = 200, error: str = "") -> Response:
    """Blocking."""
    house.look()
    directory = house.directory()
    rows = sorted(directory.aliases.values(), key=lambda each: (domain_of(each.name), each.name))
    fetched = any(each.active for each in directory.incoming.values())
    return page(
        request,
        "aliases.html",
        status=status,
        error=error,
        rows=rows,
        WRITERS=WRITERS,
        destinations=bool(directory.destinations),
        fetched=fetched,
    )


def _form(
    request: Request, house: House, name: str, given: Given, wrong: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    fields = _fields(house.directory()) if name else (NAME, *_fields(house.directory()))
    return page(request, "alias.html", status=status, name=name, fields=fields, given=given, wrong=wrong or {})


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.get("/new")
def new(request: Request, house: TheHouse) -> Response:
    house.look()
    usual = {"writers": Writers.EVERYONE.value, "active": True}
    return _form(request, house, "", given_of((NAME, *_fields(house.directory())), usual))


@router.get("/of/{name:path}")
def edit(request: Request, house: TheHouse, name: str) -> Response:
    known = _known(house, name)
    fields = _fields(house.directory())
    return _form(request, house, name, given_of(fields, _table(known, fields)) | seen(known))


@router.post("/save")
def save(request: Request, house: TheHouse, who: Admin, form: Entered, old: str = "") -> Response:
    """`old` is the address of the one that is changed."""
    house.look()
    fields = _fields(house.directory()) if old else (NAME, *_fields(house.directory()))
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    name = old or str(given["name"])
    if not old and name in house.directory().aliases:
        wrong["name"] = f"There is an alias {name!r} already"
    if old:
        known = _known(house, old)
        wrong |= changed_meanwhile(form, given, known, fields, _table(known, fields))
    if wrong:
        return _form(request, house, old, given, wrong, status=422)
    table.pop("name", None)
    base = tables.write(_known(house, old)) if old else {}
    try:
        house.objects.put("alias", name, {**base, **table}, by=who.by)
    except (ConfigError, ValidationError) as problem:
        return _form(request, house, old, given, mistakes(problem, fields), status=422)
    return RedirectResponse("/aliases", 303)


@router.post("/remove")
def remove(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    _known(house, name)
    try:
        house.objects.remove("alias", name, by=who.by)
    except ConfigError as problem:
        return _list(request, house, status=409, error=str(problem))
    return RedirectResponse("/aliases", 303)
