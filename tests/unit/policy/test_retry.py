"""Waits between tries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.policy.retry import JITTER, SHORTEST, wait

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
