"""Is it alive, can it take mail, what has it done: for supervisors, load balancers and Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mailroom.notices import Notices, NoticeState
from mailroom.ports import Store
from mailroom_core.errors import StoreError

Ends = Callable[[], Iterable[tuple[str, str, datetime]]]
"""What of whom ends when."""


class _Queue(Collector):
    """What waits, read from the store when Prometheus asks."""

    def __init__(self, store: Store, notices: Notices, ends: Ends) -> None:
        self._store = store
        self._notices = notices
        self._ends = ends

    def collect(self) -> list[GaugeMetricFamily]:
        states = GaugeMetricFamily("mailroom_deliveries", "Deliveries by state", labels=["state"])
        for state, count in self._store.counts().items():
            states.add_metric([state.value], count)
        waiting = GaugeMetricFamily("mailroom_lane_waiting", "Deliveries that wait, by lane", labels=["lane"])
        held = GaugeMetricFamily("mailroom_lane_held", "1 if a lane needs a person", labels=["lane"])
        for lane in self._store.lanes():
            waiting.add_metric([lane.name], lane.waiting)
            held.add_metric([lane.name], bool(lane.held))
        notices = GaugeMetricFamily("mailroom_webhook_notices", "What webhooks have not been told", labels=["webhook", "state"])
        failing = GaugeMetricFamily("mailroom_webhook_failing_seconds", "How long a target has been failing", labels=["webhook"])
        now = datetime.now(UTC)
        for name, health in self._notices.health().items():
            notices.add_metric([name, NoticeState.WAITING.value], health.waiting)
            notices.add_metric([name, NoticeState.GIVEN_UP.value], health.given_up)
            failing.add_metric([name], (now - health.failing_since).total_seconds() if health.failing_since else 0)
        ends = GaugeMetricFamily("mailroom_expires_seconds", "Until a secret, certificate or sign-in ends", labels=["owner", "what"])
        for owner, what, at in self._ends():
            ends.add_metric([owner, what], (at - now).total_seconds())
        return [states, waiting, held, notices, failing, ends]


def routes(store: Store, notices: Notices, ends: Ends, stopping: Callable[[], bool]) -> list[Route]:
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
        registry.register(_Queue(store, notices, ends))
        return generate_latest(registry)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(await asyncio.to_thread(collected), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]
