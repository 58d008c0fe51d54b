"""Messages as Graph's JSON, and back."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mailroom_emulator.blobs import Blobs
from mailroom_emulator.content import Address, Attachment, Body, Content
from mailroom_emulator.graph.errors import bad_request
from mailroom_emulator.html_text import to_text
from mailroom_emulator.mailbox import StoredMessage
from mailroom_emulator.mime import open_mime

Json = dict[str, Any]
ATTACHMENT_LIMIT = 3 * 1024 * 1024  # facts 1.2
HEADER_LIMIT = 5  # facts 1.3


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class View:
    """A message on its way into JSON."""

    message: StoredMessage
    immutable: bool
    text_body: bool
    blobs: Blobs

    @property
    def content(self) -> Content:
        return self.message.content

    @property
    def opened(self) -> Content:
        if self._opened is None:
            self._opened = open_mime(self.content, self.blobs)
        return self._opened

    _opened: Content | None = None

    def body(self) -> Json:
        body = self.opened.body
        if self.text_body and body.html:
            return {"contentType": "text", "content": to_text(body.text)}
        return {"contentType": "html" if body.html else "text", "content": body.text}

    def preview(self) -> str:
        body = self.opened.body
        return (to_text(body.text) if body.html else body.text)[:255]


def _people(addresses: tuple[Address, ...]) -> list[Json]:
    return [{"emailAddress": {"name": a.name or a.address, "address": a.address}} for a in addresses if a.address]


def _person(address: Address | None) -> Json | None:
    return _people((address,))[0] if address is not None and address.address else None


PROPERTIES: dict[str, Callable[[View], object]] = {
    "createdDateTime": lambda v: stamp(v.message.created),
    "lastModifiedDateTime": lambda v: stamp(v.message.modified),
    "changeKey": lambda v: change_key(v.message),
    "categories": lambda v: list(v.message.categories),
    "receivedDateTime": lambda v: stamp(v.message.received),
    "sentDateTime": lambda v: stamp(v.content.date),
    "hasAttachments": lambda v: any(not a.inline for a in v.opened.attachments),
    "internetMessageId": lambda v: v.content.message_id,
    "subject": lambda v: v.content.subject,
    "bodyPreview": lambda v: v.preview(),
    "importance": lambda v: v.content.importance,
    "parentFolderId": lambda v: v.message.folder.id,
    "conversationId": lambda v: v.message.conversation,
    "conversationIndex": lambda v: base64.b64encode(v.message.conversation.encode()[:22]).decode(),
    "isDeliveryReceiptRequested": lambda v: False,
    "isReadReceiptRequested": lambda v: False,
    "isRead": lambda v: v.message.is_read,
    "isDraft": lambda v: v.message.is_draft,
    "webLink": lambda v: f"https://outlook.office365.com/owa/?ItemID={v.message.id}&exvsurl=1&viewmodel=ReadMessageItem",
    "inferenceClassification": lambda v: "focused",
    "body": lambda v: v.body(),
    "sender": lambda v: _person(v.content.sender or v.content.from_),
    "from": lambda v: _person(v.content.from_),
    "toRecipients": lambda v: _people(v.content.to),
    "ccRecipients": lambda v: _people(v.content.cc),
    "bccRecipients": lambda v: _people(v.content.bcc),
    "replyTo": lambda v: _people(v.content.reply_to),
    "flag": lambda v: {"flagStatus": v.message.flag},
}
ON_REQUEST: dict[str, Callable[[View], object]] = {
    "internetMessageHeaders": lambda v: _headers(v),
    "uniqueBody": lambda v: v.body(),
}
_BY_LOWER = {name.lower(): (name, read) for name, read in (PROPERTIES | ON_REQUEST).items()}


def change_key(message: StoredMessage) -> str:
    return base64.b64encode(b"\x09\x00\x00\x00" + message.serial.to_bytes(8, "big") + message.version.to_bytes(4, "big")).decode()


def _headers(view: View) -> list[Json] | None:
    # Missing for items in Sent Items, though $value has them (facts 1.7).
    if view.message.folder.well_known == "sentitems":
        return None
    return [{"name": name, "value": value} for name, value in view.content.headers]


def message_json(view: View, select: list[str]) -> Json:
    """The resource, or the selected properties of it; `id` and the etag always come."""
    message = view.message
    result: Json = {
        "@odata.etag": f'W/"{change_key(message)}"',
        "id": message.immutable_id if view.immutable else message.id,
    }
    if not select:
        for name, read in PROPERTIES.items():
            result[name] = read(view)
        return result
    for name in select:
        known = _BY_LOWER.get(name.lower())
        if known is not None:
            result[known[0]] = known[1](view)
        elif name.lower() != "id":
            raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.message'.", "RequestBroker--ParseUri")
    return result


def attachment_json(attachment: Attachment, *, content: bool = True) -> Json:
    result: Json = {
        "@odata.type": "#microsoft.graph.itemAttachment" if attachment.item else "#microsoft.graph.fileAttachment",
        "@odata.mediaContentType": attachment.content_type,
        "id": attachment.id,
        "lastModifiedDateTime": stamp(attachment.modified),
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": attachment.blob.size,
        "isInline": attachment.inline,
    }
    if not attachment.item:
        result["contentId"] = attachment.content_id
        result["contentLocation"] = None
        if content:
            result["contentBytes"] = base64.b64encode(attachment.blob.read()).decode()
    return result


# JSON to fields

_WRITABLE = {
    "subject", "body", "from", "sender", "torecipients", "ccrecipients", "bccrecipients", "replyto", "importance",
    "internetmessageid", "internetmessageheaders", "attachments", "singlevalueextendedproperties", "categories",
    "isread", "isreadreceiptrequested", "isdeliveryreceiptrequested", "flag", "inferenceclassification",
}  # fmt: skip
_READ_ONLY = {name.lower() for name in PROPERTIES} - _WRITABLE


@dataclass(frozen=True)
class Patch:
    """What a JSON message sets: the new content, and the rest by itself (None where it says nothing)."""

    content: Content
    properties: dict[str, str]
    categories: list[str] | None
    is_read: bool | None
    flag: str | None


def read_message(value: Json, start: Content, new_attachment: Callable[[Json], Attachment]) -> Patch:
    """A JSON message laid over `start`; raises the errors that Graph has for bad ones."""
    fields = _known(value)
    changes: dict[str, Any] = {}
    for name, key in (("toRecipients", "to"), ("ccRecipients", "cc"), ("bccRecipients", "bcc"), ("replyTo", "reply_to")):
        if name.lower() in fields:
            changes[key] = _read_people(fields[name.lower()], name)
    for name, key in (("from", "from_"), ("sender", "sender")):
        if fields.get(name) is not None:
            changes[key] = _read_person(fields[name], name)
    if "subject" in fields:
        changes["subject"] = str(fields["subject"] or "")
    if "body" in fields:
        changes["body"] = _read_body(fields["body"])
    if "importance" in fields:
        changes["importance"] = str(fields["importance"]).lower()
    if fields.get("internetmessageid"):
        changes["message_id"] = str(fields["internetmessageid"])
    if "internetmessageheaders" in fields:
        changes["headers"] = _read_headers(fields["internetmessageheaders"] or [])
    if "attachments" in fields:
        changes["attachments"] = tuple(new_attachment(a) for a in fields["attachments"] or [])
    properties = _read_properties(fields.get("singlevalueextendedproperties") or [])
    changes |= _reply_headers(properties)
    content = replace(start, **changes)
    flag = fields.get("flag")
    return Patch(
        content=content,
        properties=properties,
        categories=list(fields["categories"]) if "categories" in fields else None,
        is_read=bool(fields["isread"]) if "isread" in fields else None,
        flag=str(flag.get("flagStatus")) if isinstance(flag, dict) else None,
    )


def _known(value: Json) -> Json:
    fields: Json = {}
    for name, item in value.items():
        lower = name.lower()
        if lower.startswith("@odata") or lower == "id" or "@odata." in lower or lower in _READ_ONLY:
            continue
        if lower not in _WRITABLE:
            raise bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.message'. Make sure to only use property"
                " names that are defined by the type.",
                "RequestBodyRead",
            )
        fields[lower] = item
    return fields


def _read_people(value: Any, name: str) -> tuple[Address, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise bad_request(f"The property '{name}' must be a collection of recipients.", "UnableToDeserializePostBody")
    return tuple(_read_person(item, name) for item in value)


def _read_person(value: Any, name: str) -> Address:
    inner = value.get("emailAddress") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise bad_request(f"The property '{name}' must have an emailAddress.", "UnableToDeserializePostBody")
    return Address(str(inner.get("name") or ""), str(inner.get("address") or "").strip())


def _read_body(value: Any) -> Body:
    if not isinstance(value, dict) or str(value.get("contentType", "text")).lower() not in ("text", "html"):
        raise bad_request("The property 'body' must have a contentType of Text or HTML.", "UnableToDeserializePostBody")
    return Body(str(value.get("contentType", "text")).lower() == "html", str(value.get("content") or ""))


def _read_headers(value: list[Json]) -> tuple[tuple[str, str], ...]:
    for header in value:
        if not str(header.get("name", "")).lower().startswith("x-"):
            raise bad_request(
                f"The internet message header name '{header.get('name')}' should start with 'x-' or 'X-'.",
                "InvalidInternetMessageHeader",
            )
    if len(value) > HEADER_LIMIT:
        raise bad_request(
            "Maximum number of headers in one message should be less than or equal to 5.",
            "InvalidInternetMessageHeaderCollection",
        )
    return tuple((str(h["name"]), str(h.get("value", ""))) for h in value)


def _read_properties(value: list[Json]) -> dict[str, str]:
    properties = {}
    for item in value:
        if not isinstance(item, dict) or "id" not in item:
            raise bad_request("An extended property needs an id and a value.", "UnableToDeserializePostBody")
        properties[str(item["id"])] = str(item.get("value", ""))
    return properties


def _reply_headers(properties: dict[str, str]) -> Json:
    """PidTagInReplyToId, PidTagInternetReferences and the List-Unsubscribe property (facts 1.3)."""
    tags = {name.lower().split()[-1]: value for name, value in properties.items()}
    changes = {}
    if "0x1042" in tags:
        changes["in_reply_to"] = tags["0x1042"]
    if "0x1039" in tags:
        changes["references"] = tags["0x1039"]
    return changes


def read_attachment(value: Json, attachment_id: str, blobs: Blobs, now: datetime) -> Attachment:
    """A fileAttachment (or an itemAttachment's MIME) given with its bytes."""
    kind = str(value.get("@odata.type", "#microsoft.graph.fileAttachment")).rsplit(".", 1)[-1].lower()
    if kind not in ("fileattachment",):
        raise bad_request(f"The attachment type '{kind}' is not supported by the emulator.", "ErrorInvalidRequest")
    if not value.get("name"):
        raise bad_request("The property 'name' is required when creating the entity.", "ErrorPropertyValidationFailure")
    try:
        data = base64.b64decode(str(value.get("contentBytes", "")), validate=True)
    except binascii.Error as error:
        raise bad_request("Cannot convert the literal of 'contentBytes' to Edm.Binary.", "UnableToDeserializePostBody") from error
    if len(data) > ATTACHMENT_LIMIT:
        raise bad_request("The attachment is larger than 3 MB: use an upload session.", "ErrorAttachmentSizeLimitExceeded")
    return Attachment(
        id=attachment_id,
        name=str(value["name"]),
        content_type=str(value.get("contentType") or "application/octet-stream"),
        blob=blobs.keep(data),
        inline=bool(value.get("isInline", False)),
        content_id=str(value["contentId"]).strip("<>") if value.get("contentId") else None,
        modified=now,
    )
