"""One request to Graph, as its handlers see it."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import Receive

from mailroom_emulator.entra.tokens import Claims
from mailroom_emulator.faults import Effects
from mailroom_emulator.graph.errors import GraphError, bad_request, item_not_found, too_large
from mailroom_emulator.hosts import Hosts
from mailroom_emulator.mailbox import Folder, Mailbox, StoredMessage
from mailroom_emulator.tenant import Account

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

REQUEST_LIMIT = 4 * 1024 * 1024  # facts 1.2


@dataclass
class Call:
    """`account` is the one named in the path, `user` the signed-in one (None for an app-only token)."""

    emulator: "Emulator"
    operation: str
    path: str
    query: dict[str, str]  # names in lower case, without $
    headers: Headers
    params: dict[str, str]
    claims: Claims
    account: Account
    user: Account | None
    hosts: Hosts
    receive: Receive
    effects: Effects

    @property
    def mailbox(self) -> Mailbox:
        return self.emulator.mailbox(self.account)

    @property
    def app_only(self) -> bool:
        return self.user is None

    @property
    def own(self) -> bool:
        return self.user is not None and self.user.oid == self.account.oid

    def preference(self, name: str) -> str | None:
        """The value of one `Prefer` header item, unquoted."""
        for line in self.headers.getlist("prefer"):
            for item in line.split(","):
                key, _, value = item.strip().partition("=")
                if key.lower() == name.lower():
                    return value.strip().strip('"')
        return None

    @property
    def immutable(self) -> bool:
        return (self.preference("IdType") or "").lower() == "immutableid"

    async def body(self) -> bytes:
        return await read_body(self.receive, REQUEST_LIMIT, too_large(self.emulator.switches.oversize_status))

    async def json(self) -> dict[str, Any]:
        """The JSON object of the request; an empty body is an empty object."""
        return json_object(await self.body())

    def message(self) -> StoredMessage:
        message = self.mailbox.find(self.params["message"])
        if message is None:
            raise item_not_found()
        return message

    def folder(self) -> Folder:
        folder = self.mailbox.folder(self.params["folder"])
        if folder is None:
            raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return folder

    def context(self, entity: str) -> str:
        base = f"{self.hosts.graph}/v1.0/$metadata#users('{self.account.oid}')"
        return f"{base}/{entity}"


def json_object(raw: bytes) -> dict[str, Any]:
    """A JSON object; nothing is an empty one."""
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise bad_request("Unable to read JSON request payload.", "UnableToDeserializePostBody") from error
    if not isinstance(value, dict):
        raise bad_request("The request body must be a JSON object.", "UnableToDeserializePostBody")
    return value


async def read_body(receive: Receive, limit: int, over: Exception) -> bytes:
    """The whole body; what is beyond `limit` bytes is read away, then `over` is raised."""
    pieces: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionResetError("the client went away")
        piece = event.get("body", b"")
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        if not event.get("more_body", False):
            break
    if size > limit:
        raise over
    return b"".join(pieces)
