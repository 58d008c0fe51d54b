"""Outgoing servers: the ways out, who takes which, and who would send a given mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from mailroom import tables
from mailroom.console.forms import Entered, Field, Given, changed_meanwhile, given_by, given_of, mistakes, seen, table_of
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Directory, OutgoingServer, Role, SinkRoute, SmarthostRoute, chosen
from mailroom.way_out import explained
from mailroom_core.errors import ConfigError, Refused

router = APIRouter(prefix="/servers")
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
WAYS = {"smarthost": "An SMTP server", "graph": "Microsoft 365, by Graph", "sink": "Nothing leaves, for trying out"}
NAME = Field("name", "Name", required=True)
COMMON = (
    Field("from_filter", "FROM filter", "lines", "Addresses and domains whose mail goes this way, one in each line. Empty: every sender."),
    Field("priority", "Priority", "number", "The lowest number is asked first.", more=True),
    Field("per_minute", "Mails a minute", "number", "0 is no limit of ours.", more=True),
    Field("recipients_per_day", "Recipients a day", "number", "0 means the provider's own: 10,000 for a Microsoft 365 mailbox.", more=True),
    Field("max_size", "Largest mail (MiB)", "mebibytes", "0 means what the way can carry.", more=True),
    Field("transactional", "May carry transactional mail", "tick", more=True),
    Field("bulk", "May carry bulk mail", "tick", more=True),
    Field("active", "In use", "tick", more=True),
)
ON_UNSURE = (("hold", "Keep it back for a person"), ("retry", "Send it again, at the risk of twice"))
VERP = (("auto", "Where the mailbox of the bounce address is read here"), ("always", "Always"), ("never", "Never"))
SECURITY = (("starttls", "STARTTLS (port 587)"), ("tls", "TLS from the start (port 465)"), ("none", "None"))


def _route_fields(way: str, directory: Directory, name: str = "") -> tuple[Field, ...]:
    """`name` is that of the server that is changed."""
    accounts = tuple((name, name) for name in sorted(directory.accounts))
    if way == "graph":
        return (
            Field("account", "Account", "choice", choices=accounts or (("", "No account yet: connect one first"),)),
            Field(
                "mailbox", "Mailbox", help="Whose Sent Items: an address, or the word sender for each sender's own. Empty: the account's."
            ),
            Field("on_unsure", "When nobody knows whether a mail left", "choice", choices=ON_UNSURE, more=True),
            Field(
                "reports",
                "Look in the mailbox that sends for reports about this mail",
                "tick",
                "Where the account may read it. Nothing else there is stored or touched.",
                more=True,
            ),
        )
    if way == "sink":
        old = directory.servers.get(name)
        if not (old and isinstance(old.route, SinkRoute) and old.route.directory):
            return ()  # a folder of the machine is chosen on it
        return (
            Field(
                "directory", "Folder", help="Each mail is written there as a file, as chosen with `mailroom apply`. Empty: nothing is kept."
            ),
        )
    return (
        Field("host", "Host", required=True),
        Field("port", "Port", "number"),
        Field("security", "Encryption", "choice", choices=SECURITY),
        Field("user", "User", help="Empty: without signing in, or with the account below."),
        Field("password", "Password", "password", "Empty: it stays as it is. It is kept sealed, and never shown."),
        Field(
            "account", "Account", "choice", "Signs in with its token (XOAUTH2) instead of a password.", choices=(("", "None"), *accounts)
        ),
        Field("connections", "Connections at a time", "number", more=True),
        Field(
            "verp",
            "An envelope sender for each mail and recipient (VERP)",
            "choice",
            "By it a bounce says which mail and recipient it is about, whatever else it says.",
            VERP,
            more=True,
        ),
    )


def _whole(item: Any) -> dict[str, Any]:
    return {name: tables.plain(getattr(item, name)) for name in item.__dataclass_fields__}


def _list(request: Request, house: House, *, status: int = 200, error: str = "", **asked: Any) -> Response:
    """Blocking."""
    house.look()
    directory = house.directory()
    servers = sorted(directory.servers.values(), key=lambda each: (each.priority, each.name))
    rows = [{"server": each, "way": WAYS[chosen("server", each)[1]], "where": _where(each)} for each in servers]
    known = {"address": "", "application": "", "bulk": False, "found": None, "refused": "", **asked}
    return page(
        request, "servers.html", status=status, rows=rows, ways=WAYS, error=error, applications=sorted(directory.applications), **known
    )


def _where(server: OutgoingServer) -> str:
    route = server.route
    return f"{route.host}:{route.port}" if isinstance(route, SmarthostRoute) else getattr(route, "account", "") or ""


@router.get("")
def show(request: Request, house: TheHouse, address: str = "", application: str = "", bulk: bool = False) -> Response:
    """With an address: who would send its mail."""
    asked: dict[str, Any] = {"address": address, "application": application, "bulk": bulk}
    if address:
        house.look()
        try:
            asked["found"] = explained(house.directory(), address.strip(), application=application, bulk=bulk)
        except ConfigError as problem:
            asked["refused"] = str(problem)
        except Refused as problem:
            asked["refused"] = problem.text
    return _list(request, house, **asked)


def _form(
    request: Request, house: House, way: str, name: str, given: Given, wrong: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    """An empty name: a new one."""
    route = _route_fields(way, house.directory(), name)
    fields = (*route, *COMMON) if name else (NAME, *route, *COMMON)
    return page(request, "server.html", status=status, way=way, ways=WAYS, name=name, fields=fields, given=given, wrong=wrong or {})


def _known(house: House, name: str) -> OutgoingServer:
    house.look()
    found = house.directory().servers.get(name)
    if found is None:
        raise HTTPException(404, f"There is no outgoing server {name[:120]!r}; it may have been removed")
    return found


def _table(server: OutgoingServer) -> dict[str, Any]:
    """With its way's fields beside its own."""
    return {**_whole(server), **_whole(server.route)}


def _way(way: str) -> str:
    if way not in WAYS:
        raise HTTPException(404, f"There is no way out that is called {way[:40]!r}; there are {', '.join(WAYS)}")
    return way


@router.get("/new")
def new(request: Request, house: TheHouse, who: Admin, way: str = "smarthost") -> Response:
    house.look()
    fields = (NAME, *_route_fields(_way(way), house.directory()), *COMMON)
    usual: dict[str, Any] = {"priority": 10, "transactional": True, "bulk": True, "active": True, "reports": True}
    usual |= {"port": 587, "security": "starttls", "connections": 8, "verp": "auto"}
    return _form(request, house, way, "", given_of(fields, usual))


@router.get("/of/{name:path}")
def edit(request: Request, house: TheHouse, who: Admin, name: str) -> Response:
    server = _known(house, name)
    way = chosen("server", server)[1]
    fields = (*_route_fields(way, house.directory(), name), *COMMON)
    return _form(request, house, way, name, given_of(fields, _table(server)) | seen(server))


@router.post("/save/{way}")
def save(request: Request, house: TheHouse, who: Admin, form: Entered, way: str, old: str = "") -> Response:
    """`old` is the name of the one that is changed."""
    house.look()
    route = _route_fields(_way(way), house.directory(), old)
    fields = (*route, *COMMON) if old else (NAME, *route, *COMMON)
    given = given_by(fields, form)
    table, wrong = table_of(fields, given)
    name = old or str(given["name"])
    if not old and name in house.directory().servers:
        wrong["name"] = f"There is an outgoing server {name!r} already; take another name"
    if given.get("password") and not given.get("user"):
        wrong["user"] = "A password needs its user"
    if old:
        known = _known(house, old)
        wrong |= changed_meanwhile(form, given, known, fields, _table(known))
    if wrong:
        return _form(request, house, way, old, {**given, "password": ""}, wrong, status=422)
    table.pop("name", None)
    password = table.pop("password", "")
    base = tables.write(_known(house, old)) if old else {}
    inner = {each.name: table.pop(each.name) for each in route if each.name in table}
    try:
        made = house.objects.put("server", name, {**base, **table, way: {**base.get(way, {}), **inner}}, by=who.by)
        if password:
            assert isinstance(made, OutgoingServer)
            house.objects.set_password(made, password, by=who.by)
    except (ConfigError, ValidationError) as problem:
        return _form(request, house, way, old, {**given, "password": ""}, mistakes(problem, fields), status=422)
    house.notify()
    return RedirectResponse("/servers", 303)


@router.post("/remove")
def remove(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    _known(house, name)
    try:
        house.objects.remove("server", name, by=who.by)
    except ConfigError as problem:
        return _list(request, house, status=409, error=str(problem))
    return RedirectResponse("/servers", 303)


def address_of(name: str) -> str:
    """Its page."""
    return f"/servers/of/{quote(name)}"
