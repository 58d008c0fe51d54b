"""Before a request is served: is there room for it?"""

import asyncio
from datetime import timedelta

from starlette.datastructures import Headers

from mailroom_emulator.exchange import Exchange
from mailroom_emulator.graph.errors import GraphError
from mailroom_emulator.limits import Throttled
from mailroom_emulator.tenant import Account


async def admit(exchange: Exchange, client_id: str, account: Account, headers: Headers) -> None:
    """Count the request in, until the exchange is cleaned up; raises Graph's 429. Then it takes its time."""
    emulator = exchange.emulator
    counters, switches = emulator.counters, emulator.switches
    counters.enter(account.upn)
    exchange.cleanup.callback(counters.leave, account.upn)
    if switches.throttling:
        try:
            emulator.limits.request(client_id, account.oid, _body_size(exchange, headers))
            place = emulator.limits.enter(client_id, account.oid, switches.concurrency_scope)
        except Throttled as error:
            raise _too_many(error) from error
        exchange.cleanup.callback(emulator.limits.leave, place)
    if switches.latency_seconds:
        await emulator.agenda.sleep(timedelta(seconds=switches.latency_seconds))
    else:
        await asyncio.sleep(0)  # what arrived at the same time is in flight at the same time


def _body_size(exchange: Exchange, headers: Headers) -> int:
    if exchange.scope["method"] not in ("PATCH", "POST", "PUT"):
        return 0
    length = headers.get("content-length", "0")
    return int(length) if length.isdigit() else 0


def _too_many(error: Throttled) -> GraphError:
    wait = max(error.wait.total_seconds(), 0.001)
    return GraphError(429, "ApplicationThrottled", error.text(), {"Retry-After": f"{wait:.3f}"})
