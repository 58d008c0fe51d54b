"""What time does to mail: it ends what is too old, and forgets what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from mailroom.ids import first_id
from mailroom.notices import facts_of
from mailroom.objects import Retention
from mailroom.observe import events
from mailroom.ports import Blobs, Clock, DeliveryResult, Event, NewMessage, Store, Work
from mailroom_core.errors import StoreError, StoreRefused
from mailroom_core.model import DeliveryId, Reply, State, read_id

EVERY = timedelta(seconds=30)
AT_ONCE = 500
ORPHAN_AGE = timedelta(hours=1)
"""A blob that is older than this and belongs to no message was kept by a process that died before the commit."""

Report = Callable[[Work, Sequence[DeliveryResult]], Sequence[NewMessage]]
"""The delivery reports that failures give rise to."""


async def sweep(store: Store, blobs: Blobs, clock: Clock, retention: Retention, report: Report, ours: Callable[[], None]) -> None:
    """Until it is cancelled. Several processes may sweep; each transaction takes what is still there.

    `ours` raises StoreError if the blobs are not this database's: then all of them would look like orphans.
    """
    orphans_at = clock()
    while True:
        try:
            await asyncio.to_thread(end_expired, store, clock, report)
            await asyncio.to_thread(_forget, store, blobs, clock, retention)
            await asyncio.to_thread(tick_off, store)
            if clock() >= orphans_at:
                orphans_at = clock() + ORPHAN_AGE
                await asyncio.to_thread(ours)
                await asyncio.to_thread(drop_orphans, store, blobs, clock)
        except (StoreError, OSError) as problem:
            events.store_trouble(str(problem))
        await asyncio.sleep(EVERY.total_seconds())


def end_expired(store: Store, clock: Clock, report: Report) -> None:
    """End every mail that is too old. One that the store refuses stays; the others end all the same. Blocking."""
    while works := store.expired(limit=AT_ONCE):
        ends = [_end_of(work, clock, report) for work in works]
        try:
            store.fail_expired([result for end in ends for result in end[0]], [reply for end in ends for reply in end[1]])
        except StoreRefused:
            taken = sum(_end_alone(store, *end) for end in ends)
            if not taken:
                return


def _end_of(work: Work, clock: Clock, report: Report) -> tuple[Sequence[DeliveryResult], Sequence[NewMessage]]:
    if work.message.source:
        return [_quarantined(delivery.id, delivery.reply, clock) for delivery in work.deliveries], ()
    ended = [_too_old(delivery.id, delivery.reply, clock) for delivery in work.deliveries]
    return ended, report(work, ended)


def _end_alone(store: Store, results: Sequence[DeliveryResult], replies: Sequence[NewMessage]) -> bool:
    """Whether the store has taken it."""
    try:
        store.fail_expired(results, replies)
    except StoreRefused as problem:
        events.store_trouble(str(problem))
        return False
    return True


def _too_old(delivery_id: DeliveryId, last: Reply | None, clock: Clock) -> DeliveryResult:
    text = f"Given up: its lifetime is over. The last answer was: {last}" if last else "Given up: its lifetime is over"
    reply = Reply(last.code if last else 0, last.text if last else "its lifetime is over", "4.4.7", last.name if last else "")
    event = Event(at=clock(), name="failed", text=text, delivery_id=delivery_id, data=facts_of(reply))
    return DeliveryResult(id=delivery_id, state=State.FAILED, due_at=None, reply=reply, event=event)


def _quarantined(delivery_id: DeliveryId, last: Reply | None, clock: Clock) -> DeliveryResult:
    """Mail that came in is never given up by itself."""
    reply = last or Reply(0, "its destination did not take it in time")
    event = Event(at=clock(), name="held", text=f"Waits in quarantine for a person: {reply}", delivery_id=delivery_id)
    return DeliveryResult(id=delivery_id, state=State.HELD, due_at=None, reply=reply, event=event)


def _forget(store: Store, blobs: Blobs, clock: Clock, retention: Retention) -> None:
    now = clock()
    more = True
    while more:
        more, names = store.forget(raw_before=now - retention.raw, rows_before=now - retention.rows, limit=AT_ONCE)
        for name in names:
            blobs.drop(name)
    while store.forget_audit(now - retention.audit, limit=AT_ONCE):
        pass


def tick_off(store: Store) -> None:
    """Addresses of the cut-over whose first mail has come. Blocking."""
    for each in store.cutover.look():
        events.cutover_done(each.address, each.application)


def check_owner(mark: Path, database: str) -> None:
    """`mark` is a file beside the blobs that names the database they belong to; the first one to sweep makes it. Blocking.

    Raises StoreError if it names another one, for example after `database` was set over a data directory that is in use.
    """
    try:
        with mark.open("x") as file:
            file.write(database)
    except FileExistsError:
        if mark.read_text() != database:
            raise StoreError(
                f"the blobs in {mark.parent} belong to another database, so none is removed. Set `database` back, or name another data "
                f"directory; if that database is gone for good, delete {mark}"
            ) from None


def drop_orphans(store: Store, blobs: Blobs, clock: Clock) -> int:
    """Drop blobs that no message refers to; how many. One on its way in is young, as its name tells: it begins with an id."""
    young = first_id(clock() - ORPHAN_AGE)
    old = [name for name in blobs.names() if _number(name) < young]
    dropped = 0
    for start in range(0, len(old), AT_ONCE):
        batch = old[start : start + AT_ONCE]
        for name in set(batch) - set(store.referred(batch)):
            blobs.drop(name)
            dropped += 1
    return dropped


def _number(name: str) -> int:
    try:
        return read_id(name.partition(".")[0])
    except ValueError:
        return 2**63  # not ours: leave it alone
