"""Ids that grow and never meet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.ids import Ids, first_id
from mailroom_core.model import read_id, seek_id, show_id

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@given(st.lists(st.integers(min_value=-5000, max_value=5000), min_size=1, max_size=300))
def test_a_clock_that_jumps_makes_no_id_twice_and_none_smaller(jumps: list[int]) -> None:
    clock = iter([NOW + timedelta(milliseconds=sum(jumps[:n])) for n in range(len(jumps))])
    ids = Ids(lambda: 5, lambda: next(clock))
    made = [ids() for _ in jumps]
    assert made == sorted(set(made))


def test_two_nodes_never_meet_in_the_same_millisecond() -> None:
    one, other = Ids(lambda: 1, lambda: NOW), Ids(lambda: 2, lambda: NOW)
    assert not {one() for _ in range(5000)} & {other() for _ in range(5000)}


def test_a_span_of_time_is_a_range_of_ids() -> None:
    number = Ids(lambda: 1023, lambda: NOW)()
    assert first_id(NOW) <= number < first_id(NOW + timedelta(milliseconds=1))


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_what_is_shown_can_be_read(number: int) -> None:
    assert read_id(show_id(number)) == number
    assert read_id(show_id(number).upper()) == number


@pytest.mark.parametrize("text", ["", "0", "06xqaqdj80r0u", "06xqaqdj80r000"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an id: it has 13"):
        read_id(text)


def test_who_asks_for_what_is_no_id_finds_nothing() -> None:
    assert seek_id(show_id(2**63 - 1)) == 2**63 - 1
    assert [seek_id(text) for text in ("", "x", "0" * 14, "u" * 13, "z" * 13, show_id(2**63))] == [-1] * 6
