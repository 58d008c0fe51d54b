"""A tenant's limit for external recipients, attacked by processes that know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from mailroom.budget import DAY, HOLD, Budget, Rule, rule_of, rules_of
from mailroom.objects import Account, AliasDomain, Directory
from mailroom.ports import Store
from mailroom.store.open import open_store
from tests.contract.store.makers import START, FakeClock

pytestmark = pytest.mark.anyio
WITHIN = timedelta(minutes=5)
NOW = timedelta()
RULE = Rule("tenant:a", 40, frozenset({"example.com"}))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Store:
    return open_store(tmp_path / "db", clock=clock)


def steady_of(clock: FakeClock) -> Callable[[], float]:
    return lambda: (clock() - START).total_seconds()


def budget_of(store: Store, clock: FakeClock, rule: Rule = RULE) -> Budget:
    return Budget(store.budgets, rule, clock, steady_of(clock))


def most_in_a_day(left: Sequence[tuple[datetime, int]]) -> int:
    """The most that left within any 24 hours; they begin when something leaves."""
    return max(sum(count for at, count in left if start <= at < start + DAY) for start, _ in left)


@pytest.mark.parametrize("seed", range(6))
async def test_in_no_24_hours_more_leave_than_the_limit_whoever_sends_crashes_or_takes_back(
    store: Store, clock: FakeClock, seed: int
) -> None:
    random, left = Random(seed), []
    processes = [budget_of(store, clock) for _ in range(3)]
    for _ in range(1500):
        number = random.randrange(3)
        budget, count = processes[number], random.randint(1, 6)
        within = random.choice([WITHIN, WITHIN, timedelta(hours=3)])
        if random.random() < 0.8:
            if await budget.afford(count, within) == NOW:
                spent = budget.spend(count)
                if random.random() < 0.2:
                    spent.undo()
                else:
                    left.append((clock() + random.random() * within, count))
        elif random.random() < 0.2:
            await budget.close()
        elif random.random() < 0.1:
            processes[number] = budget_of(store, clock)  # it has crashed
        clock.go_on(minutes=random.choice([0, 0, 1, 30, 55, 120]))
    assert RULE.limit * 0.5 < most_in_a_day(left) <= RULE.limit
    assert clock() - START > 5 * DAY
    assert left[-1][0] > clock() - 2 * DAY, "it goes on for ever"


async def test_a_slice_counts_from_its_last_mail_on_and_not_from_its_first(store: Store, clock: FakeClock) -> None:
    """A mail that starts late in a slice's time leaves later still, and counts for 24 hours after that."""
    budget, other = budget_of(store, clock), budget_of(store, clock)
    for _ in range(20):
        assert await other.afford(2, WITHIN) == NOW
        other.spend(2)
    assert await budget.afford(1, WITHIN) > NOW
    clock.go_on(hours=24)
    assert await budget.afford(1, WITHIN) > NOW
    clock.go_on(hours=2)
    assert await budget.afford(1, WITHIN) == NOW


async def test_who_has_to_wait_asks_the_store_again_an_hour_later_at_most(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = store.budgets.take(RULE.name, RULE.limit, RULE.limit, DAY)
    budget = budget_of(store, clock)
    assert await budget.afford(1, WITHIN) == timedelta(hours=1)
    store.budgets.give_back(part.number, RULE.limit)
    clock.go_on(minutes=20)
    assert await budget.afford(1, WITHIN) == timedelta(minutes=40)
    clock.go_on(minutes=40)
    assert await budget.afford(1, WITHIN) == NOW


async def test_a_raised_limit_is_seen_at_once(store: Store, clock: FakeClock) -> None:
    store.budgets.take(RULE.name, RULE.limit, RULE.limit, DAY)
    budget = budget_of(store, clock)
    assert await budget.afford(1, WITHIN) > NOW
    budget.change(Rule(RULE.name, RULE.limit + 1, RULE.ours))
    assert await budget.afford(1, WITHIN) == NOW


async def test_mail_to_ourselves_waits_for_nothing_and_what_can_never_start_says_why(store: Store, clock: FakeClock) -> None:
    store.budgets.take(RULE.name, RULE.limit, RULE.limit, DAY)
    budget = budget_of(store, clock)
    assert RULE.external(["anna@example.org", "bob@Example.com"]) == 1
    assert await budget.afford(0, WITHIN) == NOW
    with pytest.raises(ValueError, match=r"41 external recipients.*tenant:a may have 40 a day.*send the mail in parts"):
        await budget.afford(41, WITHIN)


async def test_what_is_not_used_comes_back_when_its_time_is_over_and_at_the_end(store: Store, clock: FakeClock) -> None:
    budget = budget_of(store, clock)
    assert await budget.afford(2, WITHIN) == NOW
    budget.spend(1)
    late = budget.spend(1)
    clock.go_on(hours=1)
    assert timedelta(hours=1) == HOLD
    assert await budget.afford(2, WITHIN) == NOW
    late.undo()
    assert store.budgets.taken(RULE.name) == 4, "what returns to a slice that has ended stays taken"
    await budget.close()
    assert store.budgets.taken(RULE.name) == 2


def test_accounts_of_a_tenant_share_its_smallest_limit_and_others_have_their_own() -> None:
    accounts = [
        Account(name="a", tenant="T1", mailbox="a@one.example", external_recipients_per_day=50),
        Account(name="b", tenant="t1", mailbox="b@Two.example", external_recipients_per_day=20),
        Account(name="c", tenant="t1"),
        Account(name="d", external_recipients_per_day=9),
        Account(name="e", tenant="consumers"),
    ]
    directory = Directory(accounts={each.name: each for each in accounts}, alias_domains={"ours.example": AliasDomain(name="ours.example")})
    shared = Rule("tenant:t1", 20, frozenset({"one.example", "two.example", "ours.example"}))
    assert [rule_of(directory, each) for each in accounts] == [
        shared,
        shared,
        shared,
        Rule("account:d", 9, frozenset({"ours.example"})),
        None,
    ]
    assert [rule.name for rule in rules_of(directory)] == ["account:d", "tenant:t1"]
