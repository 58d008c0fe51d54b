"""A process that claims and releases lanes: prints the name and epoch of each."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

from mailroom.store.open import open_store


def main(url: str, owner: str, rounds: int) -> None:
    store = open_store(url, clock=lambda: datetime.now(timezone.utc))
    for number in range(rounds):
        lanes = store.claim(owner, want=3, ttl=timedelta(hours=1))
        for lane in lanes:
            print(lane.name, lane.epoch)
        if number < rounds - 1:
            store.release(owner, lanes)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
