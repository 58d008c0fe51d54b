"""Whether a long queue slows the store down: accepting and sending with a million deliveries waiting, and with none.

Two stores take turns. What is drained from the full one has the same size as what is drained from the other: only the head of its
queue, which is all that is ever read, has whole mails; behind it the mails are small, so that the disk holds a million of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.backlog import LANES, fill, message, utc_now
from bench.place import Missing, Place
from bench.results import Goal, Result, median
from mailroom.ports import Lane
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.model import State
from tests.contract.store.makers import TTL, Maker

WAITING = 1_000_000
ROUNDS = 15
FILLING = 90.0
"""Seconds that filling may take; what waits by then is what waits."""
MEASURING = 60.0
"""Seconds after which no further round is begun."""
BATCH = 50
BATCHES = 64
"""Of one round."""
EACH = 50
"""Mails read from a lane at once."""
MAIL = b"Subject: Offer\r\n\r\n" + b"0123456789012345678901234567890123456789012345678901234567\r\n" * 66
SMALL = b"Subject: x\r\n\r\nx\r\n"


@dataclass(slots=True)
class Stand:
    """A store, how many mails it was given, and the rates that were measured."""

    path: Path
    store: SqlStore
    maker: Maker
    given: int = 0
    accepting: list[float] = field(default_factory=list)
    sending: list[float] = field(default_factory=list)


def measure(place: Place, quick: bool) -> list[Result]:
    stands = _stand(place, "empty"), _stand(place, "full")
    try:
        empty, full = stands
        facts = _fill(full, WAITING // 10 if quick else WAITING)
        until = time.monotonic() + MEASURING
        for number in range(1 + (2 if quick else ROUNDS)):
            if time.monotonic() > until and number > 1:
                break
            for stand in stands if number % 2 else stands[::-1]:
                stand.accepting.append(_accept(stand))
                stand.sending.append(_send(stand))
        waiting = f"{facts['waiting']:,} waiting"
        return [
            *_rows(f"depth: accept with {waiting} / with none", full.accepting[1:], empty.accepting[1:], facts),
            *_rows(f"depth: claim, begin, settle with {waiting} / with none", full.sending[1:], empty.sending[1:], facts),
        ]
    finally:
        for stand in stands:
            stand.store.close()


def _rows(name: str, full: Sequence[float], empty: Sequence[float], facts: dict[str, float]) -> list[Result]:
    ratios = tuple(one / other for one, other in zip(full, empty, strict=True))
    return [
        Result(name=name, value=median(ratios), unit="x", goal=Goal.AT_LEAST, limit=0.9, rounds=ratios, facts=dict(facts)),
        Result(name="    full", value=median(full), unit="mails/s", rounds=tuple(full)),
        Result(name="    empty", value=median(empty), unit="mails/s", rounds=tuple(empty)),
    ]


def _stand(place: Place, name: str) -> Stand:
    path = place.folder / f"{name}.db"
    store = open_store(path, clock=utc_now)
    return Stand(path, store, Maker(utc_now, store.node()))


def _fill(stand: Stand, count: int) -> dict[str, float]:
    """Opens the store anew afterwards: so nothing of the filling is left to be done, and how long it takes to open is known."""
    start = time.monotonic()
    head = (ROUNDS + 1) * BATCHES * BATCH
    fill(stand.store, stand.maker, 0, head, MAIL)
    stand.given = fill(stand.store, stand.maker, head, count, SMALL, seconds=FILLING)
    stand.store.close()
    filled = time.monotonic()
    stand.store = open_store(stand.path, clock=utc_now)
    opened = time.monotonic()
    return {
        "waiting": stand.given,
        "filling_seconds": round(filled - start, 1),
        "opening_seconds": round(opened - filled, 3),
        "database_megabytes": round(stand.path.stat().st_size / 1e6),
    }


def _accept(stand: Stand) -> float:
    """Mails per second, put in batches as the group commit of the way in does under load."""
    seconds = 0.0
    for _ in range(BATCHES):
        batch = [message(stand.maker, stand.given + number, MAIL) for number in range(BATCH)]
        stand.given += BATCH
        start = time.monotonic()
        stand.store.put(batch)
        seconds += time.monotonic() - start
    return BATCHES * BATCH / seconds


def _send(stand: Stand) -> float:
    """Mails per second, from claiming the lanes until the outcome is written: as many as were accepted just before."""
    count = 0
    start = time.monotonic()
    while count < BATCHES * BATCH:
        lanes = stand.store.claim("bench", want=LANES, ttl=TTL)
        if len(lanes) != LANES:
            raise Missing(f"of {LANES} lanes with waiting mail {len(lanes)} could be claimed")
        count += sum(_drain(stand, lane) for lane in lanes)
        stand.store.release("bench", lanes)
    return count / (time.monotonic() - start)


def _drain(stand: Stand, lane: Lane) -> int:
    works = stand.store.due(lane, limit=EACH)
    attempts = stand.maker.begun(stand.store, lane, works)
    stand.store.settle([stand.maker.settled(attempt, State.SENT) for attempt in attempts])
    return len(attempts)
