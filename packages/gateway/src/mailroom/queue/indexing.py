"""Fills the search index behind the acceptance, slowly enough that nobody's mail waits for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from mailroom.observe import events
from mailroom.ports import Store
from mailroom_core.errors import StoreError

EVERY = timedelta(seconds=10)
PAUSE = timedelta(seconds=0.5)
"""After each part. Making one takes about a fifth of that."""


async def keep_index(store: Store) -> None:
    """Until it is cancelled. Several processes may do so; each part is made once."""
    while True:
        more = False
        try:
            more = await asyncio.to_thread(store.index)
        except StoreError as problem:
            events.store_trouble(str(problem))
        await asyncio.sleep((PAUSE if more else EVERY).total_seconds())
