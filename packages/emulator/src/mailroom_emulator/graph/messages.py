"""Messages: create, read, change, send, move, delete."""

import re
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from mailroom_emulator import wire
from mailroom_emulator.content import Attachment, Content
from mailroom_emulator.graph import sending
from mailroom_emulator.graph.call import Call
from mailroom_emulator.graph.errors import GraphError, bad_request, folder_not_found
from mailroom_emulator.graph.fields import Patch, attachment_json, read_attachment, read_message
from mailroom_emulator.graph.listing import list_messages, render_one
from mailroom_emulator.mailbox import Folder, StoredMessage
from mailroom_emulator.mime import attachment_id, open_mime
from mailroom_emulator.stream import pieces

Json = dict[str, Any]


async def send_mail(call: Call) -> Response:
    if is_mime(call):
        content = sending.content_from_mime(call, await call.body())
        sending.send_new(call, content, save=True)
        return accepted(call)
    value = {name.lower(): item for name, item in (await call.json()).items()}
    if not isinstance(value.get("message"), dict):
        raise bad_request("The property 'message' is required.", "ErrorInvalidRequest")
    patch = _read(call, value["message"], _blank(call))
    _prime(call, patch)
    content = sending.with_transmittable_properties(patch.content, patch.properties)
    sending.send_new(call, content, save=value.get("savetosentitems", True) is not False)
    return accepted(call)


async def create(call: Call) -> Response:
    """A draft, in Drafts or in the folder of the path."""
    folder = call.folder() if "folder" in call.params else call.mailbox.well_known("drafts")
    if is_mime(call):
        if "folder" in call.params:
            # Reported not to work on /mailFolders/{id}/messages (microsoft-graph-docs#14829).
            raise bad_request("Unable to read JSON request payload.", "UnableToDeserializePostBody")
        content = sending.content_from_mime(call, await call.body())
        return created(call, store_draft(call, folder, content, sending.named_properties(call, content)))
    patch = _read(call, await call.json(), _blank(call))
    _prime(call, patch)
    message = store_draft(call, folder, patch.content, patch.properties, is_read=patch.is_read is not False)
    message.categories = patch.categories or []
    message.flag = patch.flag or message.flag
    return created(call, message)


async def get(call: Call) -> Response:
    message = call.message()
    if message.damaged:
        raise GraphError(400, "ErrorContentConversionFailed", "Content conversion failed.")
    body = {"@odata.context": f"{call.context('messages')}/$entity", **render_one(call, message)}
    return JSONResponse(body)


async def list_all(call: Call) -> Response:
    folder = call.folder() if "folder" in call.params else None
    return JSONResponse(list_messages(call, folder))


async def update(call: Call) -> Response:
    value = await call.json()
    message = call.message()
    patch = _read(call, value, message.content)
    if not message.is_draft and patch.content != message.content:
        raise bad_request("The property can only be updated while isDraft = true.", "ErrorInvalidPropertyUpdateSentMessage")
    content = patch.content
    if call.emulator.switches.message_id == "replaced_at_creation":
        content = replace(content, message_id=message.content.message_id)
    if content.mime is not None and (content.body != message.content.body or content.attachments):
        content = replace(wire.merged(content, open_mime(message.content, call.emulator.blobs)), body=content.body)
    changes: Json = {"content": content, "properties": message.properties | patch.properties}
    rest = {"is_read": patch.is_read, "categories": patch.categories, "flag": patch.flag}
    changes |= {name: value for name, value in rest.items() if value is not None}
    call.mailbox.touch(message, call.emulator.clock.now(), **changes)
    return JSONResponse({"@odata.context": f"{call.context('messages')}/$entity", **render_one(call, message)})


async def delete(call: Call) -> Response:
    """Into Deleted Items, from there out of sight, and from there away for good."""
    message = call.message()
    trash, recoverable = call.mailbox.well_known("deleteditems"), call.mailbox.well_known("recoverableitemsdeletions")
    if message.folder is recoverable:
        call.mailbox.take_out(message)
    else:
        call.mailbox.move(message, recoverable if message.folder is trash else trash, call.emulator.clock.now())
    return Response(status_code=204)


async def move(call: Call) -> Response:
    folder = await _destination(call)
    message = call.message()
    call.mailbox.move(message, folder, call.emulator.clock.now())
    return created(call, message)


async def copy(call: Call) -> Response:
    folder = await _destination(call)
    message = call.message()
    twin = call.mailbox.create(
        message.content,
        folder,
        call.emulator.clock.now(),
        is_draft=message.is_draft,
        is_read=message.is_read,
        properties=message.properties,
    )
    return created(call, twin)


async def send(call: Call) -> Response:
    if "content-length" not in call.headers and "transfer-encoding" not in call.headers:
        return Response("Length Required", 411, media_type="text/plain")
    await call.body()
    message = call.message()
    if not message.is_draft:
        raise bad_request("The message is not a draft and can't be sent.", "ErrorInvalidOperation")
    sending.send_draft(call, message)
    return accepted(call)


async def mime_value(call: Call) -> Response:
    message = call.message()
    if message.damaged:
        raise GraphError(400, "ErrorMimeContentConversionFailed", "The MIME content conversion failed.")
    rope = wire.show(message.content)
    headers = {"Content-Length": str(rope.size)}
    return StreamingResponse(pieces(rope), media_type="text/plain", headers=headers)


# Attachments


async def list_attachments(call: Call) -> Response:
    select = call.query.get("select", "").lower()
    with_bytes = not select or "contentbytes" in select
    found = open_mime(call.message().content, call.emulator.blobs).attachments
    value = [_selected(attachment_json(a, content=with_bytes), select) for a in found]
    return JSONResponse({"@odata.context": call.context("messages"), "value": value})


async def get_attachment(call: Call) -> Response:
    return JSONResponse({"@odata.context": call.context("messages"), **attachment_json(_attachment(call))})


async def attachment_value(call: Call) -> Response:
    attachment = _attachment(call)
    headers = {"Content-Length": str(attachment.blob.size)}
    return StreamingResponse(pieces(attachment.blob), media_type=attachment.content_type, headers=headers)


async def delete_attachment(call: Call) -> Response:
    attachment, message = _attachment(call), call.message()
    opened = wire.merged(message.content, open_mime(message.content, call.emulator.blobs))
    kept = tuple(a for a in opened.attachments if a.id != attachment.id)
    call.mailbox.touch(message, call.emulator.clock.now(), content=replace(opened, attachments=kept))
    return Response(status_code=204)


async def add_attachment(call: Call) -> Response:
    value = await call.json()
    message = call.message()
    attachment = read_attachment(value, new_attachment_id(call), call.emulator.blobs, call.emulator.clock.now())
    attach(call, message, attachment)
    body = {"@odata.context": call.context("messages"), **attachment_json(attachment)}
    return JSONResponse(body, 201)


def attach(call: Call, message: StoredMessage, attachment: Attachment) -> None:
    """Add to a draft; for one made from MIME, as the switch says (facts 10, 4)."""
    check_attachable(call, message)
    content = message.content
    if content.mime is None:
        content = replace(content, attachments=(*content.attachments, attachment))
    elif call.emulator.switches.mime_draft_attachments == "merged":
        opened = open_mime(content, call.emulator.blobs)
        content = replace(wire.merged(content, opened), attachments=(*opened.attachments, attachment))
    call.mailbox.touch(message, call.emulator.clock.now(), content=content)


def check_attachable(call: Call, message: StoredMessage) -> None:
    if not message.is_draft:
        raise bad_request("Attachments can only be added to drafts.", "ErrorInvalidOperation")
    if message.content.mime is not None and call.emulator.switches.mime_draft_attachments == "refused":
        raise bad_request("The draft was made from MIME; nothing can be attached to it.", "ErrorInvalidOperation")


def new_attachment_id(call: Call) -> str:
    return attachment_id(b"attachment", call.emulator.next_serial())


async def translate_ids(call: Call) -> Response:
    """Between default (restId) and immutable (restImmutableEntryId) ids (facts 3.7)."""
    value = {name.lower(): item for name, item in (await call.json()).items()}
    ids = value.get("inputids")
    if not isinstance(ids, list) or len(ids) > 1000:
        raise bad_request("inputIds must be a list of up to 1000 ids.", "ErrorInvalidRequest")
    immutable = str(value.get("targetidtype", "")).lower() == "restimmutableentryid"
    rows = []
    for source in map(str, ids):
        message = call.mailbox.find(source)
        if message is None:
            raise GraphError(400, "ErrorInvalidIdMalformed", f"The id '{source}' can't be translated.")
        rows.append({"sourceId": source, "targetId": message.immutable_id if immutable else message.id})
    return JSONResponse({"@odata.context": call.context("translateExchangeIds"), "value": rows})


# What they share


def accepted(call: Call) -> Response:
    return Response(status_code=int(call.emulator.switches.send_status))


def created(call: Call, message: StoredMessage) -> Response:
    body = {"@odata.context": f"{call.context('messages')}/$entity", **render_one(call, message)}
    return JSONResponse(body, 201)


def store_draft(call: Call, folder: Folder, content: Content, properties: Json, *, is_read: bool = True) -> StoredMessage:
    return call.mailbox.create(
        content,
        folder,
        call.emulator.clock.now(),
        is_draft=True,
        is_read=is_read,
        conversation_by_subject=call.emulator.switches.conversation_by_subject,
        properties=properties,
    )


def is_mime(call: Call) -> bool:
    return call.headers.get("content-type", "").lower().startswith("text/plain")


def _blank(call: Call) -> Content:
    emulator = call.emulator
    return Content(message_id=sending.new_message_id(emulator, call.account), date=emulator.clock.now())


def _read(call: Call, value: Json, start: Content) -> Patch:
    emulator = call.emulator

    def attachment(item: Json) -> Attachment:
        return read_attachment(item, new_attachment_id(call), emulator.blobs, emulator.clock.now())

    return read_message(value, start, attachment)


def no_attachments(item: Json) -> Attachment:
    raise bad_request("Add attachments to the draft of the reply.", "ErrorInvalidRequest")


def _prime(call: Call, patch: Patch) -> None:
    """A header used in JSON once is kept in MIME from then on (microsoft-graph-docs-contrib#424); its named property is the same."""
    call.mailbox.primed.update(name.lower() for name, _ in patch.content.headers)
    call.mailbox.primed.update(sending.headers_named(patch.properties))


async def _destination(call: Call) -> Folder:
    value = {name.lower(): item for name, item in (await call.json()).items()}
    folder = call.mailbox.folder(str(value.get("destinationid", "")))
    if folder is None:
        raise folder_not_found()
    return folder


def _attachment(call: Call) -> Attachment:
    found = open_mime(call.message().content, call.emulator.blobs).attachments
    attachment = call.mailbox.attachment(found, call.params["attachment"])
    if attachment is None:
        raise GraphError(404, "ErrorItemNotFound", "The specified attachment was not found.")
    return attachment


def _selected(value: Json, select: str) -> Json:
    wanted = {s for s in re.split(r"\s*,\s*", select) if s}
    if not wanted:
        return value
    return {k: v for k, v in value.items() if k.lower() in wanted or k == "id" or k.startswith("@")}
