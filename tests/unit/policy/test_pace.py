"""Pacing: no window is ever exceeded, and nothing waits longer than it has to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom_core.policy.pace import Cost, Limits, Pace, Unit, Window
from mailroom_core.providers.graph.limits import MAILBOX

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
ONE = {Unit.MESSAGES: 1}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def per_minute(amount: int, concurrency: int = 100) -> Limits:
    return Limits((Window(Unit.MESSAGES, amount, MINUTE),), concurrency)


def done(pace: Pace, when: datetime, cost: Cost = ONE) -> None:
    pace.begin(cost)
    pace.end(when, cost)


# ---- by example


def test_the_next_one_starts_when_the_oldest_has_left_the_window() -> None:
    pace = Pace(per_minute(2))
    done(pace, at(0))
    done(pace, at(10))
    assert pace.next_start(at(20), ONE) == at(60)
    assert pace.next_start(at(60), ONE) == at(60)
    done(pace, at(60))
    assert pace.next_start(at(60), ONE) == at(70)


def test_what_costs_much_waits_for_as_much_to_leave() -> None:
    pace = Pace(per_minute(4))
    for second in (0, 1, 2, 3):
        done(pace, at(second))
    assert pace.next_start(at(5), {Unit.MESSAGES: 3}) == at(62)


def test_what_costs_nothing_of_a_full_window_starts_at_once() -> None:
    pace = Pace(per_minute(1))
    done(pace, at(0))
    assert pace.next_start(at(1), {Unit.REQUESTS: 1}) == at(1)


def test_what_is_in_flight_fills_the_window_until_it_ends() -> None:
    pace = Pace(per_minute(1))
    pace.begin(ONE)
    assert pace.next_start(at(1000), ONE) is None
    pace.end(at(1000), ONE)
    assert pace.next_start(at(1000), ONE) == at(1060)


def test_no_more_are_in_flight_than_are_allowed() -> None:
    pace = Pace(Limits((), concurrency=2))
    pace.begin({})
    assert pace.next_start(at(0), {}) == at(0)
    pace.begin({})
    assert pace.next_start(at(0), {}) is None
    pace.end(at(1), {})
    assert pace.next_start(at(1), {}) == at(1)


def test_the_tightest_window_decides() -> None:
    limits = Limits((Window(Unit.BYTES, 100, MINUTE), Window(Unit.REQUESTS, 1, 10 * SECOND)), 3)
    pace = Pace(limits)
    done(pace, at(0), {Unit.BYTES: 90, Unit.REQUESTS: 1})
    assert pace.next_start(at(1), {Unit.BYTES: 10, Unit.REQUESTS: 1}) == at(10)
    assert pace.next_start(at(1), {Unit.BYTES: 11, Unit.REQUESTS: 1}) == at(60)


def test_what_was_done_before_a_restart_counts() -> None:
    pace = Pace(per_minute(2), [(at(-90), ONE), (at(-30), ONE), (at(-20), ONE)])
    assert pace.next_start(at(0), ONE) == at(30)


def test_what_no_window_can_hold_is_told_and_not_waited_for() -> None:
    with pytest.raises(ValueError, match="the limit is 2 in 0:01:00"):
        Pace(per_minute(2)).next_start(at(0), {Unit.MESSAGES: 3})


def test_a_mailbox_has_the_limits_of_outlook() -> None:
    pace = Pace(MAILBOX)
    request: Cost = {Unit.REQUESTS: 1, Unit.BYTES: 4_000_000}
    for _ in range(37):
        done(pace, at(0), request)
    assert pace.next_start(at(1), request) == at(300)
    assert Pace(MAILBOX).eta(at(0), 10_001, {Unit.RECIPIENTS: 1, Unit.REQUESTS: 2}) == at(86400)
    assert Pace(MAILBOX).eta(at(0), 5_001, {Unit.RECIPIENTS: 1, Unit.REQUESTS: 2}) == at(600)


# ---- in any weather


@dataclass(frozen=True)
class Job:
    pause: int  # ms before it is wanted
    took: int  # ms until its answer
    share: int  # percent of that time until the provider counts it
    cost: Cost


jobs = st.builds(
    Job,
    pause=st.integers(0, 3000),
    took=st.integers(0, 3000),
    share=st.integers(0, 100),
    cost=st.fixed_dictionaries({Unit.REQUESTS: st.just(1), Unit.BYTES: st.integers(0, 5)}),
)
limits = st.builds(
    lambda requests, span_a, size, span_b, concurrency: Limits(
        (
            Window(Unit.REQUESTS, requests, timedelta(milliseconds=span_a)),
            Window(Unit.BYTES, size, timedelta(milliseconds=span_b)),
        ),
        concurrency,
    ),
    st.integers(1, 4),
    st.integers(1, 5000),
    st.integers(5, 12),
    st.integers(1, 5000),
    st.integers(1, 4),
)


def counted(events: list[tuple[datetime, Cost]], window: Window, until: datetime) -> int:
    return sum(cost.get(window.unit, 0) for when, cost in events if until - window.span < when <= until)


@settings(max_examples=300)
@given(limits, st.lists(jobs, max_size=25))
def test_whenever_the_provider_counts_no_window_is_exceeded(limits: Limits, jobs: list[Job]) -> None:
    pace, now = Pace(limits), NOON
    flying: list[tuple[datetime, Cost]] = []  # (answer, cost)
    seen: list[tuple[datetime, Cost]] = []  # (when the provider counted it, cost)
    for job in jobs:
        now += timedelta(milliseconds=job.pause)
        while True:
            for answer, cost in sorted(flying, key=lambda each: each[0]):
                if answer <= now:
                    pace.end(answer, cost)
                    flying.remove((answer, cost))
            start = pace.next_start(now, job.cost)
            if start == now:
                break
            answers = [answer for answer, _ in flying]
            now = min([start, *answers] if start else answers)
        assert len(flying) < limits.concurrency
        pace.begin(job.cost)
        flying.append((now + timedelta(milliseconds=job.took), job.cost))
        seen.append((now + timedelta(milliseconds=job.took) * job.share / 100, job.cost))
    for when, _ in seen:
        for window in limits.windows:
            assert counted(seen, window, when) <= window.amount


@settings(max_examples=300)
@given(limits, st.lists(jobs, max_size=25))
def test_nothing_waits_longer_than_it_has_to(limits: Limits, jobs: list[Job]) -> None:
    pace, now = Pace(limits), NOON
    past: list[tuple[datetime, Cost]] = []
    for job in jobs:
        now += timedelta(milliseconds=job.pause)
        start = pace.next_start(now, job.cost)
        assert start is not None
        if start > now:
            earlier = [*past, (start - TICK, job.cost)]
            assert any(counted(earlier, window, start - TICK) > window.amount for window in limits.windows)
        now = start
        done(pace, now, job.cost)
        past.append((now, job.cost))


# ---- how long it will take


def simulated(pace: Pace, now: datetime, count: int, cost: Cost) -> datetime:
    for _ in range(count):
        start = pace.next_start(now, cost)
        assert start is not None
        now = start
        done(pace, now, cost)
    return now


pasts = st.lists(st.tuples(st.integers(-90_000, 0), st.integers(0, 4)), max_size=12).map(
    lambda items: [(NOON + timedelta(milliseconds=ms), {Unit.MESSAGES: amount}) for ms, amount in sorted(items)]
)


@given(st.integers(4, 12), pasts, st.integers(1, 40), st.integers(0, 4))
def test_the_estimate_of_one_window_is_exact(amount: int, past: list[tuple[datetime, Cost]], count: int, each: int) -> None:
    cost = {Unit.MESSAGES: each}
    kept: list[tuple[datetime, Cost]] = []
    for when, used in past:  # a past that kept the limit itself
        if counted([*kept, (when, used)], Window(Unit.MESSAGES, amount, MINUTE), when) <= amount:
            kept.append((when, used))
    expected = simulated(Pace(per_minute(amount), kept), NOON, count, cost)
    assert Pace(per_minute(amount), kept).eta(NOON, count, cost) == expected


@given(limits, st.integers(1, 40), st.integers(0, 5))
def test_the_estimate_never_promises_less_than_each_window_takes(limits: Limits, count: int, size: int) -> None:
    cost = {Unit.REQUESTS: 1, Unit.BYTES: size}
    estimate = Pace(limits).eta(NOON, count, cost)
    alone = [simulated(Pace(Limits((window,), 1)), NOON, count, cost) for window in limits.windows]
    assert estimate == max(alone)
    assert estimate <= simulated(Pace(limits), NOON, count, cost)


def test_without_a_window_the_time_of_each_counts() -> None:
    pace = Pace(Limits((), concurrency=3))
    assert pace.eta(NOON, 7, {}, 2 * SECOND) == at(6)
    assert pace.eta(NOON, 0, {}, 2 * SECOND) == NOON


def test_the_last_one_takes_its_time_too() -> None:
    assert Pace(per_minute(1)).eta(NOON, 2, ONE, 2 * SECOND) == at(62)


def test_a_mail_larger_than_a_window_takes_several() -> None:
    pace = Pace(Limits((Window(Unit.BYTES, 100, MINUTE),), 3))
    assert pace.eta(NOON, 1, {Unit.BYTES: 250}) == at(120)
    assert pace.eta(NOON, 2, {Unit.BYTES: 150}) == at(120)


def test_what_is_in_flight_counts_as_done_now() -> None:
    pace = Pace(per_minute(2))
    pace.begin(ONE)
    assert pace.eta(NOON, 1, ONE) == NOON
    assert pace.eta(NOON, 2, ONE) == at(60)


def test_a_million_mails_are_estimated_at_once() -> None:
    assert Pace(per_minute(30)).eta(NOON, 1_000_000, ONE) == NOON + 33_333 * MINUTE
