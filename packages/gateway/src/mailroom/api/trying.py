"""Trying out by hand what mail comes in by and where it goes: step by step, and nothing is taken or handed over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from pydantic import BaseModel

from mailroom.api.guard import MayWriteObjects
from mailroom.api.objects import Name, known
from mailroom.api.office import TheOffice
from mailroom.doctor import trial

router = APIRouter(tags=["Objects"])
MX = "mx"
"""By which name the MX listener is tested, if no incoming server is called so."""


class Step(BaseModel):
    """One thing that was tried."""

    step: str
    ok: bool
    said: str
    """The other side's answer, or what to do."""


class Tried(BaseModel):
    """The steps in their order; they end with the first that failed."""

    ok: bool
    """Whether all went well."""
    steps: list[Step]


@router.post("/incoming/{name:path}/test")
async def test_incoming(token: MayWriteObjects, office: TheOffice, name: Name) -> Tried:
    """Look into the mailbox of an incoming server, or with the name `mx` at the MX listener. It takes up to a minute or two."""
    if name != MX:
        await asyncio.to_thread(known, office, "incoming", name)
    return await _tried(office.incoming_trial(name))


@router.post("/destinations/{name:path}/test")
async def test_destination(token: MayWriteObjects, office: TheOffice, name: Name) -> Tried:
    """Call a destination without handing mail over: of an Odoo version, user and rights; a webhook gets an event of the type `test`."""
    await asyncio.to_thread(known, office, "destination", name)
    return await _tried(office.destination_trial(name))


async def _tried(steps: AsyncIterator[trial.Step]) -> Tried:
    found = [Step(step=step.name, ok=step.ok, said=step.said) async for step in steps]
    return Tried(ok=bool(found) and found[-1].ok, steps=found)
