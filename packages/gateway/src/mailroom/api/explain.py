"""Who would send a mail from this address?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from mailroom.api.guard import MayReadObjects
from mailroom.api.messages import Words
from mailroom.api.office import TheOffice
from mailroom.api.problems import Problem
from mailroom.way_out import explained
from mailroom_core.errors import Refused

router = APIRouter(tags=["Objects"])


class Step(BaseModel):
    rule: str
    """What was looked for."""
    server: str
    """What it has found; empty: the next rule was asked."""


class Explanation(BaseModel):
    """The choice of the outgoing server, with the rules that were asked; the last one has decided."""

    server: str
    from_address: str
    """The header From that the mail leaves with."""
    rewritten: bool
    why: str
    steps: list[Step]


@router.get("/explain")
def explain(
    token: MayReadObjects, office: TheOffice, address: Annotated[Words, Query()], application: Words = "", bulk: bool = False
) -> Explanation:
    """Who would send a mail with this address in its header From, handed in by this application, and why."""
    office.look()
    try:
        found = explained(office.directory(), address, application=application, bulk=bulk)
    except Refused as problem:
        raise Problem(409, problem.text) from None
    choice = found.choice
    steps = [Step(rule=each.rule, server=each.server) for each in found.steps]
    return Explanation(server=choice.server, from_address=choice.from_address, rewritten=choice.rewritten, why=choice.why, steps=steps)
