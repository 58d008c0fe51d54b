"""Outgoing servers by preset: a mail service by its name, with what to enter and what it demands."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, Response

from mailroom import tables
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import OutgoingServer, Role
from mailroom_core.errors import ConfigError
from mailroom_core.providers.presets import BY_KEY, PRESETS, Preset, to_verify

Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
router = APIRouter(dependencies=[Depends(at_least(Role.ADMIN))])
Text = Annotated[str, Form()]


@router.get("/presets")
def choose(request: Request) -> Response:
    return page(request, "presets.html", presets=PRESETS)


@router.get("/presets/{key}")
def form(request: Request, house: TheHouse, key: str) -> Response:
    return _form(request, house, _preset(key))


def _form(request: Request, house: House, preset: Preset, *, status: int = 200, error: str = "", **given: str) -> HTMLResponse:
    """Blocking. What was entered stays, except the password."""
    values = {"name": "", "user": "", "region": "", "host": "", "port": str(preset.port), "security": preset.security, "from_filter": ""}
    known: dict[str, Any] = {"preset": preset, "given": values | given, "warnings": _warnings(house, preset)}
    return page(request, "preset.html", status=status, error=error, **known)


@router.post("/presets/{key}")
def add(
    request: Request,
    house: TheHouse,
    me: Admin,
    key: str,
    name: Text = "",
    user: Text = "",
    password: Text = "",
    region: Text = "",
    host: Text = "",
    port: Text = "",
    security: Text = "",
    from_filter: Text = "",
) -> Response:
    """Adds the server; its password goes into the vault."""
    preset = _preset(key)
    given = {"name": name, "user": user, "region": region, "host": host, "port": port, "security": security, "from_filter": from_filter}
    try:
        house.look()
        made = _server(house, preset, given, password)
        house.accounts.add_server(made, password, by=me.by)
    except (ConfigError, ValueError) as problem:
        return _form(request, house, preset, status=422, error=_mistake(problem), **{key: value for key, value in given.items() if value})
    house.look()
    return page(request, "preset_done.html", server=made, warnings=_warnings(house, preset))


def _server(house: House, preset: Preset, given: dict[str, str], password: str) -> OutgoingServer:
    """Raises ConfigError and ValueError (pydantic's as well)."""
    name = given["name"].strip()
    if name in house.directory().servers:
        raise ConfigError(f"there is an outgoing server {name!r} already; take another name")
    user = preset.fixed_user or (password if preset.password_is_user else given["user"].strip())
    if preset.key != "smtp" and not (user and password):
        raise ConfigError(f"{preset.name} wants both: {preset.user}; and {preset.password}")
    if bool(user) != bool(password):
        raise ConfigError("user and password belong together; leave both empty if the server knows you by your address")
    route = {
        "host": preset.host_in(given["region"]) if preset.host else given["host"].strip(),
        "port": int(given["port"] or preset.port) if preset.key == "smtp" else preset.port,
        "security": given["security"] or preset.security if preset.key == "smtp" else preset.security,
        "user": user,
        "connections": preset.connections,
    }
    table = {"from_filter": given["from_filter"].replace(",", " ").split(), "max_size": preset.max_size, "smarthost": route}
    made = tables.read("server", name, table)
    assert isinstance(made, OutgoingServer)
    return made


def _preset(key: str) -> Preset:
    found = BY_KEY.get(key)
    if found is None:
        raise HTTPException(404, f"There is no preset {key[:40]!r}")
    return found


def _warnings(house: House, preset: Preset) -> tuple[str, ...]:
    domains = house.directory().alias_domains.values()
    return to_verify(preset, [(local, each.name) for each in domains for local in (each.default_from, each.bounce, each.catchall)])


def _mistake(problem: Exception) -> str:
    """Without what was entered: it may be a password."""
    if isinstance(problem, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem.errors())[:500]
    return str(problem)
