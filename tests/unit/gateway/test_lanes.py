"""A lane's pace."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailroom.lanes import LATER, LanePace, pace_of, past_of
from mailroom.objects import GraphRoute, MiB, OutgoingServer, SmarthostRoute
from mailroom.store.open import open_store
from mailroom_core.flow import Response
from mailroom_core.policy.pace import Limits, Unit
from tests.contract.store.makers import LANE, Maker

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GRAPH = OutgoingServer(name="m365", route=GraphRoute(account="office"))
SMTP = OutgoingServer(name="out", route=SmarthostRoute(host="h", connections=2), per_minute=3)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


def test_a_smarthost_runs_as_many_mails_as_it_has_connections() -> None:
    pace = pace_of(SMTP, Clock())
    for _ in range(2):
        assert not pace.pause(1)
        pace.start(1)
    assert pace.pause(1) == LATER
    pace.end(1)
    assert not pace.pause(1)


def test_mails_per_minute_are_never_more_in_any_minute() -> None:
    clock = Clock()
    pace = pace_of(SMTP, clock)
    for _ in range(3):
        assert not pace.pause(1)
        pace.start(1)
        pace.end(1)
        clock.pass_(seconds=5)
    assert pace.pause(1) == timedelta(seconds=45)
    clock.pass_(seconds=45)
    assert not pace.pause(1)


def test_ten_thousand_recipients_a_day_and_what_left_before_counts() -> None:
    clock = Clock()
    past = [(NOW - timedelta(hours=3), _cost(9_500))]
    pace = pace_of(GRAPH, clock, past)
    assert not pace.pause(500)
    assert pace.pause(501) == timedelta(hours=21)


def _cost(recipients: int) -> dict[Unit, int]:
    return {Unit.MESSAGES: recipients, Unit.RECIPIENTS: recipients}


def test_a_wish_of_the_provider_stops_the_lane_for_that_long_fractions_included() -> None:
    clock = Clock()
    pace = pace_of(GRAPH, clock)
    pace.answered(Response(429, {"retry-after": "2.128"}))
    assert pace.pause(1) == timedelta(seconds=2.128)
    pace.answered(Response(503, {"retry-after": "1"}))
    assert pace.pause(1) == timedelta(seconds=2.128)
    pace.answered(Response(200, {"retry-after": "60"}))
    pace.answered(Response(429, {"retry-after": "soon"}))
    clock.pass_(seconds=2.128)
    assert not pace.pause(1)


@pytest.mark.anyio
async def test_requests_never_run_more_than_three_at_once_and_in_their_order() -> None:
    pace = pace_of(GRAPH, Clock())
    order: list[int] = []
    running = most = 0

    async def one(number: int) -> None:
        nonlocal running, most
        async with pace.request(0):
            order.append(number)
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(one(number) for number in range(20)))
    assert order == list(range(20))
    assert most == 3


@pytest.mark.anyio
async def test_an_upload_waits_for_its_five_minutes() -> None:
    clock = Clock()
    pace = pace_of(GRAPH, clock)
    for _ in range(47):
        async with pace.request(3 * MiB):
            pass
    async with pace.request(0):
        waiting = asyncio.create_task(_take(pace, 3 * MiB))
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.pass_(minutes=5)
    await asyncio.wait_for(waiting, 5)


async def _take(pace: LanePace, upload: int) -> None:
    async with pace.request(upload):
        pass


def test_a_lane_without_limits_never_pauses() -> None:
    pace = LanePace(Clock(), mails=Limits((), 1000))
    for _ in range(999):
        pace.start(1)
    assert not pace.pause(1)


def test_what_left_in_the_last_day_is_read_from_the_store_and_never_counts_too_little(tmp_path: Path) -> None:
    clock = Clock()
    store = open_store(tmp_path / "db", clock=clock)
    maker = Maker(clock)
    message = maker.message(*(f"r{number}@example.org" for number in range(40)), lane=LANE)
    store.put([message])
    (lane,) = store.claim("me", want=1, ttl=timedelta(seconds=30))
    (work,) = store.due(lane, limit=1)
    assert store.begin([maker.attempt(lane, work)])
    clock.pass_(hours=3, minutes=20)
    (bucket,) = past_of(store, LANE, clock())
    assert bucket[1][Unit.RECIPIENTS] == 40
    assert NOW < bucket[0] <= NOW + timedelta(hours=1)
    clock.pass_(days=1)
    assert past_of(store, LANE, clock()) == []
    store.close()
