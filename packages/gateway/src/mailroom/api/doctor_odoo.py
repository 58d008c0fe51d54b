"""The doctor for an Odoo, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from mailroom.api import doctor
from mailroom.api.guard import MayReadObjects, MayWriteObjects
from mailroom.api.messages import Words
from mailroom.api.office import TheOffice
from mailroom.api.problems import Problem
from mailroom.doctor.odoo.report import odoo_body
from mailroom_core.errors import ConfigError, VaultError

router = APIRouter(prefix="/doctor/odoo", tags=["Doctor"])


class Change(BaseModel):
    """One record of Odoo that would be changed."""

    what: str
    lines: list[str]
    """Each field, before and after; no secrets."""


class OdooFinding(doctor.Finding):
    changes: list[Change]
    """What mends it in Odoo; empty: nothing that can be done from here."""


class OdooReport(BaseModel):
    """A look at an Odoo."""

    destination: str
    url: str
    at: datetime
    harmful: bool
    findings: list[OdooFinding]
    """Worst first."""
    unchecked: list[doctor.Unchecked]
    checks: list[doctor.Check]


class Repairs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    codes: list[Words]
    """Of findings that have changes; empty: all of them."""


class Said(BaseModel):
    done: list[str]


@router.get("/{destination}")
async def look(token: MayReadObjects, office: TheOffice, destination: Words) -> OdooReport:
    """Look at the Odoo of a destination over its API. Changes nothing; the changes that each finding offers are the preview of a repair."""
    await run_in_threadpool(office.look)
    try:
        return OdooReport.model_validate(odoo_body(await office.doctor.odoo.look(destination)))
    except (ConfigError, VaultError) as problem:
        raise Problem(422, str(problem)) from None


@router.post("/{destination}/repairs")
async def mend(token: MayWriteObjects, office: TheOffice, destination: Words, wanted: Repairs) -> Said:
    """Make the changes of these findings, as a look shows them."""
    await run_in_threadpool(office.look)
    return await _said(office.doctor.odoo.mended(destination, wanted.codes, by=f"token:{token.name}"))


@router.delete("/{destination}/repairs")
async def take_back(token: MayWriteObjects, office: TheOffice, destination: Words) -> Said:
    """Bring back what was before; what somebody has changed in Odoo since stays."""
    await run_in_threadpool(office.look)
    return await _said(office.doctor.odoo.taken_back(destination, by=f"token:{token.name}"))


async def _said(steps: AsyncIterator[str]) -> Said:
    done: list[str] = []
    try:
        async for each in steps:
            done.append(each)
    except (ConfigError, VaultError) as problem:
        before = f"; done before that: {'; '.join(done)}" if done else ""
        raise Problem(422, f"{problem}{before}") from None
    return Said(done=done)
