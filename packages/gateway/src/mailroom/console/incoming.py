"""Incoming servers: the mailboxes that mail is fetched from, how each is doing, and a look at one now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from mailroom.console.forms import Entered, Field, Given, changed_meanwhile, given_by, given_of, mistakes, seen, table_of
from mailroom.console.house import House, TheHouse
from mailroom.console.incoming_fields import KINDS, NAME, common_fields, shown, source_fields, usual
from mailroom.console.pages import fragment, page
from mailroom.console.steps import GROWS, growing
from mailroom.console.visitor import Visitor, at_least
from mailroom.mailboxes import address_of, folder_of
from mailroom.objects import Directory, GraphInbox, IncomingServer, Role, chosen
from mailroom_core.errors import ConfigError
from mailroom_core.providers.reading import SERVICES

router = APIRouter(prefix="/incoming")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One incoming server, and how it is doing."""

    server: IncomingServer
    kind: str
    """In words."""
    address: str
    folder: str
    """Empty where a mailbox has none."""
    looked_at: datetime | None
    due_at: datetime | None
    told: bool
    """Whether the provider tells of new mail."""
    trouble: str
    failing_since: datetime | None
    held: bool
    """Nothing is tried until a person has acted."""


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
                kind=_kind_of(server),
                address=address_of(directory, server),
                folder=folder_of(server),
                looked_at=seen.looked_at if seen else None,
                due_at=seen.due_at if seen else None,
                told=until is not None and until > now,
                failing_since=seen.failing_since if seen else None,
                held=seen is not None and seen.lane in held,
                trouble=(held.get(seen.lane, "") or seen.trouble) if seen and server.active else "",
            )
        )
    return found


def _kind_of(server: IncomingServer) -> str:
    """What kind of mailbox it is, and where."""
    words = KINDS[chosen("incoming", server)[1]]
    return words if isinstance(server.source, GraphInbox) else f"{words}, {server.source.host}"


def _list(request: Request, house: House, *, status: int = 200, error: str = "") -> Response:
    house.look()
    known: dict[str, Any] = {"rows": lines(house), "kinds": KINDS, "mx": house.way_in.mx, "now": house.clock()}
    return page(request, "incoming_servers.html", status=status, error=error, **known)


def _form(
    request: Request, house: House, kind: str, name: str, given: Given, wrong: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    """An empty name: a new one."""
    known: dict[str, Any] = {"kind": kind, "kinds": KINDS, "services": SERVICES if kind != "graph" and not name else ()}
    known |= {"name": name, "fields": _fields(kind, name, house.directory()), "given": {**given, "password": ""}}
    return page(request, "incoming_server.html", status=status, wrong=wrong or {}, **known)


def _fields(kind: str, name: str, directory: Directory) -> tuple[Field, ...]:
    return (*(() if name else (NAME,)), *source_fields(kind, directory, directory.incoming.get(name)), *common_fields(kind, directory))


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise HTTPException(404, f"There is no mailbox of the kind {kind[:40]!r}; there are {', '.join(KINDS)}")
    return kind


def _known(house: House, name: str) -> IncomingServer:
    house.look()
    found = house.directory().incoming.get(name)
    if found is None:
        raise HTTPException(404, f"There is no incoming server {name[:120]!r}; it may have been removed")
    return found


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.get("/new")
def new(request: Request, house: TheHouse, who: Admin, kind: str = "graph", preset: str = "") -> Response:
    house.look()
    fields = _fields(_kind(kind), "", house.directory())
    return _form(request, house, kind, "", given_of(fields, shown(fields, usual(kind, preset))))


@router.get("/of/{name:path}")
def edit(request: Request, house: TheHouse, who: Admin, name: str) -> Response:
    known = _known(house, name)
    kind = chosen("incoming", known)[1]
    fields = _fields(kind, name, house.directory())
    return _form(request, house, kind, name, given_of(fields, shown(fields, known)) | seen(known))


@router.post("/save")
def save(request: Request, house: TheHouse, who: Admin, form: Entered, kind: str = "graph", old: str = "") -> Response:
    """`old` is the name of the one that is changed."""
    if old:
        kind = chosen("incoming", _known(house, old))[1]
    house.look()
    directory = house.directory()
    source, fields = source_fields(_kind(kind), directory, directory.incoming.get(old)), _fields(kind, old, directory)
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    name = old or str(given["name"])
    if not old and name in directory.incoming:
        wrong["name"] = f"There is an incoming server {name!r} already"
    if given.get("password") and given.get("account"):
        wrong["account"] = "An account signs in with its token: leave the password empty, or choose no account"
    if old:
        known = _known(house, old)
        wrong |= changed_meanwhile(form, given, known, fields, shown(fields, known))
    if wrong:
        return _form(request, house, kind, old, given, wrong, status=422)
    table.pop("name", None)
    password = table.pop("password", "")
    table[kind] = {each.name: table.pop(each.name) for each in source if each.name in table}
    try:
        made = house.objects.put("incoming", name, table, by=who.by)
        if password:
            assert isinstance(made, IncomingServer)
            house.objects.set_incoming_password(made, password, by=who.by)
    except (ConfigError, ValidationError) as problem:
        return _form(request, house, kind, old, given, mistakes(problem, fields), status=422)
    house.notify()
    return RedirectResponse("/incoming", 303)


@router.post("/test")
async def try_out(request: Request, house: TheHouse, who: Operator, form: Entered) -> Response:
    """Looks into the mailbox and takes nothing; the page grows with every step."""
    name = str(form.get("name", ""))
    try:
        await run_in_threadpool(house.look)
        steps = house.way_in.trial(name)
    except ConfigError as problem:
        raise HTTPException(404, str(problem)) from None
    whole = await run_in_threadpool(lambda: fragment(request, "incoming_test.html", server=name, steps=GROWS))
    return StreamingResponse(growing(whole, steps), media_type="text/html")


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
