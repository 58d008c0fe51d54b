"""The doctor: why mail does not arrive, and what to do about it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.message import opened, story_of
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.doctor.desk import Busy
from mailroom.doctor.findings import Harm
from mailroom.doctor.mail_judge import MailReport, hop_words, mail_body
from mailroom.doctor.senders import MOST_SOURCES, each_day, propose, senders, since
from mailroom.doctor.shapes import report_body
from mailroom.objects import Role
from mailroom_core.errors import ConfigError, MimeError
from mailroom_core.mime.source import InMemory

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


def start(
    request: Request,
    house: House,
    *,
    status: int = 200,
    domain: str = "",
    error: str = "",
    wrong: str = "",
    address: str = "",
    denied: str = "",
) -> Response:
    house.look()
    kept = house.doctor.kept()
    ours = sorted(house.directory().alias_domains)
    rows = [(name, kept[name][0].at if name in kept else None, _counts(kept[name][1]) if name in kept else {}) for name in ours]
    reported = house.store.diagnoses.reported()
    odoos = house.doctor.odoo.names()
    health = house.doctor.health.last()
    known: dict[str, Any] = {
        "health": health,
        "health_at": datetime.fromisoformat(health["at"]) if health else None,
        "health_counts": _counts(health) if health else {},
        "health_objects": len(health["objects"]) if health else 0,
    }
    return page(
        request,
        "doctor.html",
        status=status,
        odoos=odoos,
        domain=domain,
        error=error,
        rows=rows,
        reported=reported,
        wrong=wrong,
        address=address,
        denied=denied,
        tones=TONES,
        **known,
    )


def _counts(body: dict[str, Any]) -> dict[str, int]:
    """How many findings of each harm."""
    return {harm.value: count for harm in Harm if (count := sum(each["harm"] == harm.value for each in body["findings"]))}


def _report(request: Request, body: dict[str, Any]) -> Response:
    return page(request, "doctor_report.html", report=body, at=datetime.fromisoformat(body["at"]), tones=TONES)


@router.get("")
def show(request: Request, house: TheHouse) -> Response:
    return start(request, house)


@router.get("/of/{domain}")
def last(request: Request, house: TheHouse, domain: str) -> Response:
    house.look()
    kept = house.doctor.kept().get(domain)
    if kept is None:
        raise HTTPException(404, f"Nobody has looked at {domain[:120]!r} yet; enter it on the page Doctor")
    return _report(request, kept[1])


@router.post("/message")
async def uploaded(request: Request, house: TheHouse, who: Operator, form: Entered) -> Response:
    """A mail as a file, with its whole header."""
    value = form.get("file")
    raw = await value.read() if isinstance(value, UploadFile) else b""
    return await run_in_threadpool(_apart, request, house, raw)


def _apart(request: Request, house: House, raw: bytes) -> Response:
    if not raw:
        return start(request, house, status=422, wrong="Choose the file of a mail, as your mail program saves it (.eml)")
    lines = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    try:
        return _mail(request, house.doctor.mail(InMemory(lines)))
    except MimeError as problem:
        return start(request, house, status=422, wrong=f"This can't be read as a mail: {problem}")
    except Busy as problem:
        return start(request, house, status=503, wrong=str(problem))


@router.get("/mail/{id}")
def mail(request: Request, house: TheHouse, who: Operator, id: str) -> Response:
    """A mail that has come in."""
    with opened(house, story_of(house, id)) as source:
        if source is None:
            raise HTTPException(410, "The bytes of this mail are gone: they are kept for the time that queue.keep_raw says")
        try:
            return _mail(request, house.doctor.mail(source))
        except MimeError as problem:
            raise HTTPException(422, f"This can't be read as a mail: {problem}") from None
        except Busy as problem:
            raise HTTPException(503, str(problem)) from None


def _mail(request: Request, report: MailReport) -> Response:
    body = mail_body(report)
    hops = [(hop_words(each), each) for each in report.mail.hops]
    return page(request, "doctor_mail.html", report=body, hops=hops, tones=TONES)


@router.get("/senders/{domain}")
def senders_(request: Request, house: TheHouse, domain: str) -> Response:
    """Who sends in its name."""
    house.look()
    if domain not in house.directory().alias_domains:
        raise HTTPException(404, f"{domain[:120]!r} is no alias domain; reports are only read about those")
    now = house.clock()
    found = senders(domain, house.store.diagnoses.seen(domain, since(now)))
    days, sources = each_day(found, now), found.sources[:MOST_SOURCES]
    return page(request, "doctor_senders.html", found=found, proposal=propose(found), days=days, sources=sources)


@router.post("/look")
def look(request: Request, house: TheHouse, who: Operator, form: Entered) -> Response:
    domain = str(form.get("domain", "")).strip()
    house.look()
    try:
        report = asyncio.run(house.doctor.look(domain))
    except ConfigError as problem:
        return start(request, house, status=422, domain=domain, error=str(problem))
    except Busy as problem:
        return start(request, house, status=503, domain=domain, error=str(problem))
    return _report(request, report_body(report))
