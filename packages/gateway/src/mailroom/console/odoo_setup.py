"""Setting up the Odoo of a destination: what will change there, and taking it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role
from mailroom_core.errors import ConfigError, VaultError

router = APIRouter(prefix="/odoo", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]


@router.get("/of/{name:path}")
async def show(request: Request, house: TheHouse, name: str, host: str = "", domain: str = "") -> Response:
    """Asks Odoo what it has."""
    return await _page(request, house, name, host=host.strip(), domain=domain)


@router.post("/setup")
async def set_up(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """Does what the page has shown."""
    name, host, domain = (str(form.get(each, ""))[:300].strip() for each in ("name", "host", "domain"))
    await run_in_threadpool(house.look)
    try:
        plan = await house.way_in.odoo.prepared(name, host=host, domain=domain)
    except (ConfigError, VaultError):
        return await _page(request, house, name, status=422, host=host, domain=domain)
    done, error = await _all(house.way_in.odoo.carried_out(plan, by=who.by))
    return await _page(request, house, name, status=422 if error else 200, host=host, domain=domain, done=done, error=error)


@router.post("/undo")
async def undo(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """Brings back what Odoo had before."""
    name = str(form.get("name", ""))
    await run_in_threadpool(house.look)
    done, error = await _all(house.way_in.odoo.taken_back(name, by=who.by))
    return await _page(request, house, name, status=422 if error else 200, done=done, error=error)


async def _all(steps: AsyncIterator[str]) -> tuple[list[str], str]:
    """What was said, and why it ended early."""
    said = []
    try:
        async for each in steps:
            said.append(each[:1].upper() + each[1:])
    except (ConfigError, VaultError) as problem:
        return said, str(problem)
    return said, ""


async def _page(request: Request, house: House, name: str, *, status: int = 200, error: str = "", **more: Any) -> Response:
    given = {"host": "", "domain": "", "done": [], **more}
    await run_in_threadpool(house.look)
    plan = None
    try:
        plan = await house.way_in.odoo.prepared(name, host=given["host"], domain=given["domain"])
    except (ConfigError, VaultError) as problem:
        error, status = error or str(problem), 422
    known: dict[str, Any] = {
        "name": name,
        "plan": plan,
        "error": error,
        "domains": sorted(house.directory().alias_domains),
        "was_set_up": await run_in_threadpool(house.way_in.odoo.was_set_up, name),
    }
    return await run_in_threadpool(lambda: page(request, "odoo_setup.html", status=status, **known, **given))
