"""This installation on the page Doctor: is all well with it, what ends when, and as whom may we send?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from markupsafe import Markup
from starlette.responses import Response, StreamingResponse

from mailroom.console.doctor import TONES, start
from mailroom.console.forms import Entered
from mailroom.console.house import TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.steps import GROWS
from mailroom.console.visitor import Visitor, at_least
from mailroom.doctor.health.desk import Busy, HealthDesk
from mailroom.doctor.health.looking import Examined, Health
from mailroom.doctor.health.send_as import May
from mailroom.doctor.health.shapes import health_body
from mailroom.objects import Role
from mailroom.vault.expiry import SOON
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/doctor", dependencies=[Depends(at_least(Role.VIEWER))])
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
ANSWERS = {May.YES: "good", May.NO: "bad", May.UNKNOWN: "busy"}


@router.get("/installation")
def last(request: Request, house: TheHouse) -> Response:
    report = house.doctor.health.last()
    if report is None:
        raise HTTPException(404, "Nobody has looked at this installation yet; an operator can, on the page Doctor")
    return page(request, "doctor_health.html", report=report, steps=None, **_known(report, house.clock()))


@router.post("/installation")
async def look(request: Request, house: TheHouse, who: Operator) -> Response:
    """The page grows with every object that was looked at."""
    await run_in_threadpool(house.look)
    whole = await run_in_threadpool(lambda: fragment(request, "doctor_health.html", report=None, steps=GROWS, end=GROWS))
    return StreamingResponse(_growing(request, str(whole), house.doctor.health, house.clock()), media_type="text/html")


async def _growing(request: Request, whole: str, desk: HealthDesk, now: datetime) -> AsyncIterator[str]:
    before, _, rest = whole.partition(str(GROWS))
    between, _, after = rest.partition(str(GROWS))
    yield before
    found = ""
    try:
        async with aclosing(desk.look()) as looking:  # type: ignore[type-var]  # a generator
            async for each in looking:
                if isinstance(each, Health):
                    found = await run_in_threadpool(_found, request, health_body(each), now)
                else:
                    yield _line(each)
    except Busy as problem:
        found = Markup('<section class="panel"><p class="mb-0">{}</p></section>').format(str(problem))
    yield between
    yield found
    yield after


def _found(request: Request, report: dict[str, Any], now: datetime) -> Markup:
    return fragment(request, "doctor_health_found.html", report=report, **_known(report, now))


def _line(each: Examined) -> Markup:
    check = each.look.check
    return Markup('<li><strong>{}</strong> <span class="tag {}">{}</span> <span class="anywhere">{}</span></li>\n').format(
        str(each.subject), TONES[check.verdict.value], check.verdict.value, check.text
    )


def _known(report: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What a template needs besides the report."""
    ends = [(each, datetime.fromisoformat(each["at"])) for each in report["ends"]]
    return {
        "at": datetime.fromisoformat(report["at"]),
        "tones": TONES,
        "ends": [(each, at, "bad" if at <= now else "warn" if at - now <= SOON else "quiet") for each, at in ends],
    }


@router.post("/send-as")
async def send_as(request: Request, house: TheHouse, who: Operator, form: Entered) -> Response:
    address = str(form.get("address", "")).strip()
    await run_in_threadpool(house.look)
    try:
        found = await house.doctor.health.send_as(address)
    except (ConfigError, Busy) as problem:
        status, text = (503 if isinstance(problem, Busy) else 422), str(problem)
        return await run_in_threadpool(lambda: start(request, house, status=status, address=address, denied=text))
    return await run_in_threadpool(lambda: page(request, "doctor_send_as.html", found=found, tone=ANSWERS[found.may]))
