"""The paths of Graph that are served, as a table. The first column is the name by which faults are scripted."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.responses import Response

from mailroom_emulator.graph import delta, folders, messages, replies, subscriptions, uploads
from mailroom_emulator.graph.call import Call
from mailroom_emulator.graph.permissions import PROFILE, READ, SEND, WRITE, Need

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """`path` is relative to the account; `{name}` is a parameter."""

    operation: str
    method: str
    path: str
    handler: Handler
    need: Need

    @property
    def segments(self) -> list[str]:
        return [s for s in self.path.split("/") if s]


ROUTES = (
    Route("getUser", "GET", "", folders.get_account, PROFILE),
    Route("sendMail", "POST", "sendMail", messages.send_mail, SEND),
    Route("createDraft", "POST", "messages", messages.create, WRITE),
    Route("createDraft", "POST", "mailFolders/{folder}/messages", messages.create, WRITE),
    Route("list", "GET", "messages", messages.list_all, READ),
    Route("list", "GET", "mailFolders/{folder}/messages", messages.list_all, READ),
    Route("getMessage", "GET", "messages/{message}", messages.get, READ),
    Route("getMessage", "GET", "mailFolders/{folder}/messages/{message}", messages.get, READ),
    Route("updateMessage", "PATCH", "messages/{message}", messages.update, WRITE),
    Route("updateMessage", "PATCH", "mailFolders/{folder}/messages/{message}", messages.update, WRITE),
    Route("deleteMessage", "DELETE", "messages/{message}", messages.delete, WRITE),
    Route("deleteMessage", "DELETE", "mailFolders/{folder}/messages/{message}", messages.delete, WRITE),
    Route("send", "POST", "messages/{message}/send", messages.send, SEND),
    Route("move", "POST", "messages/{message}/move", messages.move, WRITE),
    Route("copy", "POST", "messages/{message}/copy", messages.copy, WRITE),
    Route("getMime", "GET", "messages/{message}/$value", messages.mime_value, READ),
    Route("listAttachments", "GET", "messages/{message}/attachments", messages.list_attachments, READ),
    Route("addAttachment", "POST", "messages/{message}/attachments", messages.add_attachment, WRITE),
    Route("createUploadSession", "POST", "messages/{message}/attachments/createUploadSession", uploads.create_session, WRITE),
    Route("getAttachment", "GET", "messages/{message}/attachments/{attachment}", messages.get_attachment, READ),
    Route("getAttachmentValue", "GET", "messages/{message}/attachments/{attachment}/$value", messages.attachment_value, READ),
    Route("deleteAttachment", "DELETE", "messages/{message}/attachments/{attachment}", messages.delete_attachment, WRITE),
    Route("delta", "GET", "mailFolders/{folder}/messages/delta", delta.delta, READ),
    Route("createReply", "POST", "messages/{message}/createReply", replies.create_reply, WRITE),
    Route("createReply", "POST", "messages/{message}/createReplyAll", replies.create_reply_all, WRITE),
    Route("reply", "POST", "messages/{message}/reply", replies.reply, SEND),
    Route("replyAll", "POST", "messages/{message}/replyAll", replies.reply_all, SEND),
    Route("translateIds", "POST", "translateExchangeIds", messages.translate_ids, READ),
    Route("listFolders", "GET", "mailFolders", folders.list_folders, READ),
    Route("createFolder", "POST", "mailFolders", folders.create_folder, WRITE),
    Route("getFolder", "GET", "mailFolders/{folder}", folders.get_folder, READ),
    Route("listFolders", "GET", "mailFolders/{folder}/childFolders", folders.list_folders, READ),
    Route("createFolder", "POST", "mailFolders/{folder}/childFolders", folders.create_folder, WRITE),
)  # fmt: skip
OTHER_OPERATIONS = (
    "token",
    "authorize",
    "uploadRange",
    "uploadStatus",
    "uploadCancel",
    "batch",
    *subscriptions.OPERATIONS.values(),
    "unknown",
)

_CALL_FORM = re.compile(r"^(\w+)\((?:'(.*)')?\)$")  # mailFolders('inbox'), delta()


@dataclass(frozen=True)
class Found:
    route: Route
    params: dict[str, str]


@dataclass(frozen=True)
class Target:
    """A path split: whose mailbox, and what in it. `account` is None for `/me`."""

    account: str | None
    rest: tuple[str, ...]


def split(raw_path: str) -> Target | None:
    """The target of a path below `/v1.0`; None when it is not about an account."""
    segments: list[str] = []
    for part in raw_path.strip("/").split("/")[1:]:
        text = unquote(part).removeprefix("microsoft.graph.")
        form = _CALL_FORM.match(text)
        segments.append(form[1] if form else text)
        if form and form[2] is not None:
            segments.append(form[2].replace("''", "'"))
    if segments and segments[0].lower() == "me":
        return Target(None, tuple(segments[1:]))
    if len(segments) >= 2 and segments[0].lower() == "users":
        return Target(segments[1], tuple(segments[2:]))
    return None


def find(method: str, rest: tuple[str, ...]) -> Found | None:
    for route, pattern in _BY_SHAPE.get((method, len(rest)), ()):
        params = _match(pattern, rest)
        if params is not None:
            return Found(route, params)
    return None


def exists(rest: tuple[str, ...]) -> bool:
    """Whether some other method is served there."""
    return any(find(method, rest) for method in ("GET", "POST", "PATCH", "DELETE"))


def _match(pattern: tuple[str, ...], rest: tuple[str, ...]) -> dict[str, str] | None:
    params = {}
    for expected, given in zip(pattern, rest, strict=True):
        if expected[0] == "{":
            params[expected[1:-1]] = given
        elif expected != given.lower():
            return None
    return params


def _by_shape() -> dict[tuple[str, int], list[tuple[Route, tuple[str, ...]]]]:
    """Routes by method and length; those with fewer parameters first, so that a literal wins."""
    table: dict[tuple[str, int], list[tuple[Route, tuple[str, ...]]]] = {}
    for route in sorted(ROUTES, key=lambda r: r.path.count("{")):
        pattern = tuple(s if s.startswith("{") else s.lower() for s in route.segments)
        table.setdefault((route.method, len(pattern)), []).append((route, pattern))
    return table


_BY_SHAPE = _by_shape()
OPERATIONS = tuple(dict.fromkeys([r.operation for r in ROUTES] + list(OTHER_OPERATIONS)))
