"""Conversations of the built-in inbox: what came in and went out in one thread, with notes, and who takes care of it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom.console.door import TheDoor
from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.visitor import Visitor, at_least
from mailroom.conversations import Conversation, ConversationId, Entry, EntryKind, Stage
from mailroom.objects import InboxTarget, Role
from mailroom_core.model import read_id, show_id

router = APIRouter(prefix="/conversations")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
Cursor = Annotated[str, Query(pattern=r"^([0-9]{1,18}\.[0-9]{1,18})?$")]
PAGE = 50
LONGEST = 100_000
"""Characters of a note, as in the API."""
KINDS = {
    EntryKind.MAIL_IN: ("Mail in", "busy"),
    EntryKind.MAIL_OUT: ("Mail out", "good"),
    EntryKind.BOUNCE: ("Came back", "bad"),
    EntryKind.NOTE: ("Note", "warn"),
}
"""What an entry is called, and its colour."""


@router.get("")
def show(request: Request, house: TheHouse, stage: Stage = Stage.OPEN, destination: str = "", after: Cursor = "") -> HTMLResponse:
    """Those that changed last come first."""
    listed = _listed(request, house, stage, destination, after)
    house.look()
    inboxes = [name for name, each in sorted(house.directory().destinations.items()) if isinstance(each.target, InboxTarget)]
    names = [*inboxes, *([destination] if destination and destination not in inboxes else [])]
    return page(request, "conversations.html", listed=listed, stage=stage, Stage=Stage, destination=destination, names=names)


@router.get("/list")
def refresh(
    request: Request, house: TheHouse, stage: Stage = Stage.OPEN, destination: str = "", after: Cursor = "", seen: str = ""
) -> Response:
    """The same list; nothing if it is still the same."""
    listed = _listed(request, house, stage, destination, after)
    if seen and f'data-version="{seen}"' in listed:
        return Response(status_code=204)
    return HTMLResponse(listed)


def _listed(request: Request, house: House, stage: Stage, destination: str, after: str) -> str:
    found, older = house.store.conversations.all(stage=stage, destination=destination, limit=PAGE, after=after)
    known = bool(found) or bool(house.store.conversations.all(limit=1)[0])
    version = _version(repr((found, older, known)))
    values = {"stage": stage, "Stage": Stage, "destination": destination, "after": after, "older": older, "known": known}
    return fragment(request, "conversations_list.html", found=found, version=version, **values)


@router.get("/{id}")
def one(request: Request, house: TheHouse, door: TheDoor, id: str) -> Response:
    return _page(request, house, door, id)


def _page(request: Request, house: House, door: TheDoor, id: str, *, status: int = 200, error: str = "", text: str = "") -> Response:
    found, entries = _known(house, id)
    people = _people(door, found)
    thread, version = _thread(request, found, entries)
    values: dict[str, Any] = {"found": found, "Stage": Stage, "people": people, "thread": thread, "version": version}
    return page(request, "conversation.html", status=status, error=error, text=text, LONGEST=LONGEST, **values)


@router.get("/{id}/live")
def live(request: Request, house: TheHouse, id: str, seen: str = "") -> Response:
    """The thread; nothing if nothing was said meanwhile."""
    thread, version = _thread(request, *_known(house, id))
    return Response(status_code=204) if version == seen else HTMLResponse(thread)


def _thread(request: Request, found: Conversation, entries: list[Entry]) -> tuple[str, str]:
    version = _version(repr((found.stage, entries)))
    values = {"found": found, "Stage": Stage, "entries": entries, "KINDS": KINDS, "version": version}
    return fragment(request, "conversation_thread.html", **values), version


@router.post("/{id}/note")
def note(request: Request, house: TheHouse, door: TheDoor, who: Operator, form: Entered, id: str) -> Response:
    """For those who work on it; nobody else gets it."""
    found, _ = _known(house, id)
    text = str(form.get("text", "")).replace("\r\n", "\n").strip()
    if not text or len(text) > LONGEST:
        error = f"A note has at most {LONGEST:,} characters; make two of it" if text else "The note is empty; write something"
        return _page(request, house, door, id, status=422, error=error, text=text)
    house.store.conversations.note(found.id, Entry(kind=EntryKind.NOTE, at=house.clock(), author=who.name, text=text))
    return _back(found)


@router.post("/{id}/assign")
def assign(house: TheHouse, door: TheDoor, who: Operator, form: Entered, id: str) -> Response:
    found, _ = _known(house, id)
    assignee = str(form.get("assignee", ""))
    if assignee and assignee not in _people(door, found):
        raise HTTPException(422, f"There is no user {assignee[:120]!r} of the console; choose one of the list, or nobody")
    house.store.conversations.change(found.id, assignee=assignee)
    return _back(found)


@router.post("/{id}/close")
def close(house: TheHouse, who: Operator, id: str) -> Response:
    return _stage(house, id, Stage.CLOSED)


@router.post("/{id}/reopen")
def reopen(house: TheHouse, who: Operator, id: str) -> Response:
    return _stage(house, id, Stage.OPEN)


def _stage(house: House, id: str, stage: Stage) -> Response:
    found, _ = _known(house, id)
    house.store.conversations.change(found.id, stage=stage)
    return _back(found)


def _back(found: Conversation) -> Response:
    return RedirectResponse(f"/conversations/{show_id(found.id)}", 303)


def _people(door: TheDoor, found: Conversation) -> list[str]:
    """Who may be chosen; somebody that a program has chosen stays among them."""
    return sorted({each.name for each in door.staff.all()} | ({found.assignee} - {""}))


def _known(house: House, text: str) -> tuple[Conversation, list[Entry]]:
    try:
        number = read_id(text)
    except ValueError:
        number = -1
    found = house.store.conversations.one(ConversationId(number)) if 0 <= number < 2**63 else None
    if found is None:
        raise HTTPException(404, "There is no conversation with this id; look for it in the list of conversations")
    return found


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
