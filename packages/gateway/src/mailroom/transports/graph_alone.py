"""Recipients by themselves, when Graph refuses a mail because one of its recipients is not valid and doesn't say which.

Nothing has been sent then. In the same attempt each recipient gets a mail of their own: with a draft of its own, whose marker is the
attempt's with the delivery's place at its end, and with facts of its own, which begin with that place. So an attempt that ends in the
middle is looked at recipient by recipient, and whoever has got the mail does not get it again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from mailroom.ports import ALONE, TURN, Job, Remember
from mailroom_core.errors import VaultError
from mailroom_core.model import Deferred, DeliveryId, Held, Outcome, Reply, Unknown

MOST = 50
"""So many recipients in one attempt, which has its deadline; the others wait for the next."""
_NEXT = Deferred(Reply(0, "Graph refused one of the recipients; each is tried alone, and this one has not had its turn yet"), timedelta())

Act = Callable[[Job, Remember], Awaitable[Outcome]]


async def each_alone(job: Job, remember: Remember, send: Act, more: Callable[[], bool]) -> Mapping[DeliveryId, Outcome]:
    """Send to one after another, each of them a mail for the limits, as `more` is told and asked. What stops the whole lane stops it
    for those who have not had their turn."""
    await remember({ALONE: "yes"})
    outcomes: dict[DeliveryId, Outcome] = dict.fromkeys(job.recipients, _NEXT)
    async for delivery, outcome in _turns(job, remember, send, more):
        outcomes[delivery] = outcome
    return outcomes


async def look_alone(job: Job, remember: Remember, look: Act) -> Mapping[DeliveryId, Outcome]:
    """What became of each."""
    return {delivery: await look(*_own(job, delivery, remember)) for delivery in job.recipients}


async def _turns(job: Job, remember: Remember, send: Act, more: Callable[[], bool]) -> AsyncIterator[tuple[DeliveryId, Outcome]]:
    for place, delivery in enumerate(list(job.recipients)[:MOST]):
        own, noting = _own(job, delivery, remember)
        begun = False
        if place > 0:  # the attempt itself has counted for the first one
            if not more():
                return
            await noting({TURN: "yes"})

        async def noted(facts: Mapping[str, str]) -> None:
            nonlocal begun
            begun = True
            await noting(facts)  # noqa: B023  # awaited before the next turn

        try:
            outcome = await send(own, noted)
        except VaultError as problem:
            why = str(problem)
            yield delivery, Unknown(why, looked=False) if begun else Deferred(Reply(0, why))
            return
        yield delivery, outcome
        if isinstance(outcome, Deferred | Held) and outcome.lane:
            return


def _own(job: Job, delivery: DeliveryId, remember: Remember) -> tuple[Job, Remember]:
    """The part of a job that is this recipient's."""
    attempt, place = job.attempt, job.attempt.place(delivery)

    async def noting(facts: Mapping[str, str]) -> None:
        await remember({place + name: value for name, value in facts.items()})

    own = replace(attempt, marker=f"{attempt.marker}-{place.rstrip('.')}", facts=attempt.facts_of(delivery))
    return replace(job, attempt=own, recipients={delivery: job.recipients[delivery]}), noting
