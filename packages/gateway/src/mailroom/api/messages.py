"""What became of a mail, and what people do about it. A token of an application sees and touches its mail alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from mailroom import moving, ports
from mailroom.api import shapes
from mailroom.api.guard import MayAct, MayRead
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.objects import Token
from mailroom.ports import Action
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import DeliveryId, MessageId, State, seek_id

router = APIRouter(tags=["Messages"])
_PIECE = 256 * 1024
_STEP = 1000
"""Deliveries that are changed in one transaction."""
_PATIENCE = 10.0
"""Seconds that one request may go on changing."""
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2080, 1, 1, tzinfo=UTC)

Words = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]


class What(Enum):
    """What can be done to deliveries."""

    RETRY = "retry"
    SEND_NOW = "send-now"
    CANCEL = "cancel"
    IGNORE = "ignore"
    HOLD = "hold"


ACTIONS = {
    What.RETRY: Action.RETRY,
    What.SEND_NOW: Action.SEND_NOW,
    What.CANCEL: Action.CANCEL,
    What.IGNORE: Action.IGNORE,
    What.HOLD: Action.HOLD,
}


class Selection(BaseModel):
    """Which deliveries. All that is given must match."""

    model_config = ConfigDict(extra="forbid")

    text: Words = ""
    """A part of a recipient, of the envelope sender or of the subject, or a whole Message-ID."""
    message_id: Words = ""
    """The header field Message-ID."""
    state: list[State] = []
    application: Words = ""
    account: Words = ""
    lane: Words = ""
    tag: Words = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def query(self, token: Token) -> ports.Query | None:
        """None if nothing can match: the token belongs to another application."""
        if token.application and self.application not in ("", token.application):
            return None
        return ports.Query(
            text=self.text,
            header_message_id=self.message_id,
            states=frozenset(self.state),
            application=token.application or self.application,
            account=self.account,
            lane=self.lane,
            tag=self.tag,
            since=within(self.since),
            until=within(self.until),
        )


class Search(Selection):
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    cursor: Annotated[str, StringConstraints(max_length=20, pattern="^[0-9]*$")] = ""
    """`next` of the page before."""


class Order(BaseModel):
    """One action for all that match."""

    model_config = ConfigDict(extra="forbid")

    action: What
    query: Selection = Selection()
    everything: bool = False
    """Needed when nothing narrows the selection."""


class Removal(BaseModel):
    """Another outgoing server for all that match."""

    model_config = ConfigDict(extra="forbid")

    server: Annotated[Words, StringConstraints(min_length=1)]
    query: Selection = Selection()
    everything: bool = False
    """Needed when nothing narrows the selection."""


def within(at: datetime | None) -> datetime | None:
    """No mail is older or younger; ids know no other times."""
    return None if at is None else min(max(at, _EARLIEST), _LATEST)


@router.get("/messages")
def search(token: MayRead, office: TheOffice, search: Annotated[Search, Query()]) -> shapes.Page:
    """Find mail: deliveries, newest first."""
    query = search.query(token)
    after = search.cursor if not search.cursor or int(search.cursor) < 2**63 else str(2**63 - 1)
    if query is None:
        return shapes.Page(items=[], next="")
    return shapes.page(*office.store.find(query, limit=search.limit, after=after))


@router.get("/messages/{id}")
def story(token: MayRead, office: TheOffice, id: str) -> shapes.Story:
    """One mail with all that happened to it."""
    return shapes.story(_story(office, token, id, reading=True))


@router.get("/messages/{id}/raw", response_class=Response, responses={200: {"content": {"message/rfc822": {}}}})
def raw(token: MayRead, office: TheOffice, id: str) -> Response:
    """Its bytes, as long as they are kept."""
    number = _story(office, token, id, reading=True).message.id
    message = office.store.read(number)
    if message is None or (message.raw is None and not message.blob):
        raise Problem(410, "The bytes of this mail are gone: they are kept for the time that `queue.keep_raw` says")
    headers = {"Content-Disposition": f'attachment; filename="{id.lower()}.eml"', "Content-Security-Policy": "sandbox"}
    if message.raw is not None:
        return StreamingResponse(_pieces(InMemory(message.raw)), media_type="message/rfc822", headers=headers)
    blob = office.blobs.open(message.blob)
    headers["Content-Length"] = str(blob.size)
    return StreamingResponse(_pieces(blob), media_type="message/rfc822", headers=headers, background=BackgroundTask(blob.close))


def _pieces(source: ReadAt) -> Iterator[bytes]:
    for offset in range(0, source.size, _PIECE):
        yield source.read_at(offset, _PIECE)


@router.post("/messages/{id}/{action}")
def act(token: MayAct, office: TheOffice, id: str, action: What) -> shapes.Changed:
    """Retry, send now, cancel, ignore or hold a mail, for all of its recipients that it is possible for."""
    found = _story(office, token, id)
    return _act_on(office, token, ports.Query(message_id=found.message.id), action)


@router.post("/messages/{id}/deliveries/{delivery}/{action}")
def act_on_delivery(token: MayAct, office: TheOffice, id: str, delivery: str, action: What) -> shapes.Changed:
    """The same for one recipient."""
    found = _story(office, token, id)
    number = DeliveryId(seek_id(delivery))
    if number not in [each.id for each in found.deliveries]:
        raise Problem(404, f"The mail {id} has no such delivery; GET it to see those that it has")
    return _act_on(office, token, ports.Query(message_id=found.message.id, delivery_id=number), action)


@router.post("/actions")
def act_on_all(token: MayAct, office: TheOffice, order: Order) -> shapes.Changed:
    """The same for all that match. It works for ten seconds at most; with `done` false, ask again."""
    query = order.query.query(token)
    if query is None:
        return shapes.Changed(changed=0)
    if query == ports.Query() and not order.everything:
        raise Problem(422, "This would touch all mail: narrow it with `query`, or say `everything: true`")
    # What this request brings back into the queue may fail again: only mail of before is meant.
    if query.until is None:
        query = replace(query, until=office.clock())
    return _change(office, token, query, order.action)


@router.post("/moves")
def move(token: MayAct, office: TheOffice, removal: Removal) -> shapes.Changed:
    """Let what is queued, held or failed go by another outgoing server, whose FROM filter has to let it. Up to 100,000 at once.

    The state stays: retry what has failed. What is being sent, and what nobody knows the outcome of, stays where it is.
    """
    query = removal.query.query(token)
    if query is None:
        return shapes.Changed(changed=0)
    if query == ports.Query() and not removal.everything:
        raise Problem(422, "This would touch all mail: narrow it with `query`, or say `everything: true`")
    by = f"token:{token.name}"
    changed = moving.move(office.store, office.directory(), query, removal.server, by=by, servers_of=office.servers_of)
    if changed:
        office.notify()
    return shapes.Changed(changed=changed, done=changed < moving.MOST)


def _act_on(office: Office, token: Token, query: ports.Query, what: What) -> shapes.Changed:
    done = _change(office, token, query, what)
    if not done.changed:
        raise Problem(
            409, f"It is not possible to {what.value} this now; GET the mail to see its states. What has left can't be called back"
        )
    return done


def _change(office: Office, token: Token, query: ports.Query, what: What) -> shapes.Changed:
    until = time.monotonic() + _PATIENCE
    total, step = 0, _STEP
    while step == _STEP and time.monotonic() < until:
        step = office.store.act(query, ACTIONS[what], by=f"token:{token.name}", limit=_STEP)
        total += step
    if total:
        office.notify()
    return shapes.Changed(changed=total, done=step < _STEP)


def _story(office: Office, token: Token, text: str, *, reading: bool = False) -> ports.Story:
    """Raises Problem, also for the mail of others: nobody learns that it is there."""
    found = office.store.story(MessageId(seek_id(text)))
    if found is None or not (token.application in ("", found.message.application) or (reading and _answers(office, token, found))):
        raise Problem(404, f"There is no mail {text[:20]!r}; ids have 13 characters, as POST /v1/messages answers them")
    return found


def _answers(office: Office, token: Token, story: ports.Story) -> bool:
    """Whether a mail came in for the destination that takes the answers to the application's mail."""
    application = office.directory().applications.get(token.application)
    return bool(application and application.answers and any(each.server == application.answers for each in story.deliveries))
