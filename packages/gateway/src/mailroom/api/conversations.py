"""Conversations: what came in and went out in one thread, with notes. A token of an application sees those of the destination that
takes the answers to its mail, and no others."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from mailroom import conversations
from mailroom.api.guard import MayReadConversations, MayWriteConversations
from mailroom.api.mail import Text
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.api.sending import Key, key_of
from mailroom.api.shapes import Accepted
from mailroom.conversations import ConversationId, EntryKind, Stage
from mailroom.intake.correspond import OtherAnswer
from mailroom.intake.letter import Letter
from mailroom.objects import Token
from mailroom_core.model import seek_id, show_id

router = APIRouter(tags=["Conversations"])
Words = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]


def _some(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; write something")
    return text


class Conversation(BaseModel):
    id: str
    destination: str
    subject: str
    customer: str
    """Who wrote the first mail."""
    stage: Stage
    assignee: str
    opened_at: datetime
    changed_at: datetime


class Page(BaseModel):
    """Those that changed last come first. `next` is the cursor of the next page, empty at the end."""

    items: list[Conversation]
    next: str


class Entry(BaseModel):
    """One thing that was said, or happened."""

    kind: EntryKind
    at: datetime
    author: str
    """An address; for a note who wrote it."""
    text: str
    """Its words, without quotes and signature where they could be told apart."""
    message: str | None
    """The id of the mail."""
    url: str | None
    """Where the mail itself is, with its story: `/v1/messages/ID`."""
    message_id: str
    """The header field Message-ID."""


class Whole(Conversation):
    """A conversation and what stands in it, oldest first."""

    entries: list[Entry]


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[Text, StringConstraints(max_length=100_000), AfterValidator(_some)]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    text: Annotated[Text, StringConstraints(max_length=100_000), AfterValidator(_some)]
    html: Annotated[Text, StringConstraints(max_length=100_000)] = ""
    sender: Annotated[Words, Field(alias="from")] = ""
    """One of our aliases there, or the address that was written to; empty: that address."""
    cc: Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    """Who else gets it: addresses with commas in between."""


class Change(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    stage: Stage | None = None
    assignee: Words | None = None
    """Who takes care of it; empty: nobody."""


class Search(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stage: Stage | None = None
    destination: Words = ""
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    cursor: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,18}\.[0-9]{1,18})?$")] = ""
    """`next` of the page before."""


@router.get("/conversations")
def search(token: MayReadConversations, office: TheOffice, search: Annotated[Search, Query()]) -> Page:
    """All conversations of a stage or a destination."""
    own = _own(office, token)
    if (own is not None and search.destination not in ("", own)) or own == "":
        return Page(items=[], next="")
    found, cursor = office.store.conversations.all(
        stage=search.stage, destination=own or search.destination, limit=search.limit, after=search.cursor
    )
    return Page(items=[_conversation(each) for each in found], next=cursor)


@router.get("/conversations/{id}")
def one(token: MayReadConversations, office: TheOffice, id: str) -> Whole:
    """A conversation with all that was said in it."""
    found, entries = seen(office, token, id)
    return _whole(found, entries)


@router.post("/conversations/{id}/notes", status_code=201)
def note(token: MayWriteConversations, office: TheOffice, id: str, note: Note) -> Whole:
    """Write something down for those who work on it; nobody else gets it."""
    found, _ = seen(office, token, id)
    entry = conversations.Entry(kind=EntryKind.NOTE, at=office.clock(), author=token.name, text=note.text)
    office.store.conversations.note(found.id, entry)
    return one(token, office, id)


@router.post("/conversations/{id}/answers", status_code=202)
async def answer(token: MayWriteConversations, office: TheOffice, id: str, answer: Answer, idempotency_key: Key = "") -> Accepted:
    """Answer the last mail that came in, by mail; the answer stands in the conversation."""
    found, _ = await asyncio.to_thread(seen, office, token, id)
    key = f"{found.id} {key_of(idempotency_key)}" if idempotency_key else ""
    letter = Letter(text=answer.text, html=answer.html, sender=answer.sender, cc=answer.cc, key=key)
    try:
        number = await office.correspondence.answer(found.id, letter)
    except OtherAnswer as problem:
        raise Problem(409, str(problem)) from None
    return Accepted(id=show_id(number))


@router.patch("/conversations/{id}")
def change(token: MayWriteConversations, office: TheOffice, id: str, change: Change) -> Whole:
    """Open it, close it, or give it to somebody."""
    found, _ = seen(office, token, id)
    office.store.conversations.change(found.id, by=f"token:{token.name}", stage=change.stage, assignee=change.assignee)
    return one(token, office, id)


def seen(office: Office, token: Token, text: str) -> tuple[conversations.Conversation, list[conversations.Entry]]:
    """Raises Problem, also for those of others: nobody learns that it is there."""
    found = office.store.conversations.one(ConversationId(seek_id(text)))
    if found is None or _own(office, token) not in (None, found[0].destination):
        raise Problem(404, f"There is no conversation {text[:20]!r}; GET /v1/conversations lists those that there are")
    return found


def _own(office: Office, token: Token) -> str | None:
    """The destination whose conversations a token may see; None: all of them, empty: none."""
    if not token.application:
        return None
    application = office.directory().applications.get(token.application)
    return application.answers if application else ""


def _conversation(item: conversations.Conversation) -> Conversation:
    return Conversation(
        id=show_id(item.id),
        destination=item.destination,
        subject=item.subject,
        customer=item.customer,
        stage=item.stage,
        assignee=item.assignee,
        opened_at=item.opened_at,
        changed_at=item.changed_at,
    )


def _whole(item: conversations.Conversation, entries: list[conversations.Entry]) -> Whole:
    return Whole(**dict(_conversation(item)), entries=[_entry(each) for each in entries])


def _entry(item: conversations.Entry) -> Entry:
    number = None if item.message_id is None else show_id(item.message_id)
    return Entry(
        kind=item.kind,
        at=item.at,
        author=item.author,
        text=item.text,
        message=number,
        url=None if number is None else f"/v1/messages/{number}",
        message_id=item.header_message_id,
    )
