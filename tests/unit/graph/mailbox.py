"""The mailbox that these tests talk to, and what Graph says of messages in it."""

from __future__ import annotations

from mailroom_core.flow import Response
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.marker import PROPERTY
from tests.unit.scripted import answer

ME = Mailbox.of("https://graph.test")
MARKER = "00f1e2d3c4b5a697"
MADE = answer(201, {"id": "AAk=", "internetMessageId": "<d@graph.test>", "conversationId": "conv", "isDraft": True})
NOTED = {"draft_id": "AAk=", "internet_message_id": "<d@graph.test>", "conversation_id": "conv"}
GONE = answer(404, {"error": {"code": "ErrorItemNotFound", "message": "gone"}})

CREATE = "POST /v1.0/me/messages"
SEND = "POST /v1.0/me/messages/AAk=/send"
DELETE = "DELETE /v1.0/me/messages/AAk="
BY_ID = "GET /v1.0/me/messages/AAk=?$select=id,isDraft,internetMessageId,conversationId"

_REST = (
    "&$select=id,isDraft,internetMessageId,conversationId,toRecipients,ccRecipients,bccRecipients"
    f"&$expand=singleValueExtendedProperties($filter=id eq '{PROPERTY}')&$top=50"
)
_BY_MARKER = f"singleValueExtendedProperties/Any(ep: ep/id eq '{PROPERTY}' and ep/value eq '{MARKER}')"
SENT_BY_MESSAGE_ID = f"GET /v1.0/me/mailFolders/sentitems/messages?$filter=internetMessageId eq '<d@graph.test>'{_REST}"
SENT_BY_MARKER = f"GET /v1.0/me/mailFolders/sentitems/messages?$filter={_BY_MARKER}{_REST}"
DRAFTS_BY_MARKER = f"GET /v1.0/me/mailFolders/drafts/messages?$filter={_BY_MARKER}{_REST}"


def refused(status: int, code: str, **headers: str) -> Response:
    return answer(status, {"error": {"code": code, "message": "no"}}, **headers)


def message(id: str, *, draft: bool = False, marker: str = "", to: str = "", bcc: str = "") -> dict[str, object]:
    """A message as a listing shows it; `to` and `bcc` are addresses with blanks between them."""
    fields: dict[str, object] = {"id": id, "isDraft": draft, "internetMessageId": "<d@graph.test>", "conversationId": "conv"}
    for name, addresses in (("toRecipients", to), ("bccRecipients", bcc)):
        fields[name] = [{"emailAddress": {"name": "N", "address": address}} for address in addresses.split()]
    if marker:
        fields["singleValueExtendedProperties"] = [{"id": PROPERTY, "value": marker}]
    return fields


def listing(*messages: object) -> Response:
    return answer(200, {"value": list(messages)})
