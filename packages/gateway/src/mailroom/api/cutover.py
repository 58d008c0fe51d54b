"""The cut-over: away from SMTP AUTH by password at Microsoft 365."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mailroom.api.guard import MayReadObjects, MayWriteObjects
from mailroom.api.office import TheOffice
from mailroom.api.problems import Problem
from mailroom.cutover.desk import Progress, Step
from mailroom.cutover.report import MOST_BYTES, MOST_CLIENTS, Report, read
from mailroom_core.errors import ConfigError
from mailroom_core.model import show_id

router = APIRouter(prefix="/cutover", tags=["Cut-over"])
Address = Annotated[str, StringConstraints(min_length=3, max_length=254)]
Addresses = Annotated[list[Address], Field(max_length=MOST_CLIENTS)]
Csv = Annotated[str, StringConstraints(max_length=MOST_BYTES)]


class Exported(BaseModel):
    model_config = ConfigDict(extra="forbid")

    report: Csv
    """The text of the exported file: the report "SMTP AUTH clients" of the Exchange admin center, as CSV."""


class Chosen(Exported):
    addresses: Addresses | None = None
    """Who moves; without it all that don't sign in with OAuth alone."""


class Whom(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: Address


class Several(BaseModel):
    model_config = ConfigDict(extra="forbid")

    addresses: Addresses | None = None
    """Without it all that never sent."""


class Proposed(BaseModel):
    """What would become of one address of the report."""

    address: str
    mails: int | None
    tls: str
    protocols: list[str]
    """`password`, `OAuth`, or what the report calls it; empty if it does not say."""
    step: Step
    application: str


class Preview(BaseModel):
    proposals: list[Proposed]
    skipped: list[str]
    """Lines without an address, ten at most."""
    left_out: int
    """Lines that were skipped beyond these."""


class Moving(BaseModel):
    """One address that moves."""

    address: str
    application: str
    made: bool
    """The application was made for it."""
    mails: int | None
    tls: str
    protocols: str
    reported_at: datetime
    done_at: datetime | None
    """When its first mail came through Mailroom."""
    message: str
    """That mail's id."""


class State(BaseModel):
    done: int
    total: int
    deadline: str
    addresses: list[Moving]
    """Who is still to move first, most mail first."""


class Settings(BaseModel):
    """What to enter in the device. The password is shown this once."""

    application: str
    user: str
    password: str


class Undone(BaseModel):
    removed: list[str]
    kept: dict[str, str]
    """Address, and why it stays."""


def _read(given: Exported) -> Report:
    try:
        return read(given.report.encode("utf-8", "replace"))
    except ConfigError as problem:
        raise Problem(422, str(problem)) from None


def _state(at: Progress) -> State:
    addresses = [
        Moving(
            address=each.address,
            application=each.application,
            made=each.made,
            mails=each.mails,
            tls=each.tls,
            protocols=each.protocols,
            reported_at=each.reported_at,
            done_at=each.done_at,
            message="" if each.message_id is None else show_id(each.message_id),
        )
        for each in at.movers
    ]
    return State(done=at.done, total=len(addresses), deadline=at.deadline, addresses=addresses)


@router.get("")
def progress(token: MayReadObjects, office: TheOffice) -> State:
    """How far it is: an address is done when its first mail has come through Mailroom."""
    return _state(office.cutover.progress())


@router.post("/preview")
def preview(token: MayReadObjects, office: TheOffice, given: Exported) -> Preview:
    """What a report proposes. Nothing is changed."""
    report = _read(given)
    proposals = [
        Proposed(
            address=each.client.address,
            mails=each.client.mails,
            tls=each.client.tls_words,
            protocols=list(each.client.protocols),
            step=each.step,
            application=each.application,
        )
        for each in office.cutover.preview(report)
    ]
    return Preview(proposals=proposals, skipped=list(report.skipped), left_out=report.left_out)


@router.post("")
def add(token: MayWriteObjects, office: TheOffice, given: Chosen) -> State:
    """Put addresses of a report on the list, each with an application of its own; those that are listed get their new numbers."""
    report = _read(given)
    try:
        return _state(office.cutover.take(report, given.addresses, by=f"token:{token.name}"))
    except ConfigError as problem:
        raise Problem(422, str(problem)) from None


@router.post("/password")
def password(token: MayWriteObjects, office: TheOffice, given: Whom) -> Settings:
    """A password for the application of an address; one of before stops working."""
    try:
        application, made = office.cutover.new_password(given.address, by=f"token:{token.name}")
    except ConfigError as problem:
        raise Problem(409, str(problem)) from None
    return Settings(application=application.name, user=application.name, password=made)


@router.post("/undo")
def undo(token: MayWriteObjects, office: TheOffice, given: Several) -> Undone:
    """Take addresses off the list, with the applications that were made for them; who has sent a mail stays."""
    done = office.cutover.undo(given.addresses, by=f"token:{token.name}")
    return Undone(removed=list(done.removed), kept=dict(done.kept))
