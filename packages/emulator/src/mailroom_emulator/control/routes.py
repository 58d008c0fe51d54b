"""The paths of the control API."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from mailroom_emulator.control.directory import Directory
from mailroom_emulator.control.machine import Machine
from mailroom_emulator.control.world import World

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

Endpoint = Callable[[Request], Awaitable[Response]]


def router(emulator: "Emulator") -> Router:
    directory, machine, world = Directory(emulator), Machine(emulator), World(emulator)
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/health", machine.health),
        ("POST", "/reset", machine.reset),
        ("GET", "/clock", machine.clock),
        ("POST", "/clock", machine.set_clock),
        ("GET", "/switches", machine.switches),
        ("POST", "/switches", machine.set_switches),
        ("GET", "/operations", machine.operations),
        ("GET", "/faults", machine.faults),
        ("POST", "/faults", machine.add_fault),
        ("DELETE", "/faults", machine.remove_faults),
        ("DELETE", "/faults/{id}", machine.remove_faults),
        ("GET", "/counters", machine.counters),
        ("DELETE", "/counters", machine.reset_counters),
        ("GET", "/requests", machine.requests),
        ("GET", "/least-time", machine.least_time),
        ("GET", "/accounts", directory.accounts),
        ("POST", "/accounts", directory.add_account),
        ("PATCH", "/accounts/{name}", directory.change_account),
        ("DELETE", "/accounts/{name}", directory.remove_account),
        ("POST", "/accounts/{name}/rights", directory.rights),
        ("POST", "/accounts/{name}/revoke", directory.revoke),
        ("GET", "/apps", directory.apps),
        ("POST", "/apps", directory.add_app),
        ("PATCH", "/apps/{client_id}", directory.change_app),
        ("POST", "/apps/{client_id}/certificates", directory.add_certificate),
        ("GET", "/accounts/{name}/folders/{folder}", world.folder),
        ("POST", "/accounts/{name}/deliver", world.deliver),
        ("POST", "/accounts/{name}/damage/{message}", world.damage),
        ("POST", "/accounts/{name}/forget-delta", world.forget_delta),
        ("GET", "/subscriptions", world.subscriptions),
        ("POST", "/subscriptions/{id}/lifecycle", world.lifecycle),
        ("GET", "/outside", world.outside),
        ("GET", "/outside/{id}/raw", world.raw),
        ("POST", "/outside/{id}/reply", world.reply),
        ("GET", "/bounces", world.bounces),
        ("POST", "/bounces", world.add_bounce),
        ("DELETE", "/bounces/{address}", world.remove_bounce),
    ]
    return Router([Route(f"/_emulator{path}", _careful(call), methods=[method]) for method, path, call in table])


def _careful(call: Endpoint) -> Endpoint:
    """Mistakes in what was sent become a 400 that says so."""

    async def endpoint(request: Request) -> Response:
        try:
            return await call(request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            return JSONResponse({"error": text}, 400)

    return endpoint
