"""Sending through Graph: beside the least time that the limits allow, and, without limits, beside what the emulator can take.

The emulator says what no client can beat. Two loads meet two of its limits: more mails than a window of requests takes, with all
windows ten times shorter on both sides (`--time-scale`, `queue.time_scale`); and requests that take `LATENCY` each, so that how many
may be under way at once decides. Without limits, a bare HTTP client that sends the same requests, as many at once, takes turns with
the gateway. The queue is full before the first mail leaves, but for the load with latency.
"""

from __future__ import annotations

import asyncio
import base64
import smtplib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2

from bench import gateway as gateways
from bench.place import Missing, Place
from bench.results import Goal, Result, median
from demo.processes import Emulator, Gateway
from mailroom.store.open import open_store
from mailroom_core.providers.graph.limits import MAILBOX
from mailroom_emulator.limits import CONCURRENCY

MARY = "mary@contoso.example"
CUSTOMER = "somebody@customer.example"
MAIL = f"From: {MARY}\r\nTo: {CUSTOMER}\r\nSubject: Offer\r\n\r\n".encode() + b"0123456789" * 6 * 60 + b"\r\n"
LATENCY = 0.1
REQUESTS = 2
"""Of each mail: the draft, and sending it."""
SESSIONS = 8
PATIENCE = 120.0
ROUNDS = 3
SCALE = 10
OVER_ONE_WINDOW = 5500
"""Mails: 11,000 requests, where a window takes 10,000."""


@dataclass(frozen=True, slots=True)
class Office:
    emulator: Emulator
    gateway: Gateway

    def counters(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = self.emulator.ask("GET", "/counters")
        return found

    def sent(self) -> int:
        """How often `/send` was answered since the counters were reset."""
        return self.counters()["by_operation"].get("send", 0)


def measure(place: Place, quick: bool) -> list[Result]:
    results = []
    with _office(place, "drain") as office:
        results += [*_limited(office, 100 if quick else 600), *_unlimited(office, 200 if quick else 1000, 1 if quick else ROUNDS)]
    if not quick:
        with _office(place, "drain-windows", SCALE) as office:
            results += _windows(office)
    return results


@contextmanager
def _office(place: Place, name: str, scale: int = 1) -> Iterator[Office]:
    emulator = Emulator(place.folder / f"{name}-emulator", "--time-scale", str(scale))
    try:
        gateway = gateways.prepared(place, name, environment={"MAILROOM_QUEUE_TIME_SCALE": str(scale)})
        gateways.graph(gateway, emulator)
        with gateways.running(place, gateway):
            office = Office(emulator, gateway)
            _submit(gateway, 50)
            _wait(lambda: office.sent() >= 50)
            yield office
    finally:
        emulator.stop()
        emulator.http.close()


# ---- with limits ----------------------------------------------------------------------------------------------------


def _windows(office: Office) -> list[Result]:
    """From the first answer to a `/send` on; the windows begin with it."""
    first, last = _filled_and_drained(office, OVER_ONE_WINDOW)
    return _beside_least(office, f"drain: windows {SCALE}:1, time / least time", last - first, OVER_ONE_WINDOW)


def _limited(office: Office, mails: int) -> list[Result]:
    office.emulator.switch(latency_seconds=LATENCY)
    office.emulator.ask("DELETE", "/counters")
    start = time.monotonic()
    _submit(office.gateway, mails)
    seconds = _wait(lambda: office.sent() >= mails) - start
    found = _beside_least(office, "drain: latency, time / least time", seconds, mails)
    office.emulator.switch(latency_seconds=0.0)
    return found


def _beside_least(office: Office, name: str, seconds: float, mails: int) -> list[Result]:
    """One at a time less than is allowed is the gateway's own choice, so there is a row with and without it where that decides."""
    least = office.emulator.ask("GET", "/least-time", params={"messages": mails, "requests_per_message": REQUESTS})
    counters = office.counters()
    facts = {"mails": mails, "seconds": round(seconds, 2), "least": least, "counters": counters}
    rows = [_ratio(name, seconds, least["seconds"], facts)]
    if least["seconds"] == least["concurrency"]:
        ours = least["seconds"] * CONCURRENCY / MAILBOX.concurrency
        rows.append(_ratio(f"    with {MAILBOX.concurrency} requests at once instead of {CONCURRENCY}", seconds, ours, facts))
    refused = float(counters["by_status"].get("429", 0))
    return [*rows, Result(name="    answers 429", value=refused, unit="", goal=Goal.AT_MOST, limit=0.5, facts={"mails": mails})]


def _ratio(name: str, seconds: float, least: float, facts: dict[str, object]) -> Result:
    return Result(name=name, value=seconds / least, unit="x", goal=Goal.AT_MOST, limit=1.1, facts=facts)


# ---- without ---------------------------------------------------------------------------------------------------------


def _unlimited(office: Office, mails: int, rounds: int) -> list[Result]:
    office.emulator.switch(throttling=False)
    token = gateways.app_token(office.emulator)
    gateway: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        gateway.append(_drained(office, mails))
        start = time.monotonic()
        asyncio.run(_bare(office.emulator.url, token, mails))
        bare.append(mails / (time.monotonic() - start))
    facts = {"mails_per_round": mails, "at_once": MAILBOX.concurrency}
    ratios = tuple(one / other for one, other in zip(gateway, bare, strict=True))
    return [
        Result(name="drain: without limits, gateway / bare client", value=median(ratios), unit="x", rounds=ratios, facts=facts),
        Result(name="    gateway", value=median(gateway), unit="mails/s", rounds=tuple(gateway)),
        Result(name="    bare client", value=median(bare), unit="mails/s", rounds=tuple(bare)),
    ]


def _drained(office: Office, mails: int) -> float:
    """Mails per second, from the first answer to a `/send` until the last."""
    first, last = _filled_and_drained(office, mails)
    return (mails - 1) / (last - first)


def _filled_and_drained(office: Office, mails: int) -> tuple[float, float]:
    """When the first and when the last `/send` was answered, by `time.monotonic`; the queue is full before."""
    store = open_store(gateways.database(office.gateway), clock=lambda: datetime.now(UTC))
    try:
        (lane,) = (status.name for status in store.lanes())
        store.hold_lane(lane, "the queue is being filled")
        _submit(office.gateway, mails)
        office.emulator.ask("DELETE", "/counters")
        store.free_lane(lane)
    finally:
        store.close()
    return _wait(lambda: office.sent() > 0), _wait(lambda: office.sent() >= mails)


async def _bare(url: str, token: str, mails: int) -> None:
    """The same mails by the same two requests, without anything around them."""
    draft = base64.b64encode(MAIL)
    left = iter(range(mails))
    headers = {"Authorization": f"Bearer {token}", "Prefer": 'IdType="ImmutableId"'}
    async with httpx2.AsyncClient(base_url=f"{url}/v1.0/users/{MARY}", headers=headers, trust_env=False) as client:

        async def send() -> None:
            for _ in left:
                made = await client.post("/messages", content=draft, headers={"Content-Type": "text/plain"})
                made.raise_for_status()
                (await client.post(f"/messages/{made.json()['id']}/send")).raise_for_status()

        await asyncio.gather(*(send() for _ in range(MAILBOX.concurrency)))


# ---- both -----------------------------------------------------------------------------------------------------------


def _submit(gateway: Gateway, mails: int) -> None:
    left = iter(range(mails))  # all take from it; the interpreter's lock keeps it whole

    def session() -> None:
        with smtplib.SMTP(gateway.host, gateway.port, "load.bench.example", timeout=60) as smtp:
            for _ in left:
                smtp.sendmail(MARY, [CUSTOMER], MAIL)

    with ThreadPoolExecutor(SESSIONS) as pool:
        for done in [pool.submit(session) for _ in range(SESSIONS)]:
            done.result()


def _wait(is_so: Callable[[], bool]) -> float:
    """Until it is so; when that was, by `time.monotonic`. Looks seldom enough not to disturb."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise Missing(f"after {PATIENCE:.0f} s not every mail was sent; see bench/out/drain.log")
        time.sleep(0.02)
    return time.monotonic()
