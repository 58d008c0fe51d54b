"""Delta queries: what is new in a folder since the last time (facts 3.5)."""

import base64
import binascii
import itertools
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from mailroom_emulator.graph import filters
from mailroom_emulator.graph.call import Call
from mailroom_emulator.graph.errors import GraphError, bad_request
from mailroom_emulator.graph.listing import LARGEST_PAGE, render_one
from mailroom_emulator.mailbox import Change, Folder, Mailbox, StoredMessage

_FILTERED_LIMIT = 5000
_DEFAULT_PAGE = 10


@dataclass(frozen=True)
class _Position:
    """Where a client stands, packed into its token.

    `since` is the number of the last change that it knows. While it still reads the first full round, `before` is the
    place (time, serial) of the last message that it got, and `seen` how many there were.
    """

    folder: str
    epoch: int
    since: int
    full: bool
    before: tuple[str, int] | None = None
    seen: int = 0
    select: str = ""
    newest: str = ""  # the time of a receivedDateTime filter

    def pack(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()


async def delta(call: Call) -> Response:
    folder = call.folder()
    position = _position(call, folder)
    call.query["select"] = position.select
    size = _page_size(call)
    if position.full:
        value, following, done = _full(call, folder, position, size)
    else:
        value, following, done = _changed(call, folder, position, size)
    link, name = ("@odata.deltaLink", "$deltatoken") if done else ("@odata.nextLink", "$skiptoken")
    path = f"/v1.0/users/{call.account.oid}/mailFolders/{quote(folder.id)}/messages/delta"
    body = {"@odata.context": call.context("messages"), "value": value}
    body[link] = f"{call.hosts.graph}{path}?{name}={following.pack()}"
    return JSONResponse(body)


def _position(call: Call, folder: Folder) -> _Position:
    token = call.query.get("deltatoken") or call.query.get("skiptoken")
    epoch = call.mailbox.delta_epoch
    if token is None:
        return _start(call, folder, epoch)
    try:
        value = json.loads(base64.urlsafe_b64decode(token))
        value["before"] = tuple(value["before"]) if value["before"] else None
        position = _Position(**value)
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise bad_request("Badly formed token.", "ErrorInvalidSyncStateData") from error
    if position.epoch != epoch or position.folder != folder.id:
        again = f"{call.hosts.graph}{quote(call.path)}"
        raise GraphError(410, "SyncStateNotFound", "The sync state generation is not found.", {"Location": again})
    return position


def _start(call: Call, folder: Folder, epoch: int) -> _Position:
    for name in ("search", "skip"):
        if name in call.query:
            raise bad_request(f"The query parameter '${name}' is not supported with delta.", "ErrorInvalidUrlQuery")
    if call.query.get("orderby", "receivedDateTime desc").lower() != "receiveddatetime desc":
        raise bad_request("Only $orderby=receivedDateTime desc is supported with delta.", "ErrorInvalidUrlQuery")
    return _Position(
        folder=folder.id,
        epoch=epoch,
        since=len(call.mailbox.changes),
        full=True,
        select=call.query.get("select", ""),
        newest=_filter_time(call),
    )


def _filter_time(call: Call) -> str:
    text = call.query.get("filter")
    if not text:
        return ""
    operators = ("ge", "gt") if call.emulator.switches.delta_gt else ("ge",)
    match filters.parse(text):
        case filters.Compare("receiveddatetime", operator, datetime() as moment) if operator in operators:
            return moment.isoformat()
        case _:
            raise bad_request("Only a value of 'receivedDateTime ge value' is supported.", "ErrorInvalidUrlQueryFilter")


def _page_size(call: Call) -> int:
    text = call.preference("odata.maxpagesize") or call.query.get("top") or str(_DEFAULT_PAGE)
    return min(int(text), LARGEST_PAGE) if text.isdigit() and int(text) else _DEFAULT_PAGE


def _full(call: Call, folder: Folder, position: _Position, size: int) -> tuple[list[Any], _Position, bool]:
    """A page of the first round, newest first."""
    before = (datetime.fromisoformat(position.before[0]), position.before[1]) if position.before else None
    since = datetime.fromisoformat(position.newest) if position.newest else None
    limit = min(size, _FILTERED_LIMIT - position.seen) if since else size
    wanted = (m for m in folder.older_than(before) if since is None or m.received.replace(microsecond=0) >= since)
    found = list(itertools.islice(wanted, limit + 1))
    page = found[:limit]
    seen = position.seen + len(page)
    value = [render_one(call, m) for m in page]
    if len(found) > limit and not (since and seen >= _FILTERED_LIMIT):
        last = page[-1].place
        return value, replace(position, before=(last[0].isoformat(), last[1]), seen=seen), False
    return value, replace(position, full=False, before=None, seen=0), True


def _changed(call: Call, folder: Folder, position: _Position, size: int) -> tuple[list[Any], _Position, bool]:
    """A page of what has changed since."""
    changes = [c for c in call.mailbox.changes[position.since :] if c.folder == folder.id]
    page: dict[int, Change] = {}
    since = len(call.mailbox.changes)
    done = True
    for change in changes:
        if change.serial not in page and len(page) == size:
            since, done = change.number - 1, False
            break
        page[change.serial] = change
    value = [_entry(call, folder, c) for c in page.values()]
    return value, replace(position, since=since), done


def _entry(call: Call, folder: Folder, change: Change) -> dict[str, Any]:
    message = folder.messages.get(change.serial)
    if message is not None:
        return render_one(call, message)
    reason = "changed" if _lives_on(call.mailbox, change) else "deleted"
    return {"id": change.immutable_id if call.immutable else change.id, "@removed": {"reason": reason}}


def _lives_on(mailbox: Mailbox, change: Change) -> bool:
    moved: StoredMessage | None = mailbox.find(change.immutable_id)
    return moved is not None and moved.folder.well_known not in ("deleteditems", "recoverableitemsdeletions")
