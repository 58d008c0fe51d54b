"""Mail that has arrived in a mailbox: what is new, its bytes, and what becomes of it once it is safe with us.

Two ways to learn what is new. `unread` reads the oldest unread mail again and again until there is none: who marks what is done
needs no memory. `changes` follows a delta link, which the caller keeps: for who may only read. Never a following page of the first,
because pages shift while mail is marked (microsoft-graph-docs#7569).

Every flow returns a `Trouble` where Graph did not do what was asked, `NotThere` where the message is gone, and `NotConvertible` where
Graph can't make MIME of an item (ErrorMimeContentConversionFailed; microsoft-graph-docs#2913).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from mailroom_core.flow import Flow, NoResponse, Request, Response, ask, json_object
from mailroom_core.model import After, Arrived, Deferred, NotConvertible, NotThere, Trouble
from mailroom_core.providers.graph.errors import judge, no_answer
from mailroom_core.providers.graph.mailbox import IMMUTABLE, Mailbox, quoted
from mailroom_core.providers.graph.messages import Message, is_success, remote_of, unreadable

FIELDS = "id,internetMessageId,conversationId,receivedDateTime,isDraft,from,subject"
PAGE = 50
WELL_KNOWN = frozenset(
    {
        "archive",
        "clutter",
        "conflicts",
        "conversationhistory",
        "deleteditems",
        "drafts",
        "inbox",
        "junkemail",
        "localfailures",
        "msgfolderroot",
        "outbox",
        "recoverableitemsdeletions",
        "scheduled",
        "searchfolders",
        "sentitems",
        "serverfailures",
        "syncissues",
    }
)
"""Names that stand for a folder in any language (Microsoft Graph docs, resources/mailfolder.md, read 2026-11-20)."""
_EVER = "2000-01-01T00:00:00Z"
_GONE = frozenset({"ErrorItemNotFound", ""})
_LOST = frozenset({"syncstatenotfound", "resyncrequired"})


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of what is new. Ask again with `cursor`: at once if there is `more`."""

    arrived: tuple[Arrived, ...]
    cursor: str
    more: bool


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, as its owner sees it."""

    name: str
    total: int
    unread: int


@dataclass(frozen=True, slots=True)
class CursorLost:
    """Graph has forgotten the delta link (410): begin again without one; what is known already comes once more."""


def folder_id(mailbox: Mailbox, path: str) -> Flow[str | NotThere | Trouble]:
    """The id of a folder that people call `Inbox/Invoices`. A well-known name stands for itself, and begins a path as well."""
    first, *rest = [part for part in path.split("/") if part.strip()] or ["inbox"]
    here = first.strip().lower().replace(" ", "")
    names = rest
    if here not in WELL_KNOWN:
        here, names = "msgfolderroot", [first, *rest]
    for name in names:
        wanted = {"$filter": f"displayName eq {quoted(name.strip())}", "$select": "id"}
        value = yield from _listed(mailbox.get("mailFolders", here, "childFolders", query=wanted))
        if not isinstance(value, list):
            return value
        if not value:
            return NotThere()
        here = remote_of(value[0]).remote_id
    return here


def look_into(mailbox: Mailbox, folder: str) -> Flow[Folder | NotThere | Trouble]:
    """What a folder is called and how much is in it; also whether we may read there at all."""
    try:
        response = yield from ask(mailbox.get("mailFolders", folder, query={"$select": "displayName,totalItemCount,unreadItemCount"}))
    except NoResponse as problem:
        return no_answer(problem)
    if not is_success(response):
        return _judged(response)
    found = json_object(response)
    name, total, unread = found.get("displayName"), found.get("totalItemCount"), found.get("unreadItemCount")
    return Folder(str(name), total, unread) if isinstance(total, int) and isinstance(unread, int) else unreadable(response)


def unread(mailbox: Mailbox, folder: str, *, most: int = PAGE) -> Flow[tuple[Arrived, ...] | NotThere | Trouble]:
    """The oldest unread messages of a folder. In the order of `$orderby` every property stands in `$filter` first, else 400."""
    wanted = f"receivedDateTime ge {_EVER} and isRead eq false"
    query = {"$filter": wanted, "$orderby": "receivedDateTime asc", "$select": FIELDS, "$top": str(most)}
    value = yield from _listed(mailbox.get("mailFolders", folder, "messages", query=query))
    return _arrived(value) if isinstance(value, list) else value


def changes(mailbox: Mailbox, folder: str, cursor: str, since: datetime) -> Flow[Changes | CursorLost | NotThere | Trouble]:
    """One page of what came to a folder after `cursor`, or since a time if that is empty."""
    request = _delta(mailbox, folder, cursor, since)
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return no_answer(problem)
    if not is_success(response):
        trouble = _judged(response)
        lost = response.status == 410 or (isinstance(trouble, Deferred) and trouble.reply.name.lower() in _LOST)
        return CursorLost() if lost else trouble
    page = json_object(response)
    value, following = page.get("value"), page.get("@odata.nextLink")
    link = following or page.get("@odata.deltaLink")
    if not isinstance(value, list) or not isinstance(link, str):
        return unreadable(response)
    return Changes(_arrived(value), link, more=bool(following))


def fetch(mailbox: Mailbox, message_id: str, into: str) -> Flow[NotThere | NotConvertible | Trouble | None]:
    """Write the message as MIME to a file. Exchange makes it anew each time, so signatures over it prove nothing."""
    request = Request("GET", mailbox.url("messages", message_id, "$value"), IMMUTABLE, into=into)
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return no_answer(problem)
    if is_success(response):
        return None
    trouble = _judged(response)
    if not isinstance(trouble, NotThere) and trouble.reply.name.endswith("ContentConversionFailed"):
        return NotConvertible(trouble.reply)
    return trouble


def acknowledge(mailbox: Mailbox, message_id: str, after: After, folder: str = "") -> Flow[Trouble | None]:
    """Let the mailbox forget a message that is safe with us. One that is gone already is no trouble."""
    match after:
        case After.NOTHING:
            return None
        case After.READ:
            request = mailbox.patch_json("messages", message_id, fields={"isRead": True})
        case After.MOVE:
            request = mailbox.post_json("messages", message_id, "move", fields={"destinationId": folder})
        case _:
            request = mailbox.delete("messages", message_id)
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return no_answer(problem)
    trouble = None if is_success(response) else _judged(response)
    return None if isinstance(trouble, NotThere) else trouble


def _delta(mailbox: Mailbox, folder: str, cursor: str, since: datetime) -> Request:
    prefer = {"prefer": f"{IMMUTABLE['prefer']}, odata.maxpagesize={PAGE}", "accept": "application/json"}
    if cursor:
        return Request("GET", cursor, prefer)
    # `ge`, because the service once refused `gt` (microsoft-graph-docs#18636).
    start = since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    query = {"$select": FIELDS, "$filter": f"receivedDateTime ge {start}"}
    return Request("GET", mailbox.url("mailFolders", folder, "messages", "delta", query=query), prefer)


def _listed(request: Request) -> Flow[list[Message] | NotThere | Trouble]:
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return no_answer(problem)
    if not is_success(response):
        return _judged(response)
    value = json_object(response).get("value")
    return value if isinstance(value, list) else unreadable(response)


def _judged(response: Response) -> NotThere | Trouble:
    """404 says that a message or folder is gone, or that there is no such mailbox."""
    trouble = judge(response)
    return NotThere() if response.status == 404 and trouble.reply.name in _GONE else trouble


def _arrived(value: list[Message]) -> tuple[Arrived, ...]:
    """Neither drafts nor what was removed is mail that has arrived."""
    there = [
        each for each in value if isinstance(each, dict) and each.get("id") and "@removed" not in each and each.get("isDraft") is not True
    ]
    return tuple(
        Arrived(remote_of(each), _time(each.get("receivedDateTime")), _sender(each.get("from")), str(each.get("subject") or ""))
        for each in there
    )


def _sender(value: object) -> str:
    box = value.get("emailAddress") if isinstance(value, dict) else None
    address = box.get("address") if isinstance(box, dict) else None
    return address if isinstance(address, str) else ""


def _time(value: object) -> datetime | None:
    try:
        return datetime.strptime(str(value)[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
