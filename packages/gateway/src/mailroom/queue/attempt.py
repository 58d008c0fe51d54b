"""One try to deliver, or one look at what became of a try, each under one hard deadline.

begin -> open the bytes -> transport -> judge -> settle
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from mailroom.holds import vault_outcome
from mailroom.observe import events
from mailroom.observe.faults import place_of
from mailroom.ports import (
    Attempt,
    Blobs,
    Clock,
    Delivery,
    Job,
    Lane,
    Message,
    NewAttempt,
    Resolution,
    Settled,
    Store,
    Transport,
    Watched,
    Work,
)
from mailroom.queue.ledger import Ledger
from mailroom.queue.settle import LOOKS, Rules, judge
from mailroom_core.errors import StoreError, StoreRefused, VaultError
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import AttemptId, DeliveryId, Held, Outcome, Reply, State, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

AGAIN = 1.0
"""Seconds until an outcome is offered to the store again that it could not take."""
MARGIN = timedelta(seconds=5)
"""How long after an attempt's deadline its lane's next owner waits: the old owner's clock may run behind."""
SLOWEST = 64 * 1024
"""Bytes per second that a way out must reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every attempt needs."""

    store: Store
    blobs: Blobs
    ids: Callable[[], int]
    clock: Clock
    random: Random
    ledger: Ledger
    report: Callable[[Settled, Work], Settled] = lambda settled, work: settled
    """Adds the report that a final failure gives rise to."""
    time_limit: timedelta = timedelta(minutes=5)
    """For a mail without size; every 64 KiB of it add a second."""
    looks: Sequence[timedelta] = LOOKS
    fetch: Callable[[Lane, Watched], Awaitable[None]] | None = None
    """Looks at an incoming server; without it, nobody fetches here."""

    def limit_for(self, message: Message) -> timedelta:
        """How long one try with this message may take."""
        return self.time_limit + timedelta(seconds=message.size / SLOWEST)

    def rules(self, message: Message) -> Rules:
        return Rules(now=self.clock(), chance=self.random.random(), looks=self.looks, quarantine=bool(message.source))


async def deliver(desk: Desk, lane: Lane, transport: Transport, work: Work) -> Settled | None:
    """Try once. None if the lane or the message is not ours any more."""
    attempt = _new(desk, lane, work, transport.way)
    if not await desk.ledger.begin(attempt):
        return None
    limit = desk.limit_for(work.message)
    left = min(limit, attempt.deadline - MARGIN - desk.clock())  # the commit may have taken its time
    return await _under_deadline(desk, opened(attempt), work, transport.attempt, left, look=False)


async def look(desk: Desk, lane: Lane, transport: Transport, attempt: Attempt, work: Work) -> Settled | None:
    """Ask the provider what became of an attempt that got no answer, also one of an earlier owner: it is the lane's to settle now."""
    limit = desk.limit_for(work.message)
    return await _under_deadline(desk, replace(attempt, epoch=lane.epoch), work, transport.resolve, limit, look=True)


async def _under_deadline(
    desk: Desk,
    attempt: Attempt,
    work: Work,
    act: Callable[[Job, Callable[[Mapping[str, str]], Awaitable[None]]], Awaitable[Mapping[DeliveryId, Outcome]]],
    limit: timedelta,
    *,
    look: bool,
) -> Settled | None:
    facts = dict(attempt.facts)
    heed: tuple[Outcome, ...] = ()

    async def remember(more: Mapping[str, str]) -> None:
        await desk.ledger.note(attempt, more)
        facts.update(more)

    try:
        with _bytes_of(desk.blobs, work.message, needed=not look) as source:
            job = Job(attempt, work.message, {d.id: d.recipient for d in work.deliveries}, source)
            async with asyncio.timeout(max(limit.total_seconds(), 0)):
                outcomes = await act(job, remember)
    except TimeoutError:
        whole = desk.limit_for(work.message).total_seconds()
        outcomes = _all(work.deliveries, Unknown(f"no end after {whole:.0f} s", looked=False))
    except VaultError as problem:
        heed = (vault_outcome(problem),)
        # What was begun is not undone by a missing token: only an attempt that has noted nothing yet has sent nothing.
        begun = look or facts != attempt.facts
        outcomes = _all(work.deliveries, Unknown(str(problem), looked=False) if begun else heed[0])
    except BytesMissing as problem:
        events.attempt_broke(work.message.id, str(problem))
        outcomes = _all(work.deliveries, Held(Reply(0, str(problem))))
    except (StoreError, OSError) as problem:
        events.attempt_broke(work.message.id, repr(problem))
        outcomes = _all(work.deliveries, Unknown("the gateway's own storage failed", looked=False))
    except Exception as problem:  # noqa: BLE001  # one of three places: a bug of ours never bounces mail
        events.attempt_broke(work.message.id, place_of(problem))
        outcomes = _all(work.deliveries, Unknown("an error of the gateway's own; see its log", looked=False))
    known = replace(attempt, facts=facts) if facts != attempt.facts else attempt
    settled = judge(known, work.deliveries, outcomes, desk.rules(work.message), look=look)
    if any(result.state is State.FAILED for result in settled.deliveries):
        settled = await asyncio.to_thread(desk.report, settled, work)
    await _keep(desk, settled, until=attempt.deadline)
    events.settled(work.message.id, attempt.lane, settled.text)
    return replace(settled, outcomes=(*outcomes.values(), *heed))


async def _keep(desk: Desk, settled: Settled, *, until: datetime) -> None:
    """Commit what is known, also after a while in which the database is busy or full: what is lost would have to be found out, and by
    SMTP it can't be. After the attempt's deadline it is for others to find out."""
    while True:
        try:
            await desk.ledger.settle(settled)
        except StoreError as problem:
            if isinstance(problem, StoreRefused) or desk.clock() >= until:
                raise
            events.store_trouble(str(problem))
        else:
            return
        await asyncio.sleep(AGAIN)


def _all(deliveries: Sequence[Delivery], outcome: Outcome) -> dict[DeliveryId, Outcome]:
    return {delivery.id: outcome for delivery in deliveries}


def _new(desk: Desk, lane: Lane, work: Work, way: str) -> NewAttempt:
    now = desk.clock()
    number = AttemptId(desk.ids())
    return NewAttempt(
        id=number,
        message_id=work.message.id,
        delivery_ids=tuple(d.id for d in work.deliveries),
        lane=lane.name,
        epoch=lane.epoch,
        started_at=now,
        deadline=now + desk.limit_for(work.message) + MARGIN,
        marker=f"{number:016x}",
        facts={"way": way},
        size=work.message.size,
    )


def opened(new: NewAttempt) -> Attempt:
    """As it is in the store once it has begun."""
    return Attempt(
        id=new.id,
        message_id=new.message_id,
        delivery_ids=new.delivery_ids,
        lane=new.lane,
        epoch=new.epoch,
        started_at=new.started_at,
        deadline=new.deadline,
        marker=new.marker,
        facts=new.facts,
        resolution=Resolution.OPEN,
        looks=0,
        ended_at=None,
        text="",
    )


class BytesMissing(Exception):
    """The bytes of a mail that is to be sent can't be read; nothing of it has left."""


@contextmanager
def _bytes_of(blobs: Blobs, message: Message, *, needed: bool) -> Iterator[ReadAt]:
    """A look can do without them."""
    if message.raw is not None:
        yield InMemory(message.raw)
        return
    try:
        blob = blobs.open(message.blob)
    except (StoreError, OSError) as problem:
        if needed:
            text = f"The bytes of the mail can't be read ({problem}). Put the file back, then retry it; or cancel it"
            raise BytesMissing(text) from None
        yield InMemory(b"")
        return
    try:
        yield blob
    finally:
        blob.close()
