"""Incoming servers: the mailboxes that mail is fetched from, how each is doing, and a look at one now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from mailroom.console.forms import Entered, Field, Given, given_by, given_of, mistakes, table_of
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.mailboxes import address_of
from mailroom.objects import Directory, GraphInbox, IncomingServer, Role
from mailroom_core.errors import ConfigError
from mailroom_core.model import After

router = APIRouter(prefix="/incoming")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
NAME = Field("name", "Name", required=True)
AFTER = {
    After.READ: "Mark it as read",
    After.MOVE: "Move it to the folder below",
    After.DELETE: "Delete it",
    After.NOTHING: "Leave it as it is, for an account that may only read",
}
SOURCE = ("account", "mailbox", "folder")
"""The fields that say which mailbox it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One incoming server, and how it is doing."""

    server: IncomingServer
    address: str
    looked_at: datetime | None
    due_at: datetime | None
    told: bool
    """Whether the provider tells of new mail."""
    trouble: str
    failing_since: datetime | None
    held: bool
    """Nothing is tried until a person has acted."""


def _fields(directory: Directory) -> tuple[Field, ...]:
    accounts = tuple((name, name) for name in sorted(directory.accounts))
    destinations = tuple((name, name) for name in sorted(directory.destinations))
    return (
        Field("account", "Account", "choice", choices=accounts or (("", "No account yet: connect one first"),)),
        Field("mailbox", "Mailbox", help="The address of another mailbox that the account may read. Empty: the account's own."),
        Field("folder", "Folder", help="A well-known name such as inbox, or a path such as Inbox/Invoices.", required=True),
        Field("after", "When a mail is safe here", "choice", choices=tuple((each.value, words) for each, words in AFTER.items())),
        Field("move_to", "Folder to move it to", help="Only where mail is moved."),
        Field(
            "destination",
            "Destination",
            "choice",
            "Takes what no alias wants.",
            choices=(("", "None: it waits in quarantine"), *destinations),
        ),
        Field("every_minutes", "Minutes between two looks", "number"),
        Field(
            "authserv_id",
            "Name in Authentication-Results",
            help="Under which this mailbox's own server says who is proven. Empty: nobody counts as proven.",
        ),
        Field("active", "In use", "tick"),
    )


def lines(house: House) -> list[Line]:
    """By name. Blocking."""
    directory, now = house.directory(), house.clock()
    watched = {each.name: each for each in house.store.watch.all()}
    held = {lane.name: lane.held for lane in house.store.lanes() if lane.held}
    found = []
    for name, server in sorted(directory.incoming.items()):
        seen = watched.get(name)
        until = seen.subscribed_until if seen else None
        found.append(
            Line(
                server=server,
                address=address_of(directory, server),
                looked_at=seen.looked_at if seen else None,
                due_at=seen.due_at if seen else None,
                told=until is not None and until > now,
                failing_since=seen.failing_since if seen else None,
                held=seen is not None and seen.lane in held,
                trouble=(held.get(seen.lane, "") or seen.trouble) if seen and server.active else "",
            )
        )
    return found


def _list(request: Request, house: House, *, status: int = 200, error: str = "") -> Response:
    house.look()
    return page(request, "incoming_servers.html", status=status, rows=lines(house), error=error, now=house.clock())


def _form(
    request: Request, house: House, name: str, given: Given, wrong: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    fields = _fields(house.directory()) if name else (NAME, *_fields(house.directory()))
    return page(request, "incoming_server.html", status=status, name=name, fields=fields, given=given, wrong=wrong or {})


def _known(house: House, name: str) -> IncomingServer:
    house.look()
    found = house.directory().incoming.get(name)
    if found is None:
        raise HTTPException(404, f"There is no incoming server {name[:120]!r}; it may have been removed")
    return found


def _shown(fields: tuple[Field, ...], server: IncomingServer) -> Given:
    table = {each.name: getattr(server.source if each.name in SOURCE else server, each.name) for each in fields}
    return given_of(fields, {**table, "after": server.after.value})


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.get("/new")
def new(request: Request, house: TheHouse, who: Admin) -> Response:
    house.look()
    usual = IncomingServer(name="", source=GraphInbox(account=""))
    return _form(request, house, "", _shown((NAME, *_fields(house.directory())), usual))


@router.get("/of/{name:path}")
def edit(request: Request, house: TheHouse, who: Admin, name: str) -> Response:
    known = _known(house, name)
    return _form(request, house, name, _shown(_fields(house.directory()), known))


@router.post("/save")
def save(request: Request, house: TheHouse, who: Admin, form: Entered, old: str = "") -> Response:
    if old:
        _known(house, old)
    house.look()
    directory = house.directory()
    fields = _fields(directory) if old else (NAME, *_fields(directory))
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    name = old or str(given["name"])
    if not old and name in directory.incoming:
        wrong["name"] = f"There is an incoming server {name!r} already"
    if wrong:
        return _form(request, house, old, given, wrong, status=422)
    table.pop("name", None)
    table["graph"] = {each: table.pop(each) for each in SOURCE}
    try:
        house.objects.put("incoming", name, table, by=who.by)
    except (ConfigError, ValidationError) as problem:
        return _form(request, house, old, given, mistakes(problem, fields), status=422)
    house.notify()
    return RedirectResponse("/incoming", 303)


@router.post("/look")
def look(house: TheHouse, who: Operator, form: Entered) -> Response:
    """As soon as its mailbox may be asked."""
    known = _known(house, str(form.get("name", "")))
    if not known.active:
        raise HTTPException(409, f"{known.name!r} is not in use; an administrator can tick that it is")
    house.store.watch.now([known.name])
    house.notify()
    return RedirectResponse("/incoming", 303)


@router.post("/remove")
def remove(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    _known(house, name)
    try:
        house.objects.remove("incoming", name, by=who.by)
    except ConfigError as problem:
        return _list(request, house, status=409, error=str(problem))
    house.notify()
    return RedirectResponse("/incoming", 303)
