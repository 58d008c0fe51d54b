"""The doctor for an Odoo: what it found there, what would mend it, and taking that back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mailroom.console.doctor import TONES
from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.doctor.odoo.report import odoo_body
from mailroom.objects import Role
from mailroom_core.errors import ConfigError, VaultError

router = APIRouter(prefix="/doctor/odoo", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]


@router.get("/{name:path}")
async def show(request: Request, house: TheHouse, name: str) -> Response:
    """Asks Odoo."""
    return await _page(request, house, name)


@router.post("/mend")
async def mend(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """Does what the page has shown for one finding."""
    name, code = str(form.get("name", "")), str(form.get("code", ""))
    await run_in_threadpool(house.look)
    done, error = await _all(house.doctor.odoo.mended(name, [code], by=who.by))
    return await _page(request, house, name, done=done, error=error)


@router.post("/undo")
async def undo(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    name = str(form.get("name", ""))
    await run_in_threadpool(house.look)
    done, error = await _all(house.doctor.odoo.taken_back(name, by=who.by))
    return await _page(request, house, name, done=done, error=error)


async def _all(steps: AsyncIterator[str]) -> tuple[list[str], str]:
    """What was said, and why it ended early."""
    said = []
    try:
        async for each in steps:
            said.append(each[:1].upper() + each[1:])
    except (ConfigError, VaultError) as problem:
        return said, str(problem)
    return said, ""


async def _page(request: Request, house: House, name: str, *, done: list[str] | None = None, error: str = "") -> Response:
    await run_in_threadpool(house.look)
    report, wrong = None, error
    try:
        report = odoo_body(await house.doctor.odoo.look(name))
    except (ConfigError, VaultError) as problem:
        wrong = wrong or str(problem)
    was_mended = await run_in_threadpool(house.doctor.odoo.was_mended, name)
    values: dict[str, Any] = {"name": name, "report": report, "error": wrong, "done": done or [], "was_mended": was_mended, "tones": TONES}
    return await run_in_threadpool(lambda: page(request, "doctor_odoo.html", status=422 if wrong else 200, **values))
