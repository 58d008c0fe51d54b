"""What errors say, in a box of the page Doctor and beside the answers of a mail."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from mailroom.console.forms import Entered
from mailroom.console.pages import page
from mailroom.console.visitor import at_least
from mailroom.doctor.explain import LONGEST, UNKNOWN, explain, explain_reply
from mailroom.objects import Role
from mailroom_core.model import Reply

router = APIRouter(prefix="/doctor", dependencies=[Depends(at_least(Role.OPERATOR))])


@dataclass(frozen=True, slots=True)
class Beside:
    """An explanation beside an answer, without what the answer says itself."""

    of: str
    means: str
    todo: str
    source: str


def beside(reply: Reply) -> tuple[Beside, ...]:
    said = reply.text.casefold()

    def new(text: str) -> str:
        return "" if text.casefold() in said else text

    shown = (Beside(each.of, new(each.means), new(each.todo), each.source) for each in explain_reply(reply)[:1])
    return tuple(each for each in shown if each.means or each.todo)


@router.post("/explain")
def explained(request: Request, form: Entered) -> Response:
    text = str(form.get("text", ""))[:LONGEST].strip()
    wrong = "" if text else "Paste the text of an error, with its numbers"
    status = 422 if wrong else 200
    return page(request, "doctor_explained.html", status=status, text=text, found=explain(text), unknown=UNKNOWN, wrong=wrong)
