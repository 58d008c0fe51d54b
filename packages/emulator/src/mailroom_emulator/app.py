"""The front door: which service a request is for, and what is written down about it."""

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mailroom_emulator.control.routes import router as control_router
from mailroom_emulator.entra import routes as entra_routes
from mailroom_emulator.exchange import Do, Exchange, carry_out
from mailroom_emulator.faults import Effects
from mailroom_emulator.graph import routes as graph_routes
from mailroom_emulator.graph import service
from mailroom_emulator.graph.errors import GraphError
from mailroom_emulator.graph.subscriptions import OPERATIONS as SUBSCRIPTION_OPERATIONS

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

Json = dict[str, Any]
_UPLOAD = re.compile(r"^/api/gv1\.0/users\('[^']+'\)/messages\('[^']+'\)/AttachmentSessions\('([^']+)'\)$")
_UPLOAD_OPERATIONS = {"PUT": "uploadRange", "GET": "uploadStatus", "DELETE": "uploadCancel"}


class Application:
    """The ASGI application over one emulator."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator
        self._control = control_router(emulator)
        self._entra = entra_routes.router(emulator)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = _without_empty_segments(scope)
        path: str = scope["path"]
        if path.startswith("/_emulator"):
            await self._control(scope, receive, send)
            return
        exchange = Exchange(self._emulator, scope, receive, "unknown", service.new_request_id())
        do = self._choose(exchange)

        async def send_and_leave(message: Message) -> None:
            # Before the last byte leaves, so that the client's next request never meets this one.
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                exchange.cleanup.close()
            await send(message)

        with exchange.cleanup:
            response = await carry_out(exchange, do)
            self._record(exchange, response)
            if response is not None:
                await response(scope, receive, send_and_leave)

    def _choose(self, exchange: Exchange) -> Do:
        path: str = exchange.scope["path"]
        if path.startswith(("/v1.0/subscriptions", "/beta/subscriptions")):
            return self._subscription(exchange)
        if path in ("/v1.0/$batch", "/beta/$batch"):
            return self._batch(exchange)
        if path.startswith(("/v1.0", "/beta")):
            return self._graph(exchange)
        upload = _UPLOAD.match(path)
        return self._upload(exchange, upload[1]) if upload else self._login(exchange)

    def _subscription(self, exchange: Exchange) -> Do:
        rest = exchange.scope["path"].strip("/").split("/")[2:]
        exchange.operation = SUBSCRIPTION_OPERATIONS.get((exchange.scope["method"], len(rest)), "unknown")

        async def do(receive: Receive, effects: Effects) -> Response:
            return await self._guarded(exchange, service.subscription_answer(exchange, receive, rest[0] if rest else ""))

        return do

    def _batch(self, exchange: Exchange) -> Do:
        exchange.operation = "batch"

        async def serve(scope: Scope, receive: Receive, finish: Callable[[Response], Awaitable[Json]]) -> Json:
            inner = Exchange(self._emulator, scope, receive, "unknown", service.new_request_id())
            with inner.cleanup:
                response = await carry_out(inner, self._choose(inner))
                self._record(inner, response)
                return await finish(response or Response(status_code=504))

        async def do(receive: Receive, effects: Effects) -> Response:
            return await self._guarded(exchange, service.batch_answer(exchange, receive, serve))

        return do

    async def _guarded(self, exchange: Exchange, answer: Awaitable[Response]) -> Response:
        """The answer, with Graph's headers; refusals in Graph's form."""
        headers = Headers(scope=exchange.scope)
        try:
            response = await answer
        except GraphError as error:
            response = service.refusal(self._emulator, headers, error, exchange.request_id)
        service.stamp_headers(response, headers, exchange.request_id)
        return response

    def _graph(self, exchange: Exchange) -> Do:
        scope = exchange.scope
        target = graph_routes.split(scope["raw_path"].decode("latin-1"))
        found = graph_routes.find(scope["method"], target.rest) if target else None
        headers = Headers(scope=scope)
        exchange.operation = found.route.operation if found else "unknown"
        exchange.mailbox = service.mailbox_name(self._emulator, target, headers)

        async def do(receive: Receive, effects: Effects) -> Response:
            return await self._guarded(exchange, service.answer(exchange, receive, effects, target, found))

        return do

    def _upload(self, exchange: Exchange, session_id: str) -> Do:
        headers = Headers(scope=exchange.scope)
        exchange.operation = _UPLOAD_OPERATIONS.get(exchange.scope["method"], "unknown")
        session = self._emulator.uploads.get(session_id)
        exchange.mailbox = session.call.account.upn if session else ""

        async def do(receive: Receive, effects: Effects) -> Response:
            try:
                return await service.upload_answer(exchange, receive, effects, session_id)
            except GraphError as error:
                return service.refusal(self._emulator, headers, error, exchange.request_id)

        return do

    def _login(self, exchange: Exchange) -> Do:
        name = exchange.scope["path"].rpartition("/")[2]
        exchange.operation = name if name in graph_routes.OPERATIONS else "unknown"

        async def do(receive: Receive, effects: Effects) -> Response:
            start: list[Message] = []
            body: list[bytes] = []

            async def collect(message: Message) -> None:
                if message["type"] == "http.response.start":
                    start.append(message)
                else:
                    body.append(message.get("body", b""))

            await self._entra(exchange.scope, receive, collect)
            response = Response(b"".join(body), start[0]["status"])
            response.raw_headers = list(start[0]["headers"])
            return response

        return do

    def _record(self, exchange: Exchange, response: Response | None) -> None:
        """A broken connection counts as status 0."""
        scope = exchange.scope
        status = response.status_code if response is not None else 0
        now = self._emulator.clock.now()
        self._emulator.counters.record(now, scope["method"], scope["path"], exchange.operation, exchange.mailbox, status)


def _without_empty_segments(scope: Scope) -> Scope:
    """msgraph-sdk for Python asks for `/v1.0//users/...`, and Graph answers."""
    if "//" not in scope["path"]:
        return scope
    return {**scope, "path": re.sub("//+", "/", scope["path"]), "raw_path": re.sub(b"//+", b"/", scope["raw_path"])}
