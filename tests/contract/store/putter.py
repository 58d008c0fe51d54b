"""A process that accepts mail until it is killed: prints the id of each message that the store has reported as durable."""

from __future__ import annotations

import sys
from datetime import datetime, timezone

from mailroom.store.open import open_store
from tests.contract.store.makers import Maker


def main(url: str) -> None:
    def clock() -> datetime:
        return datetime.now(timezone.utc)

    store = open_store(url, clock=clock)
    make = Maker(clock, store.node())
    while True:
        batch = [make.message(lane=f"lane-{number}", raw=b"x" * 4096) for number in range(7)]
        store.put(batch)
        print(*(message.id for message in batch), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
