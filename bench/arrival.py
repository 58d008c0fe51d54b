"""The way in: how long a mail takes from the notification to its conversation, how a full mailbox is fetched, and a large mail's memory.

The mailbox lies in the emulator, which tells of new mail as Microsoft does. The full mailbox has its limits, all windows ten times
shorter on both sides, and the gateway is killed while it fetches; what is fetched is compared with what was there, so that a missing or a
double mail fails the row.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from statistics import median, quantiles

from bench import gateway as gateways
from bench.memory import LARGEST, MARY, MB, mail
from bench.place import Missing, Place
from bench.results import Goal, Result
from bench.usage import PeakPss, pss
from demo.processes import Emulator, Gateway
from mailroom.ports import Query, Store
from mailroom.store.open import open_store

INBOX = """
[destination.desk]
inbox = {}

[incoming.mary]
graph = { account = "office" }
destination = "desk"
"""
MAILS = 200
WAITING = 10_000
SCALE = 10
QUARTERS = 4
ATTACHMENT = 109_500_000
"""In base64, with what makes it a mail: 149.9 MB, the most that Exchange takes."""
PATIENCE = 120.0
"""Seconds without any progress after which it is over."""
LONG = 900.0
"""For one mail that is as large as can be."""


def measure(place: Place, quick: bool) -> list[Result]:
    results = []
    with _office(place, "arrival") as (emulator, gateway, store):
        results += _arrival(emulator, store, 40 if quick else MAILS)
        results += _large(emulator, gateway, store, (20 * MB) if quick else ATTACHMENT)
    waiting = 300 if quick else WAITING
    with _office(place, "arrival-full", SCALE, filled=waiting) as (emulator, gateway, store):
        results += _fetched(emulator, gateway, store, waiting)
    return results


@contextmanager
def _office(place: Place, name: str, scale: int = 1, filled: int = 0) -> Iterator[tuple[Emulator, Gateway, Store]]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environment = {
        "MAILROOM_WEB_PORT": str(port),
        "MAILROOM_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "MAILROOM_QUEUE_TIME_SCALE": str(scale),
    }
    emulator = Emulator(place.folder / f"{name}-emulator", "--time-scale", str(scale))
    try:
        gateway = gateways.prepared(place, name, environment=environment)
        emulator.ask("PATCH", f"/accounts/{MARY}", json={"max_message_size": LARGEST})
        gateways.graph(gateway, emulator)
        for number in range(filled):
            emulator.deliver(MARY, _small(number))
        gateways.configure(gateway, gateway.run("export") + INBOX)
        with gateways.running(place, gateway):
            store = open_store(gateways.database(gateway), clock=lambda: datetime.now(UTC))
            with closing(store):
                yield emulator, gateway, store
    finally:
        emulator.stop()
        emulator.http.close()


def _arrival(emulator: Emulator, store: Store, mails: int) -> list[Result]:
    """One at a time, from the moment in which the mailbox has it until it stands in a conversation."""
    _wait(lambda: any(each.subscription for each in store.watch.all()), "the tenant was not asked to tell of new mail")
    seconds = []
    for number in range(mails):
        emulator.deliver(MARY, _small(number))
        start = time.monotonic()
        _wait(partial(store.conversations.of, [f"<{number}@load.example>"]), "a mail did not arrive", every=0.005)
        seconds.append(time.monotonic() - start)
    p95 = quantiles(seconds, n=20)[-1]
    facts = {"mails": mails, "median_s": round(median(seconds), 3), "slowest_s": round(max(seconds), 3)}
    return [Result(name="arrival: notification to conversation, p95", value=p95, unit="s", goal=Goal.AT_MOST, limit=1, facts=facts)]


def _fetched(emulator: Emulator, gateway: Gateway, store: Store, waiting: int) -> list[Result]:
    """A mailbox that was full before the gateway started, which is killed (`kill -9`) after each quarter of it."""
    start, kills = time.monotonic(), 0

    def unread() -> int:
        return int(emulator.ask("GET", f"/accounts/{MARY}/folders/inbox", params={"limit": 1})["unread"])

    left = unread()
    while left:
        if left < waiting * (QUARTERS - 1 - kills) / QUARTERS:
            gateway.kill()
            gateway.start()
            kills += 1
        last = left
        _wait(partial(_below, last, unread), f"{last} mails are left in the mailbox, and no more are fetched", every=2.0)
        left = unread()
    seconds = time.monotonic() - start
    names = Counter(each.message.header_message_id for each in store.find(Query(), limit=10 * waiting)[0])
    whole = {f"<{number}@load.example>" for number in range(waiting)}
    if set(names) != whole or max(names.values()) > 1:
        raise Missing(f"{len(whole - set(names))} mails are missing, {sum(count > 1 for count in names.values())} are there twice")
    counters = emulator.ask("GET", "/counters")
    refused = float(counters["by_status"].get("429", 0))
    if not kills:
        raise Missing("all was fetched before the gateway could be killed")
    facts = {"mails": waiting, "kills": kills, "counters": counters}
    name = f"arrival: {waiting:,} waiting mails fetched, windows {SCALE}:1, killed in between"
    return [
        Result(name=name, value=seconds, unit="s", facts=facts),
        Result(name="    answers 429", value=refused, unit="", goal=Goal.AT_MOST, limit=0.5),
    ]


def _below(last: int, count: Callable[[], int]) -> bool:
    return count() < last


def _large(emulator: Emulator, gateway: Gateway, store: Store, size: int) -> list[Result]:
    """From the mailbox into a conversation; its bytes are compared by their number."""
    raw = b"".join(mail(size))
    idle = pss(gateway.process.pid)
    with PeakPss(gateway.process.pid) as fetching:
        emulator.http.timeout = LONG
        emulator.deliver(MARY, raw)
        arrived = partial(store.conversations.of, ["<catalogue@contoso.example>"])
        _wait(arrived, "the large mail did not arrive", every=0.2, patience=LONG)
    (found,) = store.find(Query(header_message_id="<catalogue@contoso.example>"), limit=2)[0]
    if found.message.size < len(raw):
        raise Missing(f"{found.message.size} of {len(raw)} bytes of the large mail arrived")
    facts = {"attachment_mb": size / MB, "mail_bytes": found.message.size, "idle_mb": round(idle / MB, 1)}
    name = f"arrival: a mail of {len(raw) / MB:.0f} MB comes in, over idle"
    return [Result(name=name, value=(fetching.peak - idle) / MB, unit="MB", goal=Goal.AT_MOST, limit=64, facts=facts)]


def _small(number: int) -> bytes:
    head = f"From: c{number}@load.example\r\nTo: {MARY}\r\nSubject: n{number}\r\nMessage-ID: <{number}@load.example>\r\n\r\n"
    return head.encode() + b"Hello\r\n"


def _wait(what: Callable[[], object], failure: str, *, every: float = 0.1, patience: float = PATIENCE) -> None:
    """Raises Missing after `patience` seconds."""
    until = time.monotonic() + patience
    while not what():
        if time.monotonic() > until:
            raise Missing(f"after {patience:.0f} s: {failure}; see the logs in bench/out")
        time.sleep(every)
