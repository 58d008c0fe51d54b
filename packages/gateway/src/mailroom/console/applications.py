"""Applications: who may hand in mail, from where, as whom; and what to enter there."""

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
from mailroom.console.recipes import opening, recipes
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Application, Role
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/applications", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
NAME = Field("name", "Name", help="It is the user name for SMTP as well.", required=True)
KINDS = (("transactional", "Transactional: each mail is waited for"), ("bulk", "Bulk: it never delays other mail"))


def _fields(house: House, *, new: bool) -> tuple[Field, ...]:
    domains = tuple((name, name) for name in sorted(house.directory().alias_domains))
    return (
        *((NAME,) if new else ()),
        Field("senders", "May send as", "lines", "Addresses and domains, one in each line; * is anybody."),
        Field("networks", "Needs no password from", "lines", "Networks, one in each line, for example 192.168.1.20/32 for a printer."),
        Field(
            "certificates",
            "Needs no password with",
            "lines",
            "SHA-256 fingerprints of TLS client certificates, one in each line.",
            more=True,
        ),
        Field(
            "alias_domain",
            "Alias domain",
            "choice",
            "Its notification address serves senders that are not ours.",
            (("", "None"), *domains),
            more=True,
        ),
        Field("kind", "Kind of mail", "choice", choices=KINDS, more=True),
        Field("per_minute", "Mails a minute", "number", "0 is no limit.", more=True),
        Field("max_size", "Largest mail (MiB)", "mebibytes", more=True),
        Field("active", "May hand in mail", "tick", more=True),
    )


def _form(
    request: Request, house: House, name: str, given: Given, wrong: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    known = house.directory().applications.get(name)
    fields = _fields(house, new=not name)
    told = recipes(house.entrance, name, "PASSWORD", known.senders, known.networks) if known else ()
    shown: dict[str, Any] = {
        "application": known,
        "fields": fields,
        "given": given,
        "wrong": wrong or {},
        "entrance": house.entrance,
        "opening": opening(house.entrance),
        "recipes": told,
    }
    return page(request, "application.html", status=status, name=name, **shown)


def _known(house: House, name: str) -> Application:
    house.look()
    found = house.directory().applications.get(name)
    if found is None:
        raise HTTPException(404, f"There is no application {name[:120]!r}; it may have been removed")
    return found


def _whole(item: Application) -> dict[str, Any]:
    return {field: tables.plain(getattr(item, field)) for field in item.__dataclass_fields__ if field != "key"}


def _list(request: Request, house: House, *, status: int = 200, error: str = "") -> Response:
    house.look()
    return page(request, "applications.html", status=status, error=error, applications=sorted(house.directory().applications.items()))


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.get("/new")
def new(request: Request, house: TheHouse) -> Response:
    house.look()
    return _form(request, house, "", given_of(_fields(house, new=True), {**_whole(Application(name="")), "senders": ()}))


@router.get("/of/{name:path}")
def edit(request: Request, house: TheHouse, name: str) -> Response:
    known = _known(house, name)
    return _form(request, house, name, given_of(_fields(house, new=False), _whole(known)) | seen(known))


@router.post("/save")
def save(request: Request, house: TheHouse, who: Admin, form: Entered, old: str = "") -> Response:
    """A new one gets its password, which is shown this once."""
    house.look()
    fields = _fields(house, new=not old)
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    name = old or str(given["name"])
    if not old and name in house.directory().applications:
        wrong["name"] = f"There is an application {name!r} already; take another name"
    if not table.get("senders"):
        wrong["senders"] = "Name at least one; * is anybody"
    if old:
        known = _known(house, old)
        wrong |= changed_meanwhile(form, given, known, fields, _whole(known))
    if wrong:
        return _form(request, house, old, given, wrong, status=422)
    table.pop("name", None)
    base = tables.write(_known(house, old)) if old else {}
    try:
        made = house.objects.put("application", name, {**base, **table}, by=who.by)
    except (ConfigError, ValidationError) as problem:
        return _form(request, house, old, given, mistakes(problem, fields), status=422)
    if old:
        return RedirectResponse("/applications", 303)
    assert isinstance(made, Application)
    return _credential(request, house, made, who)


@router.post("/credential")
def credential(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    return _credential(request, house, _known(house, str(form.get("name", ""))), who)


def _credential(request: Request, house: House, application: Application, who: Visitor) -> Response:
    password = house.objects.new_credential(application, by=who.by)
    made = recipes(house.entrance, application.name, password, application.senders, application.networks)
    return page(
        request,
        "credential.html",
        name=application.name,
        password=password,
        entrance=house.entrance,
        opening=opening(house.entrance),
        recipes=made,
    )


@router.post("/remove")
def remove(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    _known(house, name)
    try:
        house.objects.remove("application", name, by=who.by)
    except ConfigError as problem:
        return _list(request, house, status=409, error=str(problem))
    return RedirectResponse("/applications", 303)
