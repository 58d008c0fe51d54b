"""How the house stands: what waits, what fetches, what is used up, what needs a person."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from mailroom.api.guard import MayReadObjects
from mailroom.api.office import TheOffice
from mailroom.standing import Standing, standing

router = APIRouter(tags=["Status"])


class Lane(BaseModel):
    name: str
    """What a limit of the next hop counts: a mailbox, or a server."""
    waiting: int
    next: datetime | None
    """When the next mail is due."""
    done: datetime | None
    """When the last one that waits now will have left; null while nobody can tell."""
    held: str
    """Why it waits for a person; empty if it does not."""


class Incoming(BaseModel):
    name: str
    looked_at: datetime | None
    next: datetime
    told_until: datetime | None
    """The provider tells us of new mail until then."""
    trouble: str
    """Why it can't fetch; empty if it can."""
    failing_since: datetime | None


class Budget(BaseModel):
    """External recipients in any 24 hours, of a tenant or an account."""

    name: str
    limit: int
    taken: int


class Ending(BaseModel):
    owner: str
    what: str
    at: datetime
    advice: str


class LastLook(BaseModel):
    """What the doctor has found at the installation; `GET /v1/doctor` has it all."""

    at: datetime
    harmful: bool
    findings: int


class Status(BaseModel):
    way_out: bool
    """Whether there is an outgoing server in use; without one, every mail is refused."""
    deliveries: dict[str, int]
    """By state."""
    lanes: list[Lane]
    incoming: list[Incoming]
    quarantine: int
    """Mail that came in and waits for a person; 10,000 stands for that and more."""
    budgets: list[Budget]
    ending: list[Ending]
    """Secrets, certificates and sign-ins that end within 30 days, or have ended."""
    health: LastLook | None
    """null: nobody has looked yet."""


def shape(at: Standing) -> Status:
    """As programs read it, here and from `mailroom status --json`."""
    return Status(
        way_out=at.way_out,
        deliveries={state.value: count for state, count in at.deliveries.items()},
        lanes=[Lane.model_validate(each, from_attributes=True) for each in at.lanes],
        incoming=[Incoming.model_validate(each, from_attributes=True) for each in at.incoming],
        quarantine=at.quarantine,
        budgets=[Budget.model_validate(each, from_attributes=True) for each in at.budgets],
        ending=[Ending.model_validate(each, from_attributes=True) for each in at.ending],
        health=LastLook.model_validate(at.health, from_attributes=True) if at.health else None,
    )


@router.get("/status")
def status(token: MayReadObjects, office: TheOffice) -> Status:
    """Is mail leaving and coming in? What waits, how much of each limit is used, and what needs a person."""
    office.look()
    return shape(standing(office.store, office.directory(), office.servers_of, office.ends(), office.clock()))
