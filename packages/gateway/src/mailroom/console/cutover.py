"""The cut-over: from the report of the Exchange admin center to the first mail of each device."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.recipes import opening, recipes
from mailroom.console.visitor import Visitor, at_least
from mailroom.cutover.desk import Step
from mailroom.cutover.report import NoReport, read, written
from mailroom.objects import Application, Role
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/cutover", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]


def _start(request: Request, house: House, *, status: int = 200, error: str = "", wrong: str = "", told: str = "") -> Response:
    return page(request, "cutover.html", status=status, progress=house.cutover.progress(), error=error, wrong=wrong, told=told)


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _start(request, house)


@router.post("/preview")
async def preview(request: Request, house: TheHouse, form: Entered) -> Response:
    """What a report proposes. Nothing is changed."""
    value = form.get("file")
    raw = await value.read() if isinstance(value, UploadFile) else b""
    return await run_in_threadpool(_preview, request, house, raw)


def _preview(request: Request, house: House, raw: bytes) -> Response:
    try:
        report = read(raw)
    except NoReport as problem:
        return _start(request, house, status=422, wrong=str(problem))
    proposals = house.cutover.preview(report)
    known: dict[str, Any] = {"report": report, "proposals": proposals, "Step": Step, "sent_back": written(report.clients)}
    return page(request, "cutover_preview.html", **known)


@router.post("/add")
def add(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """The addresses that were chosen in the preview."""
    chosen = {str(each) for each in form.getlist("address")}
    try:
        house.cutover.take(read(str(form.get("report", "")).encode()), chosen, by=who.by)
    except ConfigError as problem:
        return _start(request, house, status=422, wrong=str(problem))
    return RedirectResponse("/cutover", 303)


@router.get("/of/{address:path}")
def one(request: Request, house: TheHouse, address: str) -> Response:
    """One address, with what to enter in its device."""
    return _one(request, house, address)


def _one(request: Request, house: House, address: str, *, status: int = 200, error: str = "", password: str = "") -> Response:
    try:
        mover, application = house.cutover.mover(address)
    except ConfigError:
        raise HTTPException(404, f"{address[:254]!r} is not on the list; it may have been taken off") from None
    shown: dict[str, Any] = {
        "mover": mover,
        "application": application,
        "password": password,
        "error": error,
        "old_tls": any(old in mover.tls for old in ("1.0", "1.1")),
        "entrance": house.entrance,
        "opening": opening(house.entrance),
        "recipes": _recipes(house, application, password) if application else (),
    }
    return page(request, "cutover_one.html", status=status, **shown)


def _recipes(house: House, application: Application, password: str) -> Any:
    return recipes(house.entrance, application.name, password or "PASSWORD", application.senders, application.networks)


@router.post("/password")
def password(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """A new one, shown this once with the settings."""
    address = str(form.get("name", ""))
    try:
        _, made = house.cutover.new_password(address, by=who.by)
    except ConfigError as problem:
        return _one(request, house, address, status=409, error=str(problem))
    return _one(request, house, address, password=made)


@router.post("/undo")
def undo(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """One address, or with an empty name all that never sent."""
    name = str(form.get("name", ""))
    undone = house.cutover.undo([name] if name else None, by=who.by)
    kept = "; ".join(f"{address} stays: {why}" for address, why in undone.kept.items() if name)
    if kept:
        return _start(request, house, status=409, error=kept)
    count = len(undone.removed)
    words = "1 address is" if count == 1 else f"{count} addresses are"
    return _start(request, house, told=f"{words} off the list, with what was made for them.")
