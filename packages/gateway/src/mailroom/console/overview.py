"""Is mail leaving? The first page, and the two parts of it that keep themselves up to date."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom import moving
from mailroom.console.glance import Glance, Step, Trouble, glance
from mailroom.console.house import House, TheHouse
from mailroom.console.kept import Kept
from mailroom.console.pages import fragment, page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role
from mailroom.ports import Query
from mailroom.vault.expiry import Expiry
from mailroom_core.errors import ConfigError
from mailroom_core.model import LaneName, State

router = APIRouter()
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
HOURS = 24
OUTCOMES: dict[str, tuple[State, ...]] = {
    "Handed over": (State.SENT,),
    "Waiting": (State.QUEUED, State.SENDING, State.UNSURE, State.HELD),
    "Failed": (State.FAILED, State.BOUNCED),
    "Taken out": (State.CANCELLED, State.IGNORED),
}
"""The columns of the chart."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What became of the mail that was accepted in it, in the order of `OUTCOMES`."""

    begins: datetime
    counts: tuple[int, ...]


class Overview:
    """What all who look at the page share. One for each application."""

    def __init__(self, house: House) -> None:
        self._ends: Kept[Sequence[Expiry]] = Kept(house.ends, least=60)
        self.now: Kept[Glance] = Kept(lambda: glance(house, self._ends()), least=2)
        self.hours: Kept[list[Hour]] = Kept(partial(hours, house), least=20)


def hours(house: House) -> list[Hour]:
    """The last day, hour by hour; the last one has only begun. Blocking."""
    this = house.clock().replace(minute=0, second=0, microsecond=0)
    edges = [this - timedelta(hours=back) for back in range(HOURS - 1, -2, -1)]
    fates = house.store.fates(edges)
    return [
        Hour(edge, tuple(sum(fate[state] for state in states) for states in OUTCOMES.values()))
        for edge, fate in zip(edges, fates, strict=False)
    ]


def _overview(request: Request) -> Overview:
    made: Overview = request.app.state.overview
    return made


TheOverview = Annotated[Overview, Depends(_overview)]


@router.get("/")
def show(request: Request, overview: TheOverview) -> HTMLResponse:
    live, version = _live(request, overview)
    return page(request, "overview.html", glance=overview.now(), live=live, version=version, chart=_chart(request, overview))


@router.get("/overview/live")
def refresh(request: Request, overview: TheOverview, seen: str = "") -> Response:
    """The same with newer numbers; nothing if nobody would see a difference."""
    live, version = _live(request, overview)
    if version == seen:
        return Response(status_code=204)
    return HTMLResponse(fragment(request, "overview_live.html", live=live, version=version))


@router.get("/overview/chart")
def refresh_chart(request: Request, overview: TheOverview) -> HTMLResponse:
    return HTMLResponse(_chart(request, overview))


@router.post("/overview/free")
def free(house: TheHouse, overview: TheOverview, who: Operator, lane: Annotated[str, Form()]) -> Response:
    """Let a held lane go on."""
    if lane not in [each.name for each in house.store.lanes()]:
        raise ConfigError("There is no such way out any more; load the page again")
    house.store.free_lane(LaneName(lane), by=who.by)
    house.notify()
    overview.now.forget()
    return RedirectResponse("/", 303)


@router.post("/overview/move")
def move(house: TheHouse, overview: TheOverview, who: Operator, lane: Annotated[str, Form()], server: Annotated[str, Form()]) -> Response:
    """What waits in a held lane goes by another server."""
    waiting = Query(lane=lane, states=frozenset({State.QUEUED}))
    moved = moving.move(house.store, house.directory(), waiting, server, by=who.by, servers_of=house.servers_of)
    if not moved:
        raise ConfigError(
            f"None of it may go by {server!r}: its FROM filter does not let the senders of that mail, or nothing waits there any more"
        )
    house.notify()
    overview.now.forget()
    return RedirectResponse("/", 303)


def _live(request: Request, overview: Overview) -> tuple[str, str]:
    text = fragment(request, "overview_now.html", glance=overview.now(), Trouble=Trouble, Step=Step)
    return text, hashlib.sha256(text.encode()).hexdigest()[:16]


def _chart(request: Request, overview: Overview) -> str:
    return fragment(request, "overview_chart.html", hours=overview.hours(), outcomes=list(OUTCOMES))
