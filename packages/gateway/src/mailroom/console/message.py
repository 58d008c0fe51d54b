"""One mail: its story, what a person can do about it, and the mail itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi import Query as Parameter
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from mailroom.console import rendering
from mailroom.console.explaining import beside
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.visitor import Visitor, at_least
from mailroom.console.words import BY_SLUG, DEEDS, called, possible, timeline, word_of
from mailroom.objects import Role
from mailroom.ports import Action, Query, Story
from mailroom_core.errors import MimeError
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import FINAL, DeliveryId, MessageId, seek_id, show_id

router = APIRouter(prefix="/messages")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
PIECE = 256 * 1024
SOURCE = 200_000
"""Bytes of the source that a page shows."""
VIEWS = ("html", "text", "source")
Place = Annotated[str, Parameter(pattern=r"^mail[0-9A-Za-z-]{0,40}$")]
"""The element of the page that shows the mail."""


@router.get("/{id}")
def show(request: Request, house: TheHouse, id: str, did: str = "", n: int = 0) -> HTMLResponse:
    story = story_of(house, id)
    deed = called(BY_SLUG[did], came_in=bool(story.message.source)) if did in BY_SLUG else None
    live, version = _live(request, house, story)
    done = f"{n} {'recipient' if n == 1 else 'recipients'}: {deed.done}." if deed and 0 < n < 100_000 else ""
    return page(request, "message.html", story=story, live=live, version=version, done=done)


@router.get("/{id}/live")
def refresh(request: Request, house: TheHouse, id: str, seen: str = "") -> Response:
    """The part that changes; nothing if it has not."""
    story = story_of(house, id)
    live, version = _live(request, house, story)
    if version == seen:
        return Response(status_code=204)
    return HTMLResponse(fragment(request, "message_live.html", story=story, live=live, version=version))


def _live(request: Request, house: House, story: Story) -> tuple[str, str]:
    now, came_in = house.clock(), bool(story.message.source)
    text = fragment(
        request,
        "message_now.html",
        story=story,
        moments=timeline(story),
        deeds={delivery.id: possible(delivery, now, came_in=came_in) for delivery in story.deliveries},
        DEEDS=[called(deed, came_in=came_in) for deed in DEEDS],
        explained={delivery.id: beside(delivery.reply) for delivery in story.deliveries if delivery.reply},
        word_of=word_of,
        FINAL=FINAL,
    )
    return text, hashlib.sha256(text.encode()).hexdigest()[:16]


@router.post("/{id}/act")
def act(
    request: Request,
    house: TheHouse,
    who: Operator,
    id: str,
    action: Annotated[str, Form()],
    delivery: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Something for all recipients that it is possible for, or for one."""
    story = story_of(house, id)
    deed = BY_SLUG.get(action)
    if deed is None:
        raise HTTPException(404, "This can't be done to mail; load the page again")
    one = DeliveryId(seek_id(delivery)) if delivery else None
    if one is not None and one not in [each.id for each in story.deliveries]:
        raise HTTPException(404, "This mail has no such recipient; load the page again")
    changed = _act(house, Query(message_id=story.message.id, delivery_id=one), deed.action, who)
    if not changed:
        raise HTTPException(
            409, f"“{deed.name}” is not possible any more: its state has changed meanwhile. Go back and load the page again"
        )
    return RedirectResponse(f"/messages/{show_id(story.message.id)}?did={deed.slug}&n={changed}", 303)


def _act(house: House, query: Query, action: Action, who: Visitor) -> int:
    changed = house.store.act(query, action, by=who.by)
    if changed:
        house.notify()
    return changed


# ---- the mail itself


@router.get("/{id}/mail")
def mail(request: Request, house: TheHouse, id: str, view: str = "", place: Place = "mail") -> HTMLResponse:
    """The part of the page that shows the mail, loaded after the rest: a large one takes a moment."""
    story = story_of(house, id)
    with opened(house, story) as source:
        if source is None:
            return HTMLResponse(fragment(request, "message_mail.html", story=story, gone=True))
        try:
            shown = rendering.shown(source, index(source))
        except MimeError as problem:
            shown = rendering.unreadable(str(problem))
        views = [each for each in VIEWS if each == "source" or (shown.html if each == "html" else shown.text)]
        chosen = view if view in views else views[0]
        text = source.read_at(0, SOURCE).decode("utf-8", "replace") if chosen == "source" else ""
    values = {"story": story, "shown": shown, "view": chosen, "views": views, "source": text, "SOURCE": SOURCE}
    return HTMLResponse(fragment(request, "message_mail.html", gone=False, place=place, **values))


@router.get("/{id}/html")
def html(house: TheHouse, id: str) -> Response:
    """The HTML of a mail for the frame of the page: it can do nothing there, and loads nothing."""
    story = story_of(house, id)
    with opened(house, story) as source:
        if source is None:
            raise HTTPException(410, "The bytes of this mail are gone")
        document = rendering.frame(source, index(source))
    return HTMLResponse(document, headers=rendering.FRAME)


@router.get("/{id}/raw")
def raw(house: TheHouse, id: str) -> Response:
    """The mail as it came, as a file."""
    story = story_of(house, id)
    headers = {"Content-Disposition": f'attachment; filename="{show_id(story.message.id)}.eml"', "Content-Security-Policy": "sandbox"}
    source, close = _open(house, story)
    return StreamingResponse(_pieces(source), media_type="message/rfc822", headers=headers, background=BackgroundTask(close))


@router.get("/{id}/attachments/{number}")
def attachment(house: TheHouse, id: str, number: int) -> Response:
    """A file that hangs on the mail. It is saved, never shown: nobody knows what is in it."""
    story = story_of(house, id)
    source, close = _open(house, story)
    try:
        found = rendering.attachment(source, index(source), number)
    except BaseException:
        close()
        raise
    headers = {
        "Content-Disposition": rendering.disposition(found.name),
        "Content-Security-Policy": "sandbox",
        "Content-Length": str(found.size),
    }
    return StreamingResponse(found.pieces, media_type="application/octet-stream", headers=headers, background=BackgroundTask(close))


def _pieces(source: ReadAt) -> Iterator[bytes]:
    for offset in range(0, source.size, PIECE):
        yield source.read_at(offset, PIECE)


@contextmanager
def opened(house: House, story: Story) -> Iterator[ReadAt | None]:
    """None if its bytes are gone."""
    try:
        source, close = _open(house, story)
    except HTTPException:
        yield None
        return
    try:
        yield source
    finally:
        close()


def _open(house: House, story: Story) -> tuple[ReadAt, rendering.Close]:
    kept = house.store.read(story.message.id)
    if kept is None or (kept.raw is None and not kept.blob):
        raise HTTPException(410, "The bytes of this mail are gone: they are kept for the time that queue.keep_raw says")
    if kept.raw is not None:
        return InMemory(kept.raw), lambda: None
    blob = house.blobs.open(kept.blob)
    return blob, blob.close


def story_of(house: House, text: str) -> Story:
    found = house.store.story(MessageId(seek_id(text)))
    if found is None:
        raise HTTPException(404, "There is no mail with this id, or it is so old that it has been forgotten")
    return found
