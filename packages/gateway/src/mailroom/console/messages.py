"""Finding mail, and doing something to all that was found."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, Response

from mailroom.console import message
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.search_form import Search, search, search_of
from mailroom.console.visitor import Visitor, at_least
from mailroom.console.words import BY_SLUG, DEEDS, STATES, Deed, called, word_of
from mailroom.objects import Role
from mailroom.ports import Query
from mailroom_core.model import State

router = APIRouter()
TheSearch = Annotated[Search, Depends(search)]
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
PAGE = 50
STEP = 500
"""Deliveries that one step of bulk work changes, in one transaction."""


@router.get("/messages")
def show(request: Request, house: TheHouse, search: TheSearch) -> HTMLResponse:
    """A page of what was found, the newest first."""
    directory = house.directory()
    return page(
        request,
        "messages.html",
        search=search,
        listed=_listed(request, house, search),
        any=bool(house.store.find(Query(), limit=1)[0]),
        applications=sorted(directory.applications),
        accounts=sorted(directory.accounts),
        State=State,
        STATES=STATES,
        DEEDS=DEEDS,
    )


@router.get("/messages/list")
def refresh(request: Request, house: TheHouse, search: TheSearch, seen: str = "") -> Response:
    """The same list; nothing if it is still the same."""
    listed = _listed(request, house, search)
    if seen and f'data-version="{seen}"' in listed:
        return Response(status_code=204)
    return HTMLResponse(listed)


def _listed(request: Request, house: House, search: Search) -> str:
    found, older = house.store.find(search.query, limit=PAGE, after=search.after)
    version = f"{hash(tuple((each.delivery.id, each.delivery.state, each.delivery.updated_at) for each in found)):x}".strip("-")
    known = bool(found or older) or (search.narrowed and bool(house.store.find(Query(), limit=1)[0]))
    return fragment(request, "messages_list.html", search=search, found=found, older=older, version=version, known=known, word_of=word_of)


# ---- for all that match


@router.get("/messages/all")
def ask(request: Request, house: TheHouse, search: TheSearch, who: Operator, action: str) -> HTMLResponse:
    """What would be done, before it is done."""
    deed = _deed(action, came_in=search.query.came_in)
    found, more = house.store.find(_meant(search.query, deed), limit=10)
    return page(request, "messages_all.html", search=search, deed=deed, found=found, more=bool(more), STATES=STATES)


@router.post("/messages/all")
def step(
    request: Request,
    house: TheHouse,
    who: Operator,
    action: Annotated[str, Form()],
    query: Annotated[str, Form(max_length=4000)] = "",
    began: Annotated[str, Form(max_length=40)] = "",
    done: Annotated[int, Form(ge=0)] = 0,
) -> HTMLResponse:
    """One step, and the progress, which asks for the next one by itself until it is stopped or nothing is left."""
    search = search_of(QueryParams(parse_qsl(query)))
    deed = _deed(action, came_in=search.query.came_in)
    if search.mistakes:
        raise HTTPException(422, " ".join(search.mistakes))
    since = _moment(began) or house.clock()
    changed = house.store.act(replace(_meant(search.query, deed), unchanged_since=since), deed.action, by=who.by, limit=STEP)
    if changed:
        house.notify()
    values = {"search": search, "deed": deed, "began": since.isoformat(), "done": done + changed, "going": changed == STEP}
    return HTMLResponse(fragment(request, "messages_progress.html", **values))


def _meant(query: Query, deed: Deed) -> Query:
    """What the search shows and the deed can be done to."""
    return replace(query, states=query.states or deed.states)


def _deed(slug: str, *, came_in: bool) -> Deed:
    deed = BY_SLUG.get(slug)
    if deed is None:
        raise HTTPException(404, "This can't be done to mail; go back and load the page again")
    return called(deed, came_in=came_in)


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


router.include_router(message.router)
