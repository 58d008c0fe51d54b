"""Is it alive, can it take mail, what has it done: for supervisors, load balancers and Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mailroom.ports import Store
from mailroom_core.errors import StoreError


class _Queue(Collector):
    """What waits, read from the store when Prometheus asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> list[GaugeMetricFamily]:
        states = GaugeMetricFamily("mailroom_deliveries", "Deliveries by state", labels=["state"])
        for state, count in self._store.counts().items():
            states.add_metric([state.value], count)
        waiting = GaugeMetricFamily("mailroom_lane_waiting", "Deliveries that wait, by lane", labels=["lane"])
        held = GaugeMetricFamily("mailroom_lane_held", "1 if a lane needs a person", labels=["lane"])
        for lane in self._store.lanes():
            waiting.add_metric([lane.name], lane.waiting)
            held.add_metric([lane.name], bool(lane.held))
        return [states, waiting, held]


def routes(store: Store, stopping: Callable[[], bool]) -> list[Route]:
    """`/health`: the process lives. `/ready`: it can store mail. `/metrics`: Prometheus, of all processes."""

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        if stopping():
            return JSONResponse({"status": "stopping"}, 503)
        try:
            await asyncio.to_thread(store.ping)
        except StoreError as problem:
            return JSONResponse({"status": "store", "detail": str(problem)}, 503)
        return JSONResponse({"status": "ready"})

    def collected() -> bytes:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client types only a part of itself
        registry.register(_Queue(store))
        return generate_latest(registry)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(await asyncio.to_thread(collected), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]
