"""The contract of `ports.Transport`, over every transport and every behaviour of its next hop."""

from __future__ import annotations

import pytest

from mailroom_core.model import Sent, Unknown
from tests.contract.transports.jobs import remember
from tests.contract.transports.worlds import BEHAVIOURS, WORLDS

pytestmark = pytest.mark.anyio

CASES = [(world, behaviour) for world, row in WORLDS.items() for behaviour in BEHAVIOURS if behaviour in row.shows]
every_case = pytest.mark.parametrize(("world", "behaviour"), CASES)
every_world = pytest.mark.parametrize("world", WORLDS)


@every_case
async def test_each_recipient_gets_the_outcome_that_the_next_hop_gave_it(world: str, behaviour: str) -> None:
    async with WORLDS[world].enter(behaviour) as here:
        outcomes = await here.transport.attempt(here.job, remember)
    assert set(outcomes) == set(here.job.recipients)
    assert tuple(type(outcomes[delivery]) for delivery in here.job.recipients) == BEHAVIOURS[behaviour], outcomes


@every_case
async def test_sent_means_that_the_next_hop_has_it_once(world: str, behaviour: str) -> None:
    async with WORLDS[world].enter(behaviour) as here:
        outcomes = await here.transport.attempt(here.job, remember)
        arrived = here.arrived()
    for delivery, recipient in here.job.recipients.items():
        if isinstance(outcomes[delivery], Sent):
            assert len(arrived[recipient]) == 1
        elif not isinstance(outcomes[delivery], Unknown):
            assert recipient not in arrived or not arrived[recipient]


@every_case
async def test_every_outcome_says_in_one_line_what_happened(world: str, behaviour: str) -> None:
    async with WORLDS[world].enter(behaviour) as here:
        outcomes = await here.transport.attempt(here.job, remember)
    for outcome in outcomes.values():
        text = outcome.why if isinstance(outcome, Unknown) else outcome.reply.text
        assert text
        assert text.isprintable()


@every_case
async def test_a_look_at_a_lost_answer_gives_an_outcome_for_each_recipient(world: str, behaviour: str) -> None:
    async with WORLDS[world].enter(behaviour) as here:
        await here.transport.attempt(here.job, remember)
        outcomes = await here.transport.resolve(here.job, remember)
    assert set(outcomes) == set(here.job.recipients)


@every_world
async def test_the_next_hop_gets_the_bytes_as_they_were_accepted(world: str) -> None:
    async with WORLDS[world].enter("is well") as here:
        await here.transport.attempt(here.job, remember)
        arrived = here.arrived()
    assert here.job.message.raw is not None
    assert arrived == {recipient: [here.job.message.raw] for recipient in here.job.recipients.values()}


@every_world
async def test_closing_twice_harms_nobody(world: str) -> None:
    async with WORLDS[world].enter("is well") as here:
        await here.transport.attempt(here.job, remember)
        await here.transport.close()
        await here.transport.close()
