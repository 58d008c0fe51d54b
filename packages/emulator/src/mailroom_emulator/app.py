"""The front door: which service a request is for, and what is written down about it."""

import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from mailroom_emulator import control
from mailroom_emulator.entra import routes as entra_routes
from mailroom_emulator.graph import routes as graph_routes
from mailroom_emulator.graph import service
from mailroom_emulator.graph.errors import GraphError

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

_UPLOAD = re.compile(r"^/api/gv1\.0/users\('[^']+'\)/messages\('[^']+'\)/AttachmentSessions\('([^']+)'\)$")
_UPLOAD_OPERATIONS = {"PUT": "uploadRange", "GET": "uploadStatus", "DELETE": "uploadCancel"}


class Application:
    """The ASGI application over one emulator."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator
        self._control = control.router(emulator)
        self._entra = entra_routes.router(emulator)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith("/_emulator"):
            await self._control(scope, receive, send)
        elif path.startswith(("/v1.0", "/beta")):
            await self._graph(scope, receive, send)
        elif upload := _UPLOAD.match(path):
            await self._upload(scope, receive, send, upload[1])
        else:
            await self._login(scope, receive, send)

    async def _graph(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = graph_routes.split(scope["raw_path"].decode("latin-1"))
        found = graph_routes.find(scope["method"], target.rest) if target else None
        headers, request_id = Headers(scope=scope), service.new_request_id()
        try:
            response = await service.answer(self._emulator, scope, receive, target, found)
        except GraphError as error:
            response = service.refusal(self._emulator, headers, error, request_id)
        service.stamp_headers(response, headers, request_id)
        operation = found.route.operation if found else "unknown"
        self._record(scope, operation, (target.account if target else "") or "me", response.status_code)
        await response(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send, session_id: str) -> None:
        headers, request_id = Headers(scope=scope), service.new_request_id()
        try:
            response = await service.upload_answer(self._emulator, scope, receive, session_id)
        except GraphError as error:
            response = service.refusal(self._emulator, headers, error, request_id)
        self._record(scope, _UPLOAD_OPERATIONS.get(scope["method"], "unknown"), "", response.status_code)
        await response(scope, receive, send)

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = scope["path"].rpartition("/")[2]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._record(scope, operation, "", message["status"])
            await send(message)

        await self._entra(scope, receive, noting)

    def _record(self, scope: Scope, operation: str, mailbox: str, status: int) -> None:
        emulator = self._emulator
        emulator.counters.record(emulator.clock.now(), scope["method"], scope["path"], operation, mailbox, status)
