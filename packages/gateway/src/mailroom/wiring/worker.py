"""The process that delivers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from random import Random

from mailroom.console.exporting import FOLDER, forget_old
from mailroom.fetch import Fetch
from mailroom.objects import Retention
from mailroom.observe import events
from mailroom.ports import Wakeup
from mailroom.queue.attempt import Desk
from mailroom.queue.indexing import keep_index
from mailroom.queue.ledger import Ledger
from mailroom.queue.report import Reporter
from mailroom.queue.settle import LOOKS
from mailroom.queue.sweep import check_owner, sweep
from mailroom.queue.worker import Worker
from mailroom.store import nudges
from mailroom.transports.guarded import Caller, Policy
from mailroom.vault import credentials
from mailroom.vault.expiry import Expiry, expiries
from mailroom.webhooks.teller import House as TellersHouse
from mailroom.webhooks.teller import Teller
from mailroom.wiring.intake import back_of
from mailroom.wiring.parts import Parts, credential_key, hostname, utc_now
from mailroom.wiring.ways import Ways
from mailroom_core.errors import StoreError, VaultError


def make_worker(parts: Parts, ways: Ways, wakeup: Wakeup, fetch: Fetch) -> Worker:
    """Delivers, and fetches in the lanes that it owns."""
    if parts.settings.database:
        nudges.listen(parts.settings.database, wakeup.notify)  # other machines store mail as well
    desk = Desk(
        store=parts.store,
        blobs=parts.blobs,
        ids=parts.ids,
        clock=utc_now,
        random=Random(),  # noqa: S311  # jitter, no secret
        ledger=Ledger(parts.store),
        report=reporter(parts).add,
        time_limit=parts.settings.queue.time_limit,
        looks=parts.settings.queue.looks or LOOKS,
        fetch=fetch,
    )
    return Worker(parts.owner, desk, ways, wakeup)


def reporter(parts: Parts) -> Reporter:
    return Reporter(
        directory=parts.directory,
        blobs=parts.blobs,
        suppressed=parts.store.suppressed,
        ids=parts.ids,
        clock=utc_now,
        hostname=hostname(parts.settings),
        lifetime=parts.settings.queue.lifetime,
        returns_to=lambda sender: back_of(parts)(sender, utc_now()),
    )


def make_teller(parts: Parts) -> Teller:
    """Tells webhooks."""
    settings = parts.settings.webhooks
    house = TellersHouse(
        notices=parts.notices,
        leases=parts.store,
        owner=parts.owner,
        directory=parts.directory,
        secret=parts.vault.open,
        caller=Caller(Policy(settings.private_networks)),
        ids=parts.ids,
        clock=utc_now,
        random=Random(),  # noqa: S311  # jitter, no secret
        keep=settings.keep,
    )
    return Teller(house)


async def make_sweep(parts: Parts) -> None:
    """What time does to mail, and what it leaves for the search."""
    queue = parts.settings.queue
    retention = Retention(raw=queue.keep_raw, rows=queue.keep_rows, audit=queue.keep_audit)
    # The key of the credentials is made with the database and goes with it into every backup.
    ours = partial(check_owner, parts.settings.data / "blobs.owner", credentials.digest(credential_key(parts), "blobs"))
    await asyncio.gather(
        sweep(parts.store, parts.blobs, utc_now, retention, reporter(parts).reports, ours),
        keep_index(parts.store),
        _watch_expiry(parts),
        _forget_exports(parts),
    )


async def _forget_exports(parts: Parts) -> None:
    """Once in a while, those that are a day old."""
    while True:
        with suppress(OSError):
            await asyncio.to_thread(forget_old, parts.settings.data / FOLDER, utc_now())
        await asyncio.sleep(600)


async def _watch_expiry(parts: Parts) -> None:
    """Once a day, what ends within 30 days."""
    while True:
        for each in await asyncio.to_thread(_ending, parts):
            events.expires_soon(each.owner, each.what, each.at.isoformat(), each.advice)
        await asyncio.sleep(86400)


def _ending(parts: Parts) -> list[Expiry]:
    try:
        return [each for each in expiries(parts.directory(), parts.vault.open) if each.is_soon(utc_now())]
    except (StoreError, VaultError):
        return []
