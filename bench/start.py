"""How long the gateway takes until it greets, and what it needs while nothing happens."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from bench import gateway as gateways
from bench.backlog import fill, utc_now
from bench.load import free_port, wait_for_port
from bench.place import Place
from bench.results import Goal, Result, median
from bench.usage import pss
from demo.processes import Gateway
from mailroom.store.open import open_store
from tests.contract.store.makers import Maker

ROUNDS = 5
IDLE = 5.0
"""Seconds after the greeting at which memory is measured."""
WAITING = 20_000
"""Deliveries in the existing database; they are due in an hour."""
CONFIGURATION = """\
[web]
port = 0
[[listener]]
port = {port}
tls = "none"
"""


def measure(place: Place, quick: bool) -> list[Result]:
    fresh, existing = _fresh(place), _existing(place)
    makers: dict[str, Callable[[], Gateway]] = {"without a database": lambda: next(fresh), "with a database": lambda: existing}
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    idle: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(2 if quick else ROUNDS):
        for name, make in makers.items():
            greeted, memory = _start(place, make())
            seconds[name].append(greeted)
            idle[name].append(memory)
    return [*_rows("start: until 220", seconds, "s", 2.0), *_rows("start: idle PSS", idle, "MB", 200.0)]


def _rows(title: str, found: dict[str, list[float]], unit: str, limit: float) -> Iterator[Result]:
    for name, rounds in found.items():
        facts: dict[str, object] = {"waiting": WAITING} if name == "with a database" else {}
        yield Result(
            name=f"{title}, {name}",
            value=median(rounds),
            unit=unit,
            goal=Goal.AT_MOST,
            limit=limit,
            rounds=tuple(rounds),
            facts=facts,
        )


def _start(place: Place, gateway: Gateway) -> tuple[float, float]:
    """Seconds until a client has read `220`, and MB of all processes when it has idled."""
    port = free_port()
    (gateway.folder / "mailroom.toml").write_text(CONFIGURATION.format(port=port))
    started = time.monotonic()
    gateway.launch()
    try:
        seconds = wait_for_port(port) - started
        time.sleep(IDLE)
        return seconds, pss(gateway.process.pid) / 1e6
    finally:
        gateway.stop()
        shutil.copy(gateway.output, place.log(gateway.folder.name))


def _fresh(place: Place) -> Iterator[Gateway]:
    number = 0
    while True:
        yield gateways.prepared(place, f"start-{number}")
        number += 1


def _existing(place: Place) -> Gateway:
    gateway = gateways.prepared(place, "start-again")
    gateways.configure(gateway, gateways.APPLICATION)
    store = open_store(gateways.database(gateway), clock=utc_now)
    try:
        fill(store, Maker(utc_now, store.node()), 0, WAITING, b"Subject: x\r\n\r\nx\r\n", due_in=timedelta(hours=1))
    finally:
        store.close()
    return gateway
