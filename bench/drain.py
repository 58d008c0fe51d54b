"""Sending through Graph: beside the least time that the limits allow, and, without limits, beside what the emulator can take.

With limits each request takes `LATENCY`, so that how many may be under way at once decides; the emulator says what no client can
beat. Its windows (10,000 requests in ten minutes) are wider than this load. Without limits the queue is full before the first mail
leaves, and a bare HTTP client that sends the same requests, as many at once, takes turns with the gateway.
"""

from __future__ import annotations

import asyncio
import base64
import smtplib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2

from bench import gateway as gateways
from bench.place import Missing, Place
from bench.results import Goal, Result, median
from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT, Emulator, Gateway
from mailroom.store.open import open_store
from mailroom_core.providers.graph.limits import MAILBOX
from mailroom_emulator.limits import CONCURRENCY

MARY = "mary@contoso.example"
CUSTOMER = "somebody@customer.example"
MAIL = f"From: {MARY}\r\nTo: {CUSTOMER}\r\nSubject: Offer\r\n\r\n".encode() + b"0123456789" * 6 * 60 + b"\r\n"
LATENCY = 0.1
REQUESTS = 2
"""Of each mail: the draft, and sending it."""
PATIENCE = 120.0
ROUNDS = 3


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
    with _office(place) as office:
        _submit(office.gateway, 50)
        _wait(lambda: office.sent() == 50)
        return [*_limited(office, 100 if quick else 600), *_unlimited(office, 200 if quick else 1000, 1 if quick else ROUNDS)]


@contextmanager
def _office(place: Place) -> Iterator[Office]:
    emulator = Emulator(place.folder / "emulator")
    try:
        gateway = gateways.prepared(place, "drain")
        gateways.graph(gateway, emulator)
        with gateways.running(place, gateway):
            yield Office(emulator, gateway)
    finally:
        emulator.stop()
        emulator.http.close()


# ---- with limits ----------------------------------------------------------------------------------------------------


def _limited(office: Office, mails: int) -> list[Result]:
    office.emulator.switch(latency_seconds=LATENCY)
    office.emulator.ask("DELETE", "/counters")
    start = time.monotonic()
    _submit(office.gateway, mails)
    seconds = _wait(lambda: office.sent() == mails) - start
    least = office.emulator.ask("GET", "/least-time", params={"messages": mails, "requests_per_message": REQUESTS})["seconds"]
    counters = office.counters()
    office.emulator.switch(latency_seconds=0.0)
    ours = least * CONCURRENCY / MAILBOX.concurrency
    facts = {"mails": mails, "seconds": round(seconds, 2), "counters": counters}
    refused = float(counters["by_status"].get("429", 0))
    return [
        _ratio(f"drain: time / least time, {CONCURRENCY} requests at once", seconds, least, facts),
        _ratio(f"drain: time / least time, {MAILBOX.concurrency} at once, as the gateway has it", seconds, ours, facts),
        Result(name="drain: answers 429", value=refused, unit="", goal=Goal.AT_MOST, limit=0.5, facts={"mails": mails}),
    ]


def _ratio(name: str, seconds: float, least: float, facts: dict[str, object]) -> Result:
    return Result(
        name=name, value=seconds / least, unit="x", goal=Goal.AT_MOST, limit=1.1, facts={**facts, "least_seconds": round(least, 2)}
    )


# ---- without ---------------------------------------------------------------------------------------------------------


def _unlimited(office: Office, mails: int, rounds: int) -> list[Result]:
    office.emulator.switch(throttling=False)
    token = _token(office.emulator)
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
    store = open_store(gateways.database(office.gateway), clock=lambda: datetime.now(UTC))
    try:
        (lane,) = (status.name for status in store.lanes())
        store.hold_lane(lane, "the queue is being filled")
        _submit(office.gateway, mails)
        office.emulator.ask("DELETE", "/counters")
        store.free_lane(lane)
    finally:
        store.close()
    first = _wait(lambda: office.sent() > 0)
    before = office.sent()
    return (mails - before) / (_wait(lambda: office.sent() == mails) - first)


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


def _token(emulator: Emulator) -> str:
    """Of the tenant's confidential application, which may send as everybody."""
    form = {"client_id": CONFIDENTIAL_CLIENT, "client_secret": CONFIDENTIAL_SECRET, "grant_type": "client_credentials"}
    form["scope"] = "https://graph.microsoft.com/.default"
    answer = httpx2.post(f"{emulator.url}/{TENANT}/oauth2/v2.0/token", data=form, timeout=30, trust_env=False)
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token


# ---- both -----------------------------------------------------------------------------------------------------------


def _submit(gateway: Gateway, mails: int) -> None:
    with smtplib.SMTP(gateway.host, gateway.port, "load.bench.example", timeout=60) as smtp:
        for _ in range(mails):
            smtp.sendmail(MARY, [CUSTOMER], MAIL)


def _wait(is_so: Callable[[], bool]) -> float:
    """Until it is so; when that was, by `time.monotonic`. Looks seldom enough not to disturb."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise Missing(f"after {PATIENCE:.0f} s not every mail was sent; see bench/out/drain.log")
        time.sleep(0.02)
    return time.monotonic()
