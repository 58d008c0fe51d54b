"""Destinations: who takes mail that has come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from mailroom import tables
from mailroom.console.forms import Entered, Field, Given, changed_meanwhile, given_by, given_of, mistakes, seen, table_of
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.steps import GROWS, growing
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Destination, DoctorTarget, ForwardTarget, InboxTarget, OdooApi, Role, WebhookTarget, chosen
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/destinations", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
KINDS = {
    "inbox": ("The built-in inbox", "Conversations in this console: read, answer, assign, close."),
    "odoo": ("An Odoo", "Odoo's own aliases decide which record a mail belongs to. 19 and later by JSON-2, 14 and later by XML-RPC."),
    "webhook": ("A program of yours", "Each mail is a signed call with its text, its files and the raw mail."),
    "forward": ("Other addresses, by mail", "Passed on as it is, so that bounces still come back here."),
    "doctor": ("The doctor", "Reads the DMARC reports that others send about your domains; what is none, it takes apart."),
}
"""What each kind is called, and what it does."""
NAME = Field("name", "Name", required=True)
ACTIVE = Field("active", "In use", "tick")
APIS = (
    (OdooApi.JSON2.value, "JSON-2 (Odoo 19 and later)"),
    (OdooApi.XML_RPC.value, "XML-RPC (Odoo 14 and later)"),
    (OdooApi.ADD_ON.value, "The add-on Microsoft Graph Mail (Odoo 19)"),
)
NO_KEYS = {"key": "", "add_on_key": ""}
"""What was entered in a form with a mistake is shown again; these are not."""
FIELDS: dict[str, tuple[Field, ...]] = {
    "inbox": (Field("followers", "Followers", "lines", "Addresses that get a copy of every mail of it, one in each line."),),
    "odoo": (
        Field("url", "Address", help="As a browser shows it, without a path: https://odoo.example.com", required=True),
        Field("database", "Database", required=True),
        Field("user", "User", help="The login of an administrator of that Odoo.", required=True),
        Field(
            "key",
            "API key",
            "password",
            "By XML-RPC also the user's password. Empty: it stays as it is. It is kept sealed, and never shown.",
        ),
        Field("api", "Interface", "choice", choices=APIS),
        Field(
            "add_on_key",
            "Key of the add-on",
            "password",
            "If mail goes to the add-on: Odoo makes it in General Settings, Microsoft Graph. Empty: it stays as it is.",
        ),
        Field("model", "Model", help="Takes what no alias of Odoo wants, such as crm.lead. Empty: that waits in quarantine."),
    ),
    "webhook": (Field("url", "Address", help="https://..., where each mail is sent as a POST.", required=True),),
    "forward": (Field("to", "Addresses", "lines", "Who gets the mail, one in each line.", required=True),),
    "doctor": (),
}


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise HTTPException(404, f"There is no destination of the kind {kind[:40]!r}; there are {', '.join(KINDS)}")
    return kind


def _known(house: House, name: str) -> Destination:
    house.look()
    found = house.directory().destinations.get(name)
    if found is None:
        raise HTTPException(404, f"There is no destination {name[:120]!r}; it may have been removed")
    return found


def _table(item: Destination, kind: str) -> dict[str, Any]:
    return {each.name: tables.plain(getattr(item.target, each.name, "")) for each in FIELDS[kind]} | {"active": item.active}


def _where(item: Destination) -> str:
    match item.target:
        case InboxTarget(followers=followers):
            return f"followed by {', '.join(followers)}" if followers else ""
        case ForwardTarget(to=to):
            return ", ".join(to)
        case DoctorTarget():
            return ""
        case target:
            return target.url


def _list(request: Request, house: House, *, status: int = 200, error: str = "") -> Response:
    """Blocking."""
    house.look()
    directory = house.directory()
    held = {lane.name: lane.held for lane in house.store.lanes() if lane.held}
    waiting = {lane.name: lane.waiting for lane in house.store.lanes()}
    rows: list[dict[str, Any]] = [
        {
            "item": each,
            "kind": KINDS[chosen("destination", each)[1]][0],
            "where": _where(each),
            "aliases": [alias.name for alias in directory.aliases.values() if alias.destination == name],
            "held": held.get(f"destination:{name}", ""),  # type: ignore[call-overload]  # a lane's name is a text
            "testable": not isinstance(each.target, InboxTarget | DoctorTarget),
            "waiting": waiting.get(f"destination:{name}", 0),  # type: ignore[call-overload]
        }
        for name, each in sorted(directory.destinations.items())
    ]
    return page(request, "destinations.html", status=status, error=error, rows=rows, kinds=KINDS)


def _form(request: Request, kind: str, name: str, given: Given, wrong: Mapping[str, str] | None = None, *, status: int = 200) -> Response:
    """An empty name: a new one."""
    fields = (*FIELDS[kind], ACTIVE) if name else (NAME, *FIELDS[kind], ACTIVE)
    return page(
        request, "destination.html", status=status, kind=kind, kinds=KINDS, name=name, fields=fields, given=given, wrong=wrong or {}
    )


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.get("/new")
def new(request: Request, kind: str = "inbox") -> Response:
    return _form(request, _kind(kind), "", given_of((NAME, *FIELDS[kind], ACTIVE), {"active": True}))


@router.get("/of/{name:path}")
def edit(request: Request, house: TheHouse, name: str) -> Response:
    known = _known(house, name)
    kind = chosen("destination", known)[1]
    return _form(request, kind, name, given_of((*FIELDS[kind], ACTIVE), _table(known, kind)) | seen(known))


@router.post("/save/{kind}")
def save(request: Request, house: TheHouse, who: Admin, form: Entered, kind: str, old: str = "") -> Response:
    """`old` is the name of the one that is changed. A new webhook's secret is shown, once."""
    fields = (*FIELDS[_kind(kind)], ACTIVE) if old else (NAME, *FIELDS[kind], ACTIVE)
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    name = old or str(given["name"])
    before = _known(house, old) if old else None
    house.look()
    if not old and name in house.directory().destinations:
        wrong["name"] = f"There is a destination {name!r} already; take another name"
    if before is not None and chosen("destination", before)[1] != kind:
        wrong[""] = "It is of another kind by now. Load its page again"
    elif before is not None:
        wrong |= changed_meanwhile(form, given, before, (*FIELDS[kind], ACTIVE), _table(before, kind))
    if wrong:
        return _form(request, kind, old, {**given, **NO_KEYS}, wrong, status=422)
    key, add_on_key = table.pop("key", ""), table.pop("add_on_key", "")
    try:
        inner = {each.name: table[each.name] for each in FIELDS[kind] if each.name in table}
        made = house.objects.put("destination", name, {"active": table["active"], kind: inner}, by=who.by)
        assert isinstance(made, Destination)
        if key:
            house.objects.set_key(made, key, by=who.by)
        if add_on_key:
            house.objects.set_key(made, add_on_key, add_on=True, by=who.by)
    except (ConfigError, ValidationError) as problem:
        return _form(request, kind, old, {**given, **NO_KEYS}, mistakes(problem, fields), status=422)
    house.notify()
    if isinstance(made.target, WebhookTarget) and not old:
        return _secret(request, house, made, who)
    return RedirectResponse("/destinations", 303)


@router.post("/secret")
def secret(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """A new one for a program of yours; the one of before is good for another day."""
    known = _known(house, str(form.get("name", "")))
    if not isinstance(known.target, WebhookTarget):
        raise HTTPException(409, f"{known.name!r} has no secret; only a program of yours has one")
    return _secret(request, house, known, who)


def _secret(request: Request, house: House, item: Destination, who: Visitor) -> Response:
    made = house.webhooks.rotate_of(item, by=who.by)
    return page(request, "destination_secret.html", item=item, secret=made)


@router.post("/test")
async def try_out(request: Request, house: TheHouse, form: Entered) -> Response:
    """Hands nothing over; the page grows with every step."""
    name = str(form.get("name", ""))
    try:
        steps = house.way_in.destination_trial(name)
    except ConfigError as problem:
        text = str(problem)
        return await run_in_threadpool(lambda: _list(request, house, status=422, error=text))
    whole = await run_in_threadpool(lambda: fragment(request, "destination_test.html", name=name, steps=GROWS))
    return StreamingResponse(growing(whole, steps), media_type="text/html")


@router.post("/remove")
def remove(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    _known(house, name)
    try:
        house.objects.remove("destination", name, by=who.by)
    except ConfigError as problem:
        return _list(request, house, status=409, error=str(problem))
    return RedirectResponse("/destinations", 303)
