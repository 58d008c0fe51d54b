"""Waiting mail, put into a store as the way in does it, only in larger batches."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from mailroom.ports import NewMessage, Store
from tests.contract.store.makers import Maker

LANES = 8
BATCH = 5000


def utc_now() -> datetime:
    return datetime.now(UTC)


def message(maker: Maker, number: int, raw: bytes, due_in: timedelta = timedelta()) -> NewMessage:
    """For one recipient; messages take the lanes in turn."""
    lane = f"graph:office:sender-{number % LANES}@bench.example"
    return maker.message(f"customer-{number}@customer.example", lane=lane, raw=raw, due_in=due_in)


def fill(store: Store, maker: Maker, first: int, end: int, raw: bytes, *, seconds: float = 600.0, due_in: timedelta = timedelta()) -> int:
    """Messages `first` to `end`, as far as the time allows; where it stopped."""
    until = time.monotonic() + seconds
    while first < end and time.monotonic() < until:
        stop = min(first + BATCH, end)
        store.put([message(maker, number, raw, due_in) for number in range(first, stop)])
        first = stop
    return first
