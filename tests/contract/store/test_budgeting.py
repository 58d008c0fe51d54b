"""Limits that lanes share, taken in slices."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

from mailroom.ports import Store
from tests.contract.store.makers import START, FakeClock

DAY = timedelta(days=1)


def test_no_more_than_the_limit_counts_at_a_time_and_what_is_over_is_free_again(store: Store, clock: FakeClock) -> None:
    assert store.budgets.take("tenant:a", 60, 100, DAY).granted == 60
    clock.go_on(hours=1)
    some = store.budgets.take("tenant:a", 60, 100, DAY)
    assert (some.granted, some.again_at) == (40, START + DAY)
    none = store.budgets.take("tenant:a", 1, 100, DAY)
    assert (none.granted, none.again_at, store.budgets.taken("tenant:a")) == (0, START + DAY, 100)
    clock.now = START + DAY
    assert store.budgets.take("tenant:a", 1, 100, DAY).granted == 0
    clock.go_on(seconds=1)
    assert store.budgets.take("tenant:a", 100, 100, DAY).granted == 60


def test_each_name_has_a_limit_of_its_own_and_a_lower_limit_grants_nothing(store: Store) -> None:
    assert store.budgets.take("tenant:a", 10, 10, DAY).granted == 10
    assert store.budgets.take("tenant:b", 10, 10, DAY).granted == 10
    assert store.budgets.take("tenant:a", 1, 5, DAY).granted == 0
    assert store.budgets.taken("tenant:c") == 0


def test_what_comes_back_is_free_at_once_and_never_comes_back_twice(store: Store) -> None:
    part = store.budgets.take("tenant:a", 10, 10, DAY)
    store.budgets.give_back(part.number, 6)
    store.budgets.give_back(part.number, 6)
    assert store.budgets.taken("tenant:a") == 4
    store.budgets.give_back(part.number, 4)
    assert store.budgets.take("tenant:a", 20, 10, DAY).granted == 10


def test_takers_at_the_same_moment_never_have_more_than_the_limit_together(store: Store, reopen: Callable[[], Store]) -> None:
    stores, start = [store, reopen(), reopen(), reopen()], Barrier(4)

    def taken(store: Store) -> int:
        start.wait(30)
        return sum(store.budgets.take("tenant:a", 7, 100, DAY).granted for _ in range(10))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(taken, stores)) == 100
    assert store.budgets.taken("tenant:a") == 100
