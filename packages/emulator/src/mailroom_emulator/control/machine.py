"""The emulator itself: time, switches, faults, counters."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mailroom_emulator import limits, transport
from mailroom_emulator.counters import Counters
from mailroom_emulator.graph.routes import OTHER_OPERATIONS, ROUTES

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator


class Machine:
    def __init__(self, emulator: "Emulator") -> None:
        self._e = emulator

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "tenant": self._e.tenant.id, "domain": self._e.tenant.domain})

    async def reset(self, request: Request) -> Response:
        self._e.reset()
        return Response(status_code=204)

    async def clock(self, request: Request) -> Response:
        clock = self._e.clock
        return JSONResponse(
            {"now": clock.now().isoformat(), "frozen": clock.frozen, "scale": clock.scale, "waiting": self._e.agenda.waiting}
        )

    async def set_clock(self, request: Request) -> Response:
        """{"advance": seconds} and/or {"freeze": true | "<time>" | false}"""
        value = await request.json()
        freeze = value.get("freeze")
        if freeze is False:
            self._e.clock.thaw()
        elif freeze is not None:
            at = None if freeze is True else datetime.fromisoformat(freeze)
            self._e.clock.freeze(at.replace(tzinfo=at.tzinfo or UTC) if at else None)
        self._e.clock.advance(timedelta(seconds=float(value.get("advance", 0))))
        self._e.agenda.run_due()
        return await self.clock(request)

    async def switches(self, request: Request) -> Response:
        return JSONResponse(self._e.switches.describe())

    async def set_switches(self, request: Request) -> Response:
        self._e.switches.change(await request.json())
        return await self.switches(request)

    async def operations(self, request: Request) -> Response:
        rows = [{"operation": r.operation, "method": r.method, "path": f"/users/{{id}}/{r.path}"} for r in ROUTES]
        return JSONResponse([*rows, *({"operation": name} for name in OTHER_OPERATIONS)])

    async def faults(self, request: Request) -> Response:
        return JSONResponse([f.json() for f in self._e.faults.all])

    async def add_fault(self, request: Request) -> Response:
        return JSONResponse(self._e.faults.add(await request.json()).json(), 201)

    async def remove_faults(self, request: Request) -> Response:
        self._e.faults.remove(request.path_params.get("id"))
        return Response(status_code=204)

    async def counters(self, request: Request) -> Response:
        return JSONResponse(self._e.counters.json())

    async def reset_counters(self, request: Request) -> Response:
        self._e.counters = Counters()
        return Response(status_code=204)

    async def requests(self, request: Request) -> Response:
        limit = int(request.query_params.get("limit", 100))
        recent = list(self._e.counters.recent)[-limit:]
        return JSONResponse([{**r, "at": r["at"].isoformat()} for r in recent])

    async def least_time(self, request: Request) -> Response:
        """The least seconds that a load takes under the limits; the query has the fields of `limits.Load`."""
        query = dict(request.query_params)
        known = {f.name for f in fields(limits.Load)}
        wrong = sorted(set(query) - known)
        if wrong:
            raise ValueError(f"a load has no {wrong[0]!r}; it has: {', '.join(sorted(known))}")
        numbers = {name: float(text) if name == "requests_per_message" else int(text) for name, text in query.items()}
        load = limits.Load(**numbers)  # type: ignore[arg-type]  # the names were checked just above
        latency = timedelta(seconds=self._e.switches.latency_seconds)
        licences = transport.licences(self._e)
        return JSONResponse(limits.least_time(load, latency=latency, licences=licences, clock=self._e.clock))
