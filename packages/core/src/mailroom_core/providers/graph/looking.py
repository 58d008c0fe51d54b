"""What became of a mail whose send got no answer, and the drafts that nobody knows.

The copy in Sent Items may lag behind for minutes, so `Nowhere` means "not yet": look several times. The immutable id decides
(Microsoft Graph docs, concepts/outlook-immutable-id.md); where it changed on sending all the same (microsoft-graph-docs#1533),
the marker does, and `internetMessageId`.

Copies of one message share a Message-ID (Odoo sends one per recipient), and Exchange may keep it. So what is found by it alone
is ours only if it bears our marker, or no marker at all and is not already known as another attempt's: pass the ids of those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mailroom_core.flow import Flow, NoResponse, Request, ask, json_object
from mailroom_core.model import Deferred, Held, Outcome, Remote, Reply, Sent, Unknown
from mailroom_core.providers.graph.errors import Trouble, judge, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox, quoted
from mailroom_core.providers.graph.marker import EXPAND, marker_filter, marker_of
from mailroom_core.providers.graph.sending import delete_draft, remote_of, send_draft

_FIELDS = "id,isDraft,internetMessageId,conversationId"


@dataclass(frozen=True, slots=True)
class InSentItems:
    """It was sent."""

    remote: Remote


@dataclass(frozen=True, slots=True)
class StillDraft:
    """It was not sent; `send_draft` sends this very draft, and never a second one."""

    draft_id: str


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Neither sent nor a draft, so far."""


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """Graph could not be asked."""

    why: Trouble


Found = InSentItems | StillDraft | Nowhere | NotAnswered

_Messages = list[Mapping[str, object]]


def look(mailbox: Mailbox, *, draft_id: str, marker: str, internet_message_id: str = "", others: Collection[str] = ()) -> Flow[Found]:
    """Where the mail is: by its id, then in Sent Items, then in Drafts. One round trip as a rule, four at most.

    `internet_message_id` is the one that Graph gave the draft; `others` are ids that belong to other attempts.
    """
    found: Found = (yield from _by_id(mailbox, draft_id)) if draft_id else Nowhere()
    if not isinstance(found, Nowhere):
        return found
    searches = [("sentitems", marker_filter(marker)), ("drafts", marker_filter(marker))]
    if internet_message_id:
        searches.insert(0, ("sentitems", f"internetMessageId eq {quoted(internet_message_id)}"))
    for folder, search in searches:
        messages = yield from _search(mailbox, folder, search)
        if not isinstance(messages, list):
            return NotAnswered(messages)
        for message in messages:
            remote = remote_of(message)
            if _is_ours(message, remote, marker, others):
                return StillDraft(remote.remote_id) if folder == "drafts" else InSentItems(remote)
    return Nowhere()


def resolve(mailbox: Mailbox, facts: Mapping[str, str], marker: str, others: Collection[str] = ()) -> Flow[Outcome]:
    """The outcome of an attempt by draft that ended without an answer. `facts` are those that its notes committed.

    `Unknown` means that nobody knows yet: ask again later. What was never sent is cleared away and may be sent anew at once.
    """
    draft_id = facts.get("draft_id", "")
    if not draft_id:
        return (yield from _clear(mailbox, (yield from orphans(mailbox, marker))))
    if facts.get("ready") == "no":
        return (yield from _clear(mailbox, (draft_id,)))
    found = yield from look(
        mailbox, draft_id=draft_id, marker=marker, internet_message_id=facts.get("internet_message_id", ""), others=others
    )
    match found:
        case InSentItems(remote):
            return Sent(Reply(0, "found among the sent mail"), remote_id=remote.remote_id)
        case StillDraft(found_id):
            return (yield from _send_again(mailbox, found_id))
        case NotAnswered(Held() as why):
            return why
        case NotAnswered(trouble):
            return Unknown(str(trouble.reply), looked=False)
        case _:
            return Unknown("neither among the sent mail nor among the drafts")


def _send_again(mailbox: Mailbox, draft_id: str) -> Flow[Outcome]:
    """Throttled or not, the send before this one may still take effect: the mail must not begin anew, so it stays unknown."""
    outcome = yield from send_draft(mailbox, draft_id)
    return Unknown(str(outcome.reply), looked=False) if isinstance(outcome, Deferred) else outcome


def orphans(mailbox: Mailbox, marker: str) -> Flow[tuple[str, ...] | Trouble]:
    """Ids of the drafts that bear this marker. If the attempt's draft was never committed, they were never sent: `delete_draft`."""
    messages = yield from _search(mailbox, "drafts", marker_filter(marker))
    if not isinstance(messages, list):
        return messages
    return tuple(str(message["id"]) for message in messages if marker_of(message) == marker and message.get("isDraft") is True)


def _clear(mailbox: Mailbox, drafts: tuple[str, ...] | Trouble) -> Flow[Outcome]:
    """Delete drafts that were never sent, then let the mail go out anew."""
    if not isinstance(drafts, tuple):
        return drafts
    for draft_id in drafts:
        trouble = yield from delete_draft(mailbox, draft_id)
        if trouble is not None:
            return trouble
    return Deferred(Reply(0, "The attempt ended before anything was sent; it begins anew"), retry_after=timedelta())


def _by_id(mailbox: Mailbox, draft_id: str) -> Flow[Found]:
    request = mailbox.get("messages", draft_id, query={"$select": _FIELDS})
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return NotAnswered(no_answer(problem))
    if response.status == 404 and judge(response).reply.name in ("", "ErrorItemNotFound"):
        return Nowhere()
    message = json_object(response)
    if response.status != 200:
        return NotAnswered(judge(response))
    if message.get("isDraft") is True:
        return StillDraft(draft_id)
    if message.get("isDraft") is False:
        return InSentItems(remote_of(message))
    return NotAnswered(_unreadable(response.status))


def _search(mailbox: Mailbox, folder: str, search: str) -> Flow[_Messages | Trouble]:
    """Messages of a folder with their markers. A page holds more than one mail can ever have copies."""
    query = {"$filter": search, "$select": _FIELDS, "$expand": EXPAND, "$top": "50"}
    request: Request = mailbox.get("mailFolders", folder, "messages", query=query)
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return no_answer(problem)
    if response.status != 200:
        return judge(response)
    value = json_object(response).get("value")
    if not isinstance(value, list):
        return _unreadable(response.status)
    return [message for message in value if isinstance(message, dict) and message.get("id")]


def _is_ours(message: Mapping[str, object], remote: Remote, marker: str, others: Collection[str]) -> bool:
    found = marker_of(message)
    return found == marker if found else remote.remote_id not in others


def _unreadable(status: int) -> Deferred:
    return Deferred(Reply(status, "Graph's answer can't be read; it is asked again"), unmapped=True)
