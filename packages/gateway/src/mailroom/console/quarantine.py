"""Quarantine: what came in and has no place, because no rule knew it or its destination refused it."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.search_form import Search, search_of
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role
from mailroom.ports import Action, Found, Query
from mailroom_core.model import DeliveryId, State, seek_id

router = APIRouter(prefix="/quarantine")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
PAGE = 50
WAITING = frozenset({State.HELD})
DEEDS = {"retry": (Action.RETRY, "is judged anew, and goes where it belongs"), "delete": (Action.CANCEL, "is deleted")}
"""What can be done to one mail, and what is said then."""


def _search(request: Request) -> Search:
    """A part of an address or subject, and the page; what waits here, and nothing else."""
    given = request.query_params
    return search_of(QueryParams({"text": given.get("text", ""), "after": given.get("after", ""), "state": State.HELD.value, "came": "in"}))


TheSearch = Annotated[Search, Depends(_search)]


@router.get("")
def show(request: Request, house: TheHouse, search: TheSearch, did: str = "") -> HTMLResponse:
    """The newest first."""
    listed = _listed(request, house, search)
    done = f"The mail {DEEDS[did][1]}." if did in DEEDS else ""
    return page(request, "quarantine.html", search=search, listed=listed, done=done)


@router.get("/list")
def refresh(request: Request, house: TheHouse, search: TheSearch, seen: str = "") -> Response:
    """The same list; nothing if it is still the same."""
    listed = _listed(request, house, search)
    if seen and f'data-version="{seen}"' in listed:
        return Response(status_code=204)
    return HTMLResponse(listed)


def _listed(request: Request, house: House, search: Search) -> str:
    found, older = house.store.find(search.query, limit=PAGE, after=search.after)
    version = hashlib.sha256(repr([(each.delivery.id, each.delivery.updated_at) for each in found]).encode()).hexdigest()[:16]
    return fragment(request, "quarantine_list.html", search=search, found=found, older=older, version=version)


@router.post("/retry")
def retry(house: TheHouse, who: Operator, form: Entered) -> Response:
    """Judge one mail anew, or offer it to its destination once more."""
    return _done(house, who, str(form.get("delivery", "")), "retry")


@router.get("/delete/{delivery}")
def ask(request: Request, house: TheHouse, who: Operator, delivery: str) -> HTMLResponse:
    """Before it is deleted."""
    return page(request, "quarantine_delete.html", each=_known(house, delivery))


@router.post("/delete")
def delete(house: TheHouse, who: Operator, form: Entered) -> Response:
    return _done(house, who, str(form.get("delivery", "")), "delete")


def _done(house: House, who: Visitor, delivery: str, deed: str) -> Response:
    found = _known(house, delivery)
    query = Query(message_id=found.message.id, delivery_id=found.delivery.id, came_in=True, states=WAITING)
    if not house.store.act(query, DEEDS[deed][0], by=who.by):
        raise HTTPException(409, "Its bytes are gone, or its state has changed meanwhile. Go back and load the page again")
    house.notify()
    return RedirectResponse(f"/quarantine?did={deed}", 303)


def _known(house: House, text: str) -> Found:
    found, _ = house.store.find(Query(delivery_id=DeliveryId(seek_id(text)), came_in=True, states=WAITING), limit=1)
    if not found:
        raise HTTPException(404, "This mail is not in quarantine any more; somebody may have dealt with it")
    return found[0]
