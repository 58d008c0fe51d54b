"""Why mail does not arrive, and what to do about it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, StringConstraints

from mailroom.api.guard import MayReadObjects
from mailroom.api.messages import Words
from mailroom.api.office import TheOffice
from mailroom.api.problems import Problem
from mailroom.doctor.desk import Busy
from mailroom.doctor.domain import domain_name
from mailroom.doctor.senders import senders as of_reports
from mailroom.doctor.senders import senders_body, since
from mailroom.doctor.shapes import report_body
from mailroom_core.errors import ConfigError

router = APIRouter(prefix="/doctor", tags=["Doctor"])
Selector = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,63}$")]

Selectors = Annotated[list[Selector] | None, Query()]


class Evidence(BaseModel):
    asked: str
    """For example `TXT _dmarc.example.com`."""
    said: str
    source: str
    """The name server that has answered."""
    dnssec: bool
    """It says that DNSSEC proves the answer."""


class Record(BaseModel):
    """A DNS record to copy."""

    type: str
    name: str
    """For DNS providers that append the domain by themselves."""
    full_name: str
    """For those that append nothing."""
    value: str
    zone: str
    zone_file: str
    """The line of a zone file."""


class Repair(BaseModel):
    """What mends it, ready to use."""

    label: str
    command: str
    """To copy."""
    page: str
    """The path of the console's page with the button."""


class Finding(BaseModel):
    code: str
    """Stays the same from version to version."""
    harm: str
    """`harmful`, `risky` or `advice`."""
    title: str
    why: str
    todo: str
    evidence: list[Evidence]
    add: list[Record]
    remove: list[Record]
    repairs: list[Repair] = []


class Unchecked(BaseModel):
    what: str
    why: str


class Check(BaseModel):
    area: str
    verdict: str
    """`good`, `see findings`, `not used` or `unchecked`."""
    text: str
    evidence: list[Evidence]


class Report(BaseModel):
    """A look at a domain."""

    domain: str
    at: datetime
    seconds: float
    """How long it took."""
    resolver: str
    """The name server that was asked."""
    harmful: bool
    """Whether a finding is harmful."""
    findings: list[Finding]
    """Worst first."""
    unchecked: list[Unchecked]
    checks: list[Check]


class Source(BaseModel):
    """One address that sends in the domain's name."""

    address: str
    mails: int
    both: int
    """Proven by SPF and DKIM, aligned."""
    one: int
    """By one of them."""
    failing: int
    stopped: int
    """Quarantined or refused by receivers."""
    proven_by: list[str]
    """Domains whose SPF or signature was valid, aligned or not."""


class Day(BaseModel):
    day: date
    both: int
    one: int
    failing: int


class Proposal(BaseModel):
    ready: bool
    policy: str
    """The value for `p`; empty: leave it."""
    text: str


class Senders(BaseModel):
    """What DMARC reports of the last 30 days say of a domain."""

    domain: str
    policy: str
    """`p`, as the newest report has it."""
    mails: int
    passing: int
    reporters: list[str]
    proposal: Proposal
    sources: list[Source]
    """Most mails first, 200 at most."""
    days: list[Day]


@router.get("/{domain}/senders")
def senders(token: MayReadObjects, office: TheOffice, domain: Words) -> Senders:
    """Who sends in the name of a domain, by the DMARC reports that have come in."""
    try:
        name = domain_name(domain)
    except ConfigError as problem:
        raise Problem(422, str(problem)) from None
    seen = office.store.diagnoses.seen(name, since(office.clock()))
    return Senders.model_validate(senders_body(of_reports(name, seen)))


@router.get("/{domain}")
async def look(token: MayReadObjects, office: TheOffice, domain: Words, selector: Selectors = None) -> Report:
    """Look at a domain now, which takes a second or two, ten at most. `selector`: DKIM keys besides those of known services."""
    try:
        report = await office.doctor.look(domain, selector or [])
    except ConfigError as problem:
        raise Problem(422, str(problem)) from None
    except Busy as problem:
        raise Problem(503, str(problem), headers={"Retry-After": "5"}) from None
    return Report.model_validate(report_body(report))
