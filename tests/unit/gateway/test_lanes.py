"""A lane's pace."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailroom.lanes import LATER, LanePace, Past, pace_of, past_of
from mailroom.objects import GraphRoute, MiB, OutgoingServer, SmarthostRoute
from mailroom.store.open import open_store
from mailroom.transports.http import NoTurn
from mailroom_core.flow import Response
from mailroom_core.model import LaneName
from mailroom_core.policy.pace import Limits, Unit
from tests.contract.store.makers import LANE, Maker

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GRAPH = OutgoingServer(name="m365", route=GraphRoute(account="office"))
SMTP = OutgoingServer(name="out", route=SmarthostRoute(host="h", connections=2), per_minute=3)


class Clock:
    """The time of day, which can be set, and seconds that only pass."""

    def __init__(self) -> None:
        self.now = NOW
        self.passed = timedelta()

    def __call__(self) -> datetime:
        return self.now

    def steady(self) -> float:
        return self.passed.total_seconds()

    def pass_(self, **span: float) -> None:
        self.set(**span)
        self.passed += timedelta(**span)

    def set(self, **by: float) -> None:
        self.now += timedelta(**by)


def paced(server: OutgoingServer, clock: Clock, past: Past = ()) -> LanePace:
    return pace_of(server, clock, past, clock.steady)


def test_a_smarthost_runs_as_many_mails_as_it_has_connections() -> None:
    pace = paced(SMTP, Clock())
    for _ in range(2):
        assert not pace.pause(1)
        pace.start(1)
    assert pace.pause(1) == LATER
    pace.end(1)
    assert not pace.pause(1)


def test_mails_per_minute_are_never_more_in_any_minute() -> None:
    clock = Clock()
    pace = paced(SMTP, clock)
    for _ in range(3):
        assert not pace.pause(1)
        pace.start(1)
        pace.end(1)
        clock.pass_(seconds=5)
    assert pace.pause(1) == timedelta(seconds=45)
    clock.pass_(seconds=45)
    assert not pace.pause(1)


def test_what_a_look_sends_counts_for_those_after_it() -> None:
    pace = paced(GRAPH, Clock())
    pace.left(9_500)
    assert not pace.pause(500)
    assert pace.pause(501) == timedelta(days=1)


def test_ten_thousand_recipients_a_day_and_what_left_before_counts() -> None:
    clock = Clock()
    past = [(NOW - timedelta(hours=3), _cost(9_500))]
    pace = paced(GRAPH, clock, past)
    assert not pace.pause(500)
    assert pace.pause(501) == timedelta(hours=21)


def _cost(recipients: int) -> dict[Unit, int]:
    return {Unit.MESSAGES: recipients, Unit.RECIPIENTS: recipients}


def test_a_wish_of_the_provider_stops_the_lane_for_that_long_fractions_included() -> None:
    clock = Clock()
    pace = paced(GRAPH, clock)
    pace.answered(Response(429, {"retry-after": "2.128"}))
    assert pace.pause(1) == timedelta(seconds=2.128)
    pace.answered(Response(503, {"retry-after": "1"}))
    assert pace.pause(1) == timedelta(seconds=2.128)
    pace.answered(Response(200, {"retry-after": "60"}))
    pace.answered(Response(429, {"retry-after": "soon"}))
    clock.pass_(seconds=2.128)
    assert not pace.pause(1)


@pytest.mark.parametrize("wish", ["nan", "inf", "-5", "", "1e400"])
def test_a_wish_that_makes_no_sense_is_no_error(wish: str) -> None:
    clock = Clock()
    pace = paced(GRAPH, clock)
    pace.answered(Response(429, {"retry-after": wish}))
    assert not pace.pause(1)


def test_a_wish_for_longer_than_a_day_is_one_for_a_day() -> None:
    clock = Clock()
    pace = paced(GRAPH, clock)
    pace.answered(Response(503, {"retry-after": "1e12"}))
    assert pace.pause(1) == timedelta(days=1)


def test_beside_an_emulator_that_is_ten_times_faster_a_window_is_a_minute() -> None:
    clock = Clock()
    pace = pace_of(GRAPH, clock, [(NOW, {Unit.REQUESTS: 9_900})], clock.steady, scale=10)

    async def request(patience: timedelta) -> None:
        async with pace.request(0, patience):
            pass

    with pytest.raises(NoTurn):
        asyncio.run(request(timedelta(seconds=59)))
    clock.pass_(seconds=60)
    asyncio.run(request(timedelta(seconds=1)))


def test_the_longer_of_two_pauses_counts() -> None:
    clock = Clock()
    pace = paced(GRAPH, clock)
    pace.block(NOW + timedelta(minutes=10))
    pace.block(NOW + timedelta(minutes=1))
    assert pace.pause(1) == timedelta(minutes=10)


@pytest.mark.parametrize("hours", [-3, 3])
def test_setting_the_clock_neither_prolongs_nor_ends_a_pause(hours: int) -> None:
    clock = Clock()
    wished, counted = paced(GRAPH, clock), paced(SMTP, clock)
    wished.block(NOW + timedelta(minutes=1))
    for _ in range(3):
        counted.start(1)
        counted.end(1)
    clock.set(hours=hours)
    assert (wished.pause(1), counted.pause(1)) == (timedelta(minutes=1), timedelta(minutes=1))
    assert counted.eta(1, 1) == clock() + timedelta(minutes=1)
    clock.pass_(minutes=1)
    assert (wished.pause(1), counted.pause(1)) == (timedelta(), timedelta())


@pytest.mark.anyio
async def test_requests_never_run_more_than_three_at_once_and_in_their_order() -> None:
    pace = paced(GRAPH, Clock())
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
    pace = paced(GRAPH, clock)
    for _ in range(47):
        async with pace.request(3 * MiB):
            pass
    async with pace.request(0):
        waiting = asyncio.create_task(_take(pace, 3 * MiB))
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.pass_(minutes=5)
    await asyncio.wait_for(waiting, 5)


@pytest.mark.anyio
async def test_who_knows_that_the_turn_comes_too_late_does_not_wait_for_it() -> None:
    clock = Clock()
    pace = paced(GRAPH, clock)
    pace.answered(Response(429, {"retry-after": "600"}))
    with pytest.raises(NoTurn):
        async with pace.request(0, timedelta(minutes=5)):
            raise AssertionError("started")
    clock.pass_(minutes=6)
    waiting = asyncio.create_task(_take(pace, 0, timedelta(minutes=5)))
    await asyncio.sleep(0)
    assert not waiting.done()
    pace.stop()
    with pytest.raises(NoTurn):
        await asyncio.wait_for(waiting, 5)


@pytest.mark.anyio
async def test_who_waits_behind_others_waits_no_longer_than_its_patience() -> None:
    pace = paced(GRAPH, Clock())
    async with pace.request(0), pace.request(0), pace.request(0):
        patient = asyncio.create_task(_take(pace, 0))
        await asyncio.sleep(0)
        with pytest.raises(NoTurn):
            await asyncio.wait_for(_take(pace, 0, timedelta(milliseconds=10)), 5)
        assert not patient.done()
    await asyncio.wait_for(patient, 5)


@pytest.mark.anyio
async def test_no_patience_is_needed_where_nobody_has_to_wait() -> None:
    async with paced(GRAPH, Clock()).request(0, timedelta(minutes=-1)):
        pass


async def _take(pace: LanePace, upload: int, patience: timedelta | None = None) -> None:
    async with pace.request(upload, patience):
        pass


def test_a_lane_without_limits_never_pauses() -> None:
    pace = LanePace(Clock(), mails=Limits((), 1000))
    for _ in range(999):
        pace.start(1)
    assert not pace.pause(1)


def test_what_was_fetched_in_the_last_ten_minutes_counts_after_a_restart_too(tmp_path: Path) -> None:
    clock = Clock()
    store = open_store(tmp_path / "db", clock=clock)
    maker = Maker(clock)
    store.watch.over({"mary": LANE, "others": LaneName("graph:other:other@example.com")})
    fetched = [replace(maker.message(lane=LANE), source=name) for name in ["mary"] * 20 + ["others", "mx"]]
    store.put([*fetched, maker.message("anna@example.org", lane=LANE)])
    clock.pass_(minutes=3, seconds=20)
    assert past_of(store, LANE, clock()) == [(NOW + timedelta(seconds=20), {Unit.REQUESTS: 43})]
    clock.pass_(minutes=10)
    assert past_of(store, LANE, clock()) == []
    store.close()


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
    assert past_of(store, LANE, clock(), scale=10) == [], "a day that passes ten times faster is over by then"
    clock.pass_(days=1)
    assert past_of(store, LANE, clock()) == []
    clock.now = NOW - timedelta(hours=2)
    ((end, cost),) = past_of(store, LANE, clock())
    assert (end, cost[Unit.RECIPIENTS]) == (clock(), 40), "the clock was set back: what seems to be still to come has left"
    store.close()
