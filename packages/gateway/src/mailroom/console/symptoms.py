"""The ten symptoms as questions: choose one, name a mail or an address, and read the cause."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from mailroom.console.doctor import TONES
from mailroom.console.forms import Entered
from mailroom.console.house import TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import at_least
from mailroom.doctor.desk import Busy
from mailroom.doctor.symptoms.asking import answer_body
from mailroom.doctor.symptoms.questions import BY_SLUG, QUESTIONS
from mailroom.objects import Role
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/doctor/ask", dependencies=[Depends(at_least(Role.OPERATOR))])


@router.get("")
def show(request: Request, question: str = "", message: str = "", address: str = "") -> Response:
    """The form; a page that knows what it is about fills it in."""
    known: dict[str, Any] = {"question": question if question in BY_SLUG else "", "message": message[:40], "address": address[:320]}
    return page(request, "doctor_ask.html", questions=QUESTIONS, answer=None, error="", tones=TONES, **known)


@router.post("")
async def ask(request: Request, house: TheHouse, form: Entered) -> Response:
    given = {name: str(form.get(name, "")).strip()[:320] for name in ("question", "message", "address")}
    value = form.get("file")
    letter = await value.read() if isinstance(value, UploadFile) and value.filename else None
    await run_in_threadpool(house.look)
    answer: Any = None
    error, status = "", 200
    try:
        asked = house.doctor.ask(given["question"], message=given["message"], address=given["address"], letter=letter)
        answer = answer_body(await asked)
    except ConfigError as problem:
        error, status = str(problem), 422
    except Busy as problem:
        error, status = str(problem), 503
    values: dict[str, Any] = {"questions": QUESTIONS, "answer": answer, "error": error, "tones": TONES, **given}
    return await run_in_threadpool(lambda: page(request, "doctor_ask.html", status=status, **values))
