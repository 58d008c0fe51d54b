"""Upload sessions for attachments of 3 to 150 MB (facts 2)."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive

from mailroom_emulator import wire
from mailroom_emulator.blobs import Writer
from mailroom_emulator.content import Attachment
from mailroom_emulator.graph.call import REQUEST_LIMIT, Call, read_body
from mailroom_emulator.graph.errors import GraphError, access_denied, bad_request, item_not_found, too_large
from mailroom_emulator.graph.messages import attach, check_attachable, new_attachment_id
from mailroom_emulator.mailbox import StoredMessage

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

SMALLEST = 3 * 1024 * 1024
LARGEST = 150 * 1024 * 1024
LIFETIME = timedelta(hours=1)
_RANGE = re.compile(r"^bytes (\d+)-(\d+)/(\d+)$", re.IGNORECASE)


@dataclass
class Session:
    """One attachment on its way; the call that made it says for whom."""

    id: str
    authtoken: str
    call: Call
    message: StoredMessage
    name: str
    content_type: str
    size: int
    inline: bool
    content_id: str | None
    expires: datetime
    writer: Writer

    @property
    def path(self) -> str:
        account = self.call.account.oid
        return f"/api/gv1.0/users('{account}')/messages('{self.message.id}')/AttachmentSessions('{self.id}')"

    def url(self) -> str:
        return f"{self.call.hosts.outlook}{self.path}?authtoken={self.authtoken}"


async def create_session(call: Call) -> Response:
    item = _attachment_item(await call.json())
    message = call.message()
    if not call.app_only and not call.own and not call.emulator.switches.delegated_shared_upload:
        raise access_denied()  # GD21 concepts/known-issues.md
    check_attachable(call, message)
    size = item.get("size")
    if not isinstance(size, int) or not item.get("name"):
        raise bad_request("AttachmentItem must have attachmentType, name and size.", "ErrorInvalidRequest")
    if size < SMALLEST:
        raise bad_request(
            "The attachment size is below the minimum for an upload session.",
            "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
        )
    _check_total(call, message, size)
    session = Session(
        id=secrets.token_urlsafe(24),
        authtoken=f"eyJhbGciOiJSUzI1NiJ9.{secrets.token_urlsafe(48)}",
        call=call,
        message=message,
        name=str(item["name"]),
        content_type=str(item.get("contenttype") or "application/octet-stream"),
        size=size,
        inline=bool(item.get("isinline", False)),
        content_id=str(item["contentid"]).strip("<>") if item.get("contentid") else None,
        expires=call.emulator.clock.now() + LIFETIME,
        writer=call.emulator.blobs.writer(),
    )
    call.emulator.uploads[session.id] = session
    body = {
        "@odata.context": f"{call.hosts.graph}/v1.0/$metadata#microsoft.graph.uploadSession",
        "uploadUrl": session.url(),
        "expirationDateTime": _stamp(session.expires),
        "nextExpectedRanges": ["0-"],
    }
    return JSONResponse(body, 201)


def _check_total(call: Call, message: StoredMessage, size: int) -> None:
    total = wire.show(message.content).size + size * 4 // 3
    if size > LARGEST or total > call.account.max_message_size:
        raise GraphError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size., Cannot save changes.")


def _attachment_item(value: dict[str, Any]) -> dict[str, Any]:
    item = next((v for k, v in value.items() if k.lower() == "attachmentitem"), None)
    if not isinstance(item, dict):
        raise bad_request("The parameter 'AttachmentItem' is missing.", "ErrorInvalidRequest")
    lower = {k.lower(): v for k, v in item.items()}
    if str(lower.get("attachmenttype", "")).lower() != "file":
        raise bad_request("The attachmentType must be 'file'.", "ErrorInvalidRequest")
    return lower


def find_session(emulator: "Emulator", session_id: str, authtoken: str | None, headers: Headers) -> Session:
    """The session of an uploadUrl; the URL is its own credential, any other spoils it."""
    if "authorization" in headers:
        raise GraphError(
            401,
            "InvalidAudience",
            "The audience claim value is invalid 'aud'.",
            {"x-ms-diagnostics": '2000003;reason="The audience claim value is invalid \'aud\'.";error_category="invalid_resource"'},
        )
    session = emulator.uploads.get(session_id)
    if session is None:
        raise GraphError(404, "ErrorItemNotFound", "The upload session was not found.")
    if authtoken != session.authtoken:
        raise GraphError(401, "InvalidAuthenticationToken", "The authtoken is not valid for this upload session.")
    if session.expires <= emulator.clock.now():
        raise GraphError(404, "ErrorUploadSessionExpired", "The upload session has expired.")
    if session.message.serial not in session.message.folder.messages:
        raise item_not_found()
    return session


async def put_range(session: Session, headers: Headers, receive: Receive) -> Response:
    """Take the next range; answers the next expected one, or 201 when it was the last."""
    emulator = session.call.emulator
    first, last = _range(session, headers)
    data = await read_body(receive, REQUEST_LIMIT, too_large(emulator.switches.oversize_status))
    if len(data) != last - first + 1:
        raise bad_request("Content-Length does not match the length of Content-Range.", "ErrorInvalidContentRange")
    if first != session.writer.size:
        raise bad_request(f"Ranges must be sent in order; the next one starts at {session.writer.size}.", "ErrorInvalidContentRange")
    session.writer.write(data)
    if session.writer.size < session.size:
        return _expected(session)
    return _finish(session)


def _range(session: Session, headers: Headers) -> tuple[int, int]:
    found = _RANGE.match(headers.get("content-range", ""))
    if found is None:
        raise bad_request("Content-Range must be 'bytes first-last/total'.", "ErrorInvalidContentRange")
    first, last, total = (int(g) for g in found.groups())
    if total != session.size or last < first or last >= total:
        raise bad_request("Content-Range does not fit the announced size.", "ErrorInvalidContentRange")
    return first, last


def _finish(session: Session) -> Response:
    call = session.call
    attachment = Attachment(
        id=new_attachment_id(call),
        name=session.name,
        content_type=session.content_type,
        blob=session.writer.finish(),
        inline=session.inline,
        content_id=session.content_id,
        modified=call.emulator.clock.now(),
    )
    del call.emulator.uploads[session.id]
    attach(call, session.message, attachment)
    location = f"{call.hosts.outlook}/api/v2.0/Users('{call.account.oid}')/Messages('{session.message.id}')/Attachments('{attachment.id}')"
    return Response(status_code=201, headers={"Location": location})


def status(session: Session) -> Response:
    if not session.call.emulator.switches.upload_resume_by_get:
        raise GraphError(405, "ErrorInvalidRequest", "The OData request is not supported.")
    return _expected(session)


def cancel(session: Session) -> Response:
    del session.call.emulator.uploads[session.id]
    return Response(status_code=204)


def _expected(session: Session) -> Response:
    # A bare number, a capital E and no uploadUrl: that is how Outlook answers (facts 2).
    return JSONResponse(
        {
            "@odata.context": f"{session.call.hosts.outlook}/api/v2.0/$metadata#Collection(Attachments)",
            "ExpirationDateTime": _stamp(session.expires),
            "nextExpectedRanges": [str(session.writer.size)],
        }
    )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "1Z"
