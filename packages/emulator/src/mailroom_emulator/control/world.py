"""Mail: what lies in the mailboxes, what left the tenant, and what comes in from outside."""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from mailroom_emulator import answers, seed, transport
from mailroom_emulator.graph import subscriptions
from mailroom_emulator.mailbox import StoredMessage
from mailroom_emulator.outside import Copy
from mailroom_emulator.stream import pieces
from mailroom_emulator.tenant import Account

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

_EVENTS = ("reauthorizationRequired", "subscriptionRemoved", "missed")


class World:
    def __init__(self, emulator: "Emulator") -> None:
        self._e = emulator

    async def folder(self, request: Request) -> Response:
        """What lies in a folder, newest first, without Graph's ceremonies."""
        mailbox = self._e.mailbox(self._account(request))
        folder = mailbox.folder(request.path_params["folder"])
        if folder is None:
            raise ValueError(f"there is no folder {request.path_params['folder']!r}")
        limit = int(request.query_params.get("limit", 1000))
        found = [_message_json(m) for m, _ in zip(folder.newest_first(), range(limit), strict=False)]
        return JSONResponse({"total": len(folder.order), "unread": len(folder.unread), "messages": found})

    async def deliver(self, request: Request) -> Response:
        """The body is raw MIME that arrives from outside in this account's Inbox."""
        raw = await request.body()
        if not raw.strip():
            raise ValueError("the body must be the mail as MIME")
        message_id = transport.receive_mime(self._e, self._account(request), raw)
        return JSONResponse({"id": message_id}, 201)

    async def damage(self, request: Request) -> Response:
        """Make a message one that Exchange can't convert."""
        message = self._e.mailbox(self._account(request)).find(request.path_params["message"])
        if message is None:
            raise ValueError("there is no message with this id")
        message.damaged = True
        return Response(status_code=204)

    async def outside(self, request: Request) -> Response:
        """Mail that left the tenant, oldest first; ?to= &message_id= &subject= (a part of it) &limit= (the latest)."""
        query = request.query_params
        found = list(self._e.outside.find(query.get("to"), query.get("message_id"), query.get("subject")))
        limit = int(query.get("limit", 1000))
        listed = [copy.json() for copy in found[max(0, len(found) - limit) :]]
        return JSONResponse({"total": len(found), "messages": listed})

    async def raw(self, request: Request) -> Response:
        copy = self._copy(request)
        headers = {"Content-Length": str(copy.raw.size)}
        return StreamingResponse(pieces(copy.raw), media_type="message/rfc822", headers=headers)

    async def reply(self, request: Request) -> Response:
        """The recipient of a copy answers: {"text": ..., "html": ..., "sender": ..., "headers": {...}}, all optional."""
        value = await request.json() if await request.body() else {}
        written = answers.write(self._copy(request), answers.Reply(**value), self._e.clock.now())
        account = seed.need_account(self._e.tenant, written.to)
        message_id = transport.receive_mime(self._e, account, written.raw)
        return JSONResponse({"mailbox": account.upn, "id": message_id}, 201)

    async def forget_delta(self, request: Request) -> Response:
        """Every delta token of this mailbox is answered with 410 from now on."""
        self._e.mailbox(self._account(request)).delta_epoch += 1
        return Response(status_code=204)

    async def subscriptions(self, request: Request) -> Response:
        notes = self._e.notifications
        listed = [subscriptions.as_json(s) for s in notes.all.values()]
        return JSONResponse({"subscriptions": listed, "delivered": notes.sent, "failed": notes.failed})

    async def lifecycle(self, request: Request) -> Response:
        """{"event": "reauthorizationRequired" | "subscriptionRemoved" | "missed"}: the owner is told."""
        value = await request.json()
        subscription = self._e.notifications.all.get(request.path_params["id"])
        if subscription is None:
            raise ValueError(f"there is no subscription {request.path_params['id']!r}")
        if value.get("event") not in _EVENTS:
            raise ValueError(f"an event is one of {', '.join(_EVENTS)}")
        self._e.notifications.lifecycle(subscription, value["event"])
        return Response(status_code=202)

    async def bounces(self, request: Request) -> Response:
        return JSONResponse({address: reason.diagnostic for address, reason in self._e.bounces.by_address.items()})

    async def add_bounce(self, request: Request) -> Response:
        """{"address": ..., "diagnostic": "550 5.2.2 mailbox full"}: mail to it is reported back as failed."""
        value = await request.json()
        self._e.bounces.set(str(value["address"]), str(value.get("diagnostic", "550 5.1.1 User unknown")))
        return await self.bounces(request)

    async def remove_bounce(self, request: Request) -> Response:
        self._e.bounces.by_address.pop(request.path_params["address"].lower(), None)
        return Response(status_code=204)

    def _account(self, request: Request) -> Account:
        return seed.need_account(self._e.tenant, request.path_params["name"])

    def _copy(self, request: Request) -> Copy:
        copy = self._e.outside.copies.get(request.path_params["id"])
        if copy is None:
            raise ValueError(f"there is no mail {request.path_params['id']!r} outside")
        return copy


def _message_json(message: StoredMessage) -> dict[str, Any]:
    content = message.content
    return {
        "id": message.id,
        "immutable_id": message.immutable_id,
        "message_id": content.message_id,
        "subject": content.subject,
        "from": content.from_.address if content.from_ else None,
        "to": [a.address for a in content.to],
        "cc": [a.address for a in content.cc],
        "bcc": [a.address for a in content.bcc],
        "is_draft": message.is_draft,
        "is_read": message.is_read,
        "received": message.received.isoformat(),
        "conversation": message.conversation,
        "properties": message.properties,
    }
