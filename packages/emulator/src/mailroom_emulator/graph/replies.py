"""reply, replyAll, forward, and the drafts of them (facts 1.1)."""

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from mailroom_emulator.content import Address, Body, Content
from mailroom_emulator.graph import sending
from mailroom_emulator.graph.call import Call
from mailroom_emulator.graph.errors import bad_request
from mailroom_emulator.graph.fields import read_message
from mailroom_emulator.graph.messages import accepted, created, is_mime, no_attachments, store_draft
from mailroom_emulator.mailbox import StoredMessage
from mailroom_emulator.mime import open_mime


async def create_reply(call: Call) -> Response:
    return await _create(call, everyone=False)


async def create_reply_all(call: Call) -> Response:
    return await _create(call, everyone=True)


async def reply(call: Call) -> Response:
    return await _send(call, everyone=False)


async def reply_all(call: Call) -> Response:
    return await _send(call, everyone=True)


async def _create(call: Call, *, everyone: bool) -> Response:
    content = await _write(call, everyone=everyone)
    return created(call, store_draft(call, call.mailbox.well_known("drafts"), content, {}))


async def _send(call: Call, *, everyone: bool) -> Response:
    sending.send_new(call, await _write(call, everyone=everyone), save=True)
    return accepted(call)


async def _write(call: Call, *, everyone: bool) -> Content:
    """The answer: given as MIME, or made from the original and what the request says."""
    original = call.message()
    if is_mime(call):
        return _threaded(sending.content_from_mime(call, await call.body()), original.content)
    value = {name.lower(): item for name, item in (await call.json()).items()}
    message = value.get("message") or {}
    if "comment" in value and isinstance(message, dict) and "body" in message:
        raise bad_request("Specify either comment or the body of message, not both.", "ErrorInvalidRequest")
    start = _blank_answer(call, original, everyone=everyone)
    if value.get("comment") and call.operation in ("reply", "replyAll"):
        # The drafts lose it: GD21 concepts/known-issues.md.
        start = replace(start, body=_commented(start.body, str(value["comment"])))
    return read_message(_only_given(message), start, no_attachments).content


def _only_given(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise bad_request("The property 'message' must be an object.", "UnableToDeserializePostBody")
    return message


def _blank_answer(call: Call, original: StoredMessage, *, everyone: bool) -> Content:
    emulator, content = call.emulator, open_mime(original.content, call.emulator.blobs)
    author = content.reply_to or ((content.from_,) if content.from_ else ())
    own = {a.lower() for a in call.account.addresses()}
    others = tuple(a for a in (*content.to, *content.cc) if a.address.lower() not in own) if everyone else ()
    known = {a.address.lower() for a in author}
    subject = content.subject
    return _threaded(
        Content(
            message_id=sending.new_message_id(emulator, call.account),
            date=emulator.clock.now(),
            subject=subject if subject.lower().startswith("re:") else f"RE: {subject}",
            to=author,
            cc=tuple(a for a in others if a.address.lower() not in known),
            body=_quoted(content.body, content.from_),
        ),
        content,
    )


def _threaded(answer: Content, original: Content) -> Content:
    references = f"{original.references or ''} {original.message_id}".split()
    return replace(answer, in_reply_to=original.message_id, references=" ".join(references))


def _quoted(body: Body, author: Address | None) -> Body:
    who = author.name or author.address if author else ""
    if body.html:
        return Body(True, f"<hr><b>From:</b> {who}<br>{body.text}")
    return Body(False, f"\r\n________________________________\r\nFrom: {who}\r\n\r\n{body.text}")


def _commented(body: Body, comment: str) -> Body:
    return Body(body.html, f"<p>{comment}</p>{body.text}" if body.html else f"{comment}\r\n{body.text}")
