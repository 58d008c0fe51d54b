"""The doctor: why mail does not arrive, and what to do about it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.doctor.desk import Busy
from mailroom.doctor.findings import Harm
from mailroom.doctor.senders import MOST_SOURCES, propose, senders, since
from mailroom.doctor.shapes import report_body
from mailroom.objects import Role
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/doctor", dependencies=[Depends(at_least(Role.VIEWER))])
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
TONES = {
    "harmful": "bad",
    "risky": "warn",
    "advice": "quiet",
    "good": "good",
    "see findings": "warn",
    "not used": "quiet",
    "unchecked": "busy",
}


def _start(request: Request, house: House, *, status: int = 200, domain: str = "", error: str = "") -> Response:
    house.look()
    kept = house.doctor.kept()
    ours = sorted(house.directory().alias_domains)
    rows = [(name, kept[name][0].at if name in kept else None, _counts(kept[name][1]) if name in kept else {}) for name in ours]
    reported = house.store.diagnoses.reported()
    return page(request, "doctor.html", status=status, domain=domain, error=error, rows=rows, reported=reported, tones=TONES)


def _counts(body: dict[str, Any]) -> dict[str, int]:
    """How many findings of each harm."""
    return {harm.value: count for harm in Harm if (count := sum(each["harm"] == harm.value for each in body["findings"]))}


def _report(request: Request, body: dict[str, Any]) -> Response:
    return page(request, "doctor_report.html", report=body, at=datetime.fromisoformat(body["at"]), tones=TONES)


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return _start(request, house)


@router.get("/of/{domain}")
def last(request: Request, house: TheHouse, domain: str) -> Response:
    house.look()
    kept = house.doctor.kept().get(domain)
    if kept is None:
        raise HTTPException(404, f"Nobody has looked at {domain[:120]!r} yet; enter it on the page Doctor")
    return _report(request, kept[1])


@router.get("/senders/{domain}")
def senders_(request: Request, house: TheHouse, domain: str) -> Response:
    """Who sends in its name."""
    house.look()
    if domain not in house.directory().alias_domains:
        raise HTTPException(404, f"{domain[:120]!r} is no alias domain; reports are only read about those")
    found = senders(domain, house.store.diagnoses.seen(domain, since(house.clock())))
    return page(request, "doctor_senders.html", found=found, proposal=propose(found), sources=found.sources[:MOST_SOURCES])


@router.post("/look")
def look(request: Request, house: TheHouse, who: Operator, form: Entered) -> Response:
    domain = str(form.get("domain", "")).strip()
    house.look()
    try:
        report = asyncio.run(house.doctor.look(domain))
    except ConfigError as problem:
        return _start(request, house, status=422, domain=domain, error=str(problem))
    except Busy as problem:
        return _start(request, house, status=503, domain=domain, error=str(problem))
    return _report(request, report_body(report))
