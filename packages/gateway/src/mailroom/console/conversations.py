"""Conversations of the built-in inbox: what came in and went out in one thread, with notes, answers, and who takes care of it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom.console.door import Door, TheDoor
from mailroom.console.forms import Entered, Field, Given, given_by, mistakes
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.visitor import Visitor, at_least
from mailroom.console.words import Word, word_of
from mailroom.conversations import Conversation, ConversationId, Entry, EntryKind, Stage
from mailroom.intake.correspond import Draft, OtherAnswer
from mailroom.intake.letter import MOST_FILES, File, Letter
from mailroom.objects import InboxTarget, Role
from mailroom.ports import Query as Selection
from mailroom_core.errors import ConfigError, Refused
from mailroom_core.mime.headers import format_addresses
from mailroom_core.model import MessageId, State, seek_id, show_id

router = APIRouter(prefix="/conversations")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
Cursor = Annotated[str, Query(pattern=r"^([0-9]{1,18}\.[0-9]{1,18})?$")]
PAGE = 50
LONGEST = 100_000
"""Characters of a note or an answer, as in the API."""
FOLLOWED = 20
"""Of so many answers, the newest ones, a thread says what has become of them."""
KINDS = {
    EntryKind.MAIL_IN: ("Mail in", "busy"),
    EntryKind.MAIL_OUT: ("Mail out", "good"),
    EntryKind.BOUNCE: ("Came back", "bad"),
    EntryKind.NOTE: ("Note", "warn"),
}
"""What an entry is called, and its colour."""
TEXT, FROM, CC, FILES = Field("text", "Answer"), Field("sender", "From"), Field("cc", "Cc"), Field("files", "Files")
ANSWER = (TEXT, FROM, CC, FILES, Field("key", ""))
URGENT = (State.BOUNCED, State.FAILED, State.HELD, State.UNSURE, State.QUEUED, State.SENDING, State.SENT)
"""Which recipient of an answer is spoken of: the one that needs somebody most."""


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


def _page(
    request: Request,
    house: House,
    door: Door,
    id: str,
    *,
    status: int = 200,
    note: str = "",
    note_wrong: str = "",
    given: Given | None = None,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    """What was entered stays, except files: no browser sends them again by itself."""
    found, entries = _known(house, id)
    draft = house.way_in.correspondence.draft(found.id)
    thread, version = _thread(request, house, found, entries)
    target = house.directory().destinations.get(found.destination)
    values: dict[str, Any] = {
        "found": found,
        "Stage": Stage,
        "people": _people(door, found),
        "followers": target.target.followers if target and isinstance(target.target, InboxTarget) else (),
        "thread": thread,
        "version": version,
        "draft": draft,
        "to": format_addresses(draft.to),
        "given": given or _usual(draft),
        "wrong": wrong or {},
        "note": note,
        "note_wrong": note_wrong,
    }
    return page(request, "conversation.html", status=status, LONGEST=LONGEST, MOST_FILES=MOST_FILES, **values)


def _usual(draft: Draft) -> Given:
    return {"text": "", "sender": "", "cc": format_addresses(draft.cc), "key": secrets.token_hex(16)}


@router.get("/{id}/live")
def live(request: Request, house: TheHouse, id: str, seen: str = "") -> Response:
    """The thread; nothing if nothing was said meanwhile."""
    thread, version = _thread(request, house, *_known(house, id))
    return Response(status_code=204) if version == seen else HTMLResponse(thread)


def _thread(request: Request, house: House, found: Conversation, entries: list[Entry]) -> tuple[str, str]:
    became = _became(house, entries)
    version = _version(repr((found.stage, entries, became)))
    values = {"found": found, "Stage": Stage, "entries": entries, "KINDS": KINDS, "became": became, "version": version}
    return fragment(request, "conversation_thread.html", **values), version


def _became(house: House, entries: list[Entry]) -> dict[MessageId, Word]:
    """What has become of the answers."""
    sent = [each.message_id for each in entries if each.kind is EntryKind.MAIL_OUT and each.message_id is not None]
    words = {}
    for number in sent[-FOLLOWED:]:
        found, _ = house.store.find(Selection(message_id=number), limit=100)
        worst = min((each.delivery.state for each in found), key=lambda state: (*URGENT, *State).index(state), default=None)
        if worst is not None:
            words[number] = word_of(found[0].message, worst)
    return words


@router.post("/{id}/answer")
async def answer(request: Request, house: TheHouse, door: TheDoor, who: Operator, form: Entered, id: str) -> Response:
    """By mail, to whom the last mail came from; with `close`, that is the end of it."""
    found, _ = await asyncio.to_thread(_known, house, id)
    given = given_by(ANSWER, form)
    given["text"] = given["text"].replace("\r\n", "\n")
    wrong = _unanswerable(given["text"])
    if not wrong:
        key = f"{found.id} {given['key'][:64]}" if given["key"] else ""
        letter = Letter(text=given["text"], sender=given["sender"], cc=given["cc"], files=_files(form), key=key)
        try:
            number = await house.way_in.correspondence.answer(found.id, letter)
        except OtherAnswer:
            given["key"] = secrets.token_hex(16)
            wrong = {"text": "This form has sent another answer, which stands above; send it again if this one shall leave as well"}
        except ConfigError as problem:
            wrong = mistakes(problem, ANSWER)
        except Refused as problem:
            wrong = {"": problem.text}
    if wrong:
        return await asyncio.to_thread(_page, request, house, door, id, status=422, given=given, wrong=wrong)
    return await asyncio.to_thread(_answered, house, found, number, who, close="close" in form)


def _answered(house: House, found: Conversation, number: MessageId, who: Visitor, *, close: bool) -> Response:
    house.store.audit(by=who.by, what=f"answer {show_id(number)}", kind="conversation", name=show_id(found.id))
    if close:
        house.store.conversations.change(found.id, by=who.by, stage=Stage.CLOSED)
    return _back(found)


def _unanswerable(text: str) -> dict[str, str]:
    if not text:
        return {"text": "The answer is empty; write something"}
    return {"text": f"An answer has at most {LONGEST:,} characters; send the rest as a file"} if len(text) > LONGEST else {}


def _files(form: FormData) -> tuple[File, ...]:
    found = [each for each in form.getlist("files") if isinstance(each, UploadFile) and (each.filename or each.size)]
    return tuple(
        File(name=each.filename or "", content_type=each.content_type or "", size=each.size or 0, read=each.file.read) for each in found
    )


@router.post("/{id}/note")
def note(request: Request, house: TheHouse, door: TheDoor, who: Operator, form: Entered, id: str) -> Response:
    """For those who work on it; nobody else gets it."""
    found, _ = _known(house, id)
    text = str(form.get("text", "")).replace("\r\n", "\n").strip()
    if not text or len(text) > LONGEST:
        error = f"A note has at most {LONGEST:,} characters; make two of it" if text else "The note is empty; write something"
        return _page(request, house, door, id, status=422, note=text, note_wrong=error)
    house.store.conversations.note(found.id, Entry(kind=EntryKind.NOTE, at=house.clock(), author=who.name, text=text))
    return _back(found)


@router.post("/{id}/assign")
def assign(house: TheHouse, door: TheDoor, who: Operator, form: Entered, id: str) -> Response:
    found, _ = _known(house, id)
    assignee = str(form.get("assignee", ""))
    if assignee and assignee not in _people(door, found):
        raise HTTPException(422, f"There is no user {assignee[:120]!r} of the console; choose one of the list, or nobody")
    house.store.conversations.change(found.id, by=who.by, assignee=assignee)
    return _back(found)


@router.post("/{id}/close")
def close(house: TheHouse, who: Operator, id: str) -> Response:
    return _stage(house, id, Stage.CLOSED, who)


@router.post("/{id}/reopen")
def reopen(house: TheHouse, who: Operator, id: str) -> Response:
    return _stage(house, id, Stage.OPEN, who)


def _stage(house: House, id: str, stage: Stage, who: Visitor) -> Response:
    found, _ = _known(house, id)
    house.store.conversations.change(found.id, by=who.by, stage=stage)
    return _back(found)


def _back(found: Conversation) -> Response:
    return RedirectResponse(f"/conversations/{show_id(found.id)}", 303)


def _people(door: TheDoor, found: Conversation) -> list[str]:
    """Who may be chosen; somebody that a program has chosen stays among them."""
    return sorted({each.name for each in door.staff.all()} | ({found.assignee} - {""}))


def _known(house: House, text: str) -> tuple[Conversation, list[Entry]]:
    found = house.store.conversations.one(ConversationId(seek_id(text)))
    if found is None:
        raise HTTPException(404, "There is no conversation with this id; look for it in the list of conversations")
    return found


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
