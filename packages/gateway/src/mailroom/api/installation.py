"""The health of this installation, as whom it may send, and the last look at all that is ours."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from mailroom.api.doctor import Evidence, Finding, Report, Unchecked
from mailroom.api.guard import MayReadObjects
from mailroom.api.messages import Words
from mailroom.api.office import TheOffice
from mailroom.api.problems import Problem
from mailroom.doctor.health.desk import Busy
from mailroom.doctor.health.send_as import send_as_body
from mailroom.doctor.health.shapes import health_body
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/doctor", tags=["Doctor"])


class Found(Finding):
    """What is wrong with an object."""

    kind: str
    """As in the object file; `installation` for the house itself."""
    name: str


class Open(Unchecked):
    kind: str
    name: str


class Ends(BaseModel):
    owner: str
    what: str
    at: datetime
    advice: str


class Fact(BaseModel):
    name: str
    said: str


class Usage(BaseModel):
    what: str
    used: int
    limit: int


class Looked(BaseModel):
    """One object."""

    kind: str
    name: str
    verdict: str
    """`good`, `see findings`, `not used` or `unchecked`."""
    text: str
    seconds: float
    facts: list[Fact]
    usage: list[Usage]
    evidence: list[Evidence]


class Health(BaseModel):
    """A look at the installation."""

    at: datetime
    seconds: float
    """How long it took."""
    harmful: bool
    """Whether a finding is harmful."""
    findings: list[Found]
    """Worst first."""
    unchecked: list[Open]
    ends: list[Ends]
    """What ends when, the nearest first."""
    objects: list[Looked]


class Kept(BaseModel):
    domains: list[Report]
    installation: Health | None
    """null: nobody has looked yet."""


class MayI(BaseModel):
    """May we send as an address?"""

    address: str
    may: str
    """`yes`, `no` or `not known`."""
    how: str
    """As what."""
    why: str
    todo: str
    server: str
    """Which would carry it; empty: none."""
    leaves_as: str
    """What recipients see as From; empty: not known."""
    mailbox: str
    """Whose Drafts and Sent Items are used, by Graph."""
    applications: list[str]
    """Those that may use it."""
    facts: list[Fact]
    evidence: list[Evidence]
    unchecked: list[Unchecked]


@router.get("")
def kept(token: MayReadObjects, office: TheOffice) -> Kept:
    """The last look at each alias domain, and at the installation."""
    office.look()
    last = office.doctor.health.last()
    return Kept(
        installation=None if last is None else Health.model_validate(last),
        domains=[Report.model_validate(body) for _, (_, body) in sorted(office.doctor.kept().items())],
    )


@router.get("/installation")
async def look(token: MayReadObjects, office: TheOffice) -> Health:
    """Look at the installation now: mostly some seconds, half a minute at most for each object. Changes and sends nothing."""
    try:
        return Health.model_validate(health_body(await office.doctor.health.whole()))
    except Busy as problem:
        raise Problem(503, str(problem), headers={"Retry-After": "30"}) from None


@router.get("/send-as")
async def send_as(token: MayReadObjects, office: TheOffice, address: Annotated[Words, Query()], application: Words = "") -> MayI:
    """May we send as this address, handed in by this application: by which server, as whom, and what proves it? Sends nothing."""
    try:
        return MayI.model_validate(send_as_body(await office.doctor.health.send_as(address, application)))
    except ConfigError as problem:
        raise Problem(422, str(problem)) from None
    except Busy as problem:
        raise Problem(503, str(problem), headers={"Retry-After": "30"}) from None
