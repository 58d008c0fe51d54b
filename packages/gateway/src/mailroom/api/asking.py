"""What an error says, and why mail does not do what it should, for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Base64Bytes, BaseModel, ConfigDict, StringConstraints
from starlette.concurrency import run_in_threadpool

from mailroom.api import doctor
from mailroom.api.guard import MayReadObjects
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.doctor.desk import Busy
from mailroom.doctor.explain import LONGEST, explained_body
from mailroom.doctor.symptoms.asking import answer_body
from mailroom.doctor.symptoms.questions import QUESTIONS
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/doctor", tags=["Doctor"])


class ErrorText(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]
    """As it stands in a log, a bounce or an answer."""


class Explained(BaseModel):
    code: str
    """What was recognised in the text."""
    of: str
    """Whose words it is, such as `Exchange Online`."""
    means: str
    todo: str
    """May be empty, where `means` says it all."""
    source: str
    """Where we know it from."""


class Explanations(BaseModel):
    known: bool
    explanations: list[Explained]
    """The most exact first, four at most."""
    unknown: str
    """What to do if it is not known; else empty."""


@router.post("/explain")
def explain(token: MayReadObjects, wanted: ErrorText) -> Explanations:
    """What the text of an error means, and what to do. Nothing of it is kept."""
    return Explanations.model_validate(explained_body(wanted.text))


Subject = Annotated[str, StringConstraints(strip_whitespace=True, max_length=320)]


class Question(BaseModel):
    name: str
    question: str
    about: str
    """What its subject may be."""


class Asking(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: Subject
    """One of the names that `GET /v1/doctor/questions` lists."""
    message: Subject = ""
    """The id of a mail."""
    address: Subject = ""
    """An address, a domain, a user or a client."""
    mail: Base64Bytes | None = None
    """A mail as it was received, with its whole header, in base64: for `spam`. Nothing of it is kept."""


class Answer(BaseModel):
    question: str
    name: str
    subject: str
    at: datetime
    harmful: bool
    verdict: str
    """The cause in one sentence, or that nothing was found."""
    findings: list[doctor.Finding]
    """Worst first: the first is the cause."""
    unchecked: list[doctor.Unchecked]
    checks: list[doctor.Check]
    """What was looked at."""


@router.get("/questions")
def questions(token: MayReadObjects) -> list[Question]:
    """What can be asked."""
    return [Question(name=each.slug, question=each.text, about=each.about) for each in QUESTIONS]


@router.post("/questions")
async def ask(token: MayReadObjects, office: TheOffice, wanted: Asking) -> Answer:
    """Why mail does not do what it should. Changes nothing; it takes some seconds, because accounts and servers are asked."""
    return await _answer(office, wanted)


@router.get("/questions/{question}")
async def ask_one(token: MayReadObjects, office: TheOffice, question: Subject, message: Subject = "", address: Subject = "") -> Answer:
    """The same, with the subject in the query."""
    return await _answer(office, Asking(question=question, message=message, address=address))


async def _answer(office: Office, wanted: Asking) -> Answer:
    await run_in_threadpool(office.look)
    try:
        answer = await office.doctor.ask(wanted.question, message=wanted.message, address=wanted.address, letter=wanted.mail)
    except ConfigError as problem:
        raise Problem(422, str(problem)) from None
    except Busy as problem:
        raise Problem(503, str(problem), headers={"Retry-After": "5"}) from None
    return Answer.model_validate(answer_body(answer))
