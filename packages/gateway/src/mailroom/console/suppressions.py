"""Addresses that get nothing more from us, and why."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/suppressions")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
MOST = 500
"""Rows of one page; a part of the address narrows them."""


def _list(request: Request, house: House, *, text: str = "", status: int = 200, **values: Any) -> Response:
    part = text.strip().casefold()
    every = house.store.suppressions()
    found = [each for each in every if part in each.address.casefold() or part in each.reason.casefold()]
    known = {"error": "", "address": "", "reason": "", **values}
    return page(request, "suppressions.html", status=status, text=text, found=found[:MOST], count=len(found), total=len(every), **known)


@router.get("")
def show(request: Request, house: TheHouse, text: str = "") -> Response:
    return _list(request, house, text=text)


@router.post("/add")
def add(request: Request, house: TheHouse, who: Operator, form: Entered) -> Response:
    address, reason = str(form.get("address", "")).strip(), str(form.get("reason", "")).strip()
    try:
        house.objects.suppress(address, reason[:300] or "added by hand", by=who.by)
    except ConfigError as problem:
        error = str(problem).removeprefix("address: ")
        return _list(request, house, status=422, error=error, address=address, reason=reason)
    return RedirectResponse("/suppressions", 303)


@router.post("/remove")
def remove(house: TheHouse, who: Operator, form: Entered) -> Response:
    house.objects.allow(str(form.get("name", "")), by=who.by)
    return RedirectResponse("/suppressions", 303)
