"""Messages of a mailbox as Graph tells of them."""

from __future__ import annotations

from collections.abc import Mapping

from mailroom_core.flow import Flow, NoResponse, Response, ask, json_object
from mailroom_core.model import Deferred, Remote, Reply, Trouble
from mailroom_core.policy.addresses import normalize
from mailroom_core.providers.graph.errors import judge, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.marker import EXPAND

FIELDS = "id,isDraft,internetMessageId,conversationId"
_RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients")

Message = Mapping[str, object]


def search(mailbox: Mailbox, folder: str, wanted: str) -> Flow[list[Message] | Trouble]:
    """Messages of a folder that match a filter, with markers and recipients. One page holds more than a mail can ever have copies."""
    query = {"$filter": wanted, "$select": ",".join((FIELDS, *_RECIPIENTS)), "$expand": EXPAND, "$top": "50"}
    try:
        response = yield from ask(mailbox.get("mailFolders", folder, "messages", query=query))
    except NoResponse as problem:
        return no_answer(problem)
    if response.status != 200:
        return judge(response)
    value = json_object(response).get("value")
    if not isinstance(value, list):
        return unreadable(response)
    return [message for message in value if isinstance(message, dict) and message.get("id")]


def remote_of(message: Message) -> Remote:
    """All names of a message."""
    return Remote(*(str(message.get(name) or "") for name in ("id", "internetMessageId", "conversationId")))


def recipients_of(message: Message) -> set[str]:
    """Everybody it is for, normalised; a sender sees Bcc, too."""
    found = set()
    for name in _RECIPIENTS:
        value = message.get(name)
        for each in value if isinstance(value, list) else []:
            mailbox = each.get("emailAddress") if isinstance(each, dict) else None
            if isinstance(mailbox, dict) and mailbox.get("address"):
                found.add(str(normalize(str(mailbox["address"]))))
    return found


def unreadable(response: Response) -> Deferred:
    return Deferred(Reply(response.status, "Graph's answer can't be read; it is tried again"), unmapped=True)


def is_success(response: Response) -> bool:
    return 200 <= response.status < 300
