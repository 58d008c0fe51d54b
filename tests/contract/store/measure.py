"""How much a mail costs in the store, empty and with many waiting.

    python -m tests.contract.store.measure [--waiting 1000000] [--url sqlite:///...] [--batch 50] [--messages 5000]

Prints CPU of this process and time, in microseconds per message, for messages of 4 kB.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter, process_time

from mailroom.ports import Store
from mailroom.store.open import open_store
from mailroom_core.model import State
from tests.contract.store.makers import TTL, Maker

RAW = b"Subject: measured\r\n\r\n" + b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n" * 64


class Meter:
    """Adds up CPU and time by name."""

    def __init__(self) -> None:
        self.spent: dict[str, tuple[float, float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        cpu, time = process_time(), perf_counter()
        yield
        before = self.spent.get(name, (0.0, 0.0))
        self.spent[name] = before[0] + process_time() - cpu, before[1] + perf_counter() - time

    def show(self, title: str, messages: int) -> None:
        micro = {name: (cpu / messages * 1e6, time / messages * 1e6) for name, (cpu, time) in self.spent.items()}
        print(f"{title}: " + ", ".join(f"{name} {cpu:.0f} ({time:.0f})" for name, (cpu, time) in micro.items()))
        print(f"  put + begin + settle: {sum(micro[name][0] for name in ('put', 'begin', 'settle')):.0f} µs CPU per message")


def walk(store: Store, maker: Maker, messages: int, batch: int) -> Meter:
    """Accept, claim, deliver and settle in batches."""
    meter = Meter()
    for _ in range(messages // batch):
        lane_name = "measured"
        news = [maker.message(lane=lane_name, raw=RAW) for _ in range(batch)]
        with meter("put"):
            store.put(news)
        with meter("claim"):
            lanes = store.claim("worker", want=64, ttl=TTL)
        lane = next(lane for lane in lanes if lane.name == lane_name)
        with meter("due"):
            works = store.due(lane, limit=batch)
        assert len(works) == batch
        attempts = [maker.attempt(lane, work) for work in works]
        with meter("begin"):
            store.begin(attempts)
        ends = [maker.settled(attempt, State.SENT) for attempt in attempts]
        with meter("settle"):
            store.settle(ends)
        with meter("release"):
            store.release("worker", lanes)
    return meter


def fill(store: Store, maker: Maker, waiting: int) -> None:
    """`waiting` deliveries, due, on 20 lanes."""
    for start in range(0, waiting, 1000):
        store.put([maker.message(lane=f"waiting-{(start + i) % 20}") for i in range(min(1000, waiting - start))])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", default="")
    options.add_argument("--waiting", type=int, default=0)
    options.add_argument("--batch", type=int, default=50)
    options.add_argument("--messages", type=int, default=5000)
    given = options.parse_args()
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(given.url or Path(folder) / "measured.db", clock=clock)
        maker = Maker(clock, store.node())
        walk(store, maker, 500, given.batch)
        walk(store, maker, given.messages, given.batch).show("empty", given.messages)
        if given.waiting:
            start = perf_counter()
            fill(store, maker, given.waiting)
            print(f"filled with {given.waiting} in {perf_counter() - start:.0f} s")
            walk(store, maker, 500, given.batch)
            walk(store, maker, given.messages, given.batch).show(f"{given.waiting} waiting", given.messages)
        store.close()


if __name__ == "__main__":
    main()
