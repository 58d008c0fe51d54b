"""Waits between tries, and the lifetime of a mail."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.policy.retry import JITTER, LIFETIME, SHORTEST, WAITS, expiry, stretch, wait

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)

chances = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(
    ("tries", "minutes"), [(0, 1), (1, 1), (2, 5), (3, 15), (4, 30), (5, 60), (6, 120), (7, 240), (8, 240), (500, 240)]
)
def test_waits_grow_to_four_hours(tries: int, minutes: int) -> None:
    assert wait(tries, None, 0.5) == timedelta(minutes=minutes)


@given(st.integers(min_value=0, max_value=100), chances)
def test_jitter_stays_within_its_share(tries: int, chance: float) -> None:
    middle = wait(tries, None, 0.5)
    assert middle * (1 - JITTER) <= wait(tries, None, chance) <= middle * (1 + JITTER)


@given(st.integers(min_value=0, max_value=100), chances, st.timedeltas(min_value=timedelta(), max_value=timedelta(days=1)))
def test_nothing_is_tried_earlier_than_the_next_hop_wished(tries: int, chance: float, wish: timedelta) -> None:
    assert max(wish, SHORTEST) <= wait(tries, wish, chance) <= max(wish, SHORTEST) * (1 + JITTER)


def test_a_wish_shorter_than_our_own_wait_is_taken() -> None:
    assert wait(7, timedelta(seconds=2.128), 0) == timedelta(seconds=2.128)


def test_five_days_hold_more_than_thirty_tries() -> None:
    assert sum(WAITS, timedelta()) + 28 * WAITS[-1] < LIFETIME


def test_a_mail_lives_five_days() -> None:
    assert expiry(NOON) == NOON + timedelta(days=5)


def test_its_lifetime_stands_still_while_the_lane_is_held() -> None:
    assert stretch(expiry(NOON), accepted=NOON, held=NOON + HOUR, freed=NOON + 3 * HOUR) == expiry(NOON) + 2 * HOUR


def test_a_hold_that_began_before_the_mail_came_counts_from_its_coming() -> None:
    assert stretch(expiry(NOON), accepted=NOON, held=NOON - HOUR, freed=NOON + HOUR) == expiry(NOON) + HOUR


def test_a_hold_that_ended_before_the_mail_came_changes_nothing() -> None:
    assert stretch(expiry(NOON), accepted=NOON, held=NOON - 2 * HOUR, freed=NOON - HOUR) == expiry(NOON)
