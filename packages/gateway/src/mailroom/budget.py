"""A tenant's limit for external recipients, kept over all lanes, workers and machines.

The property: of the recipients outside our own domains, no more leave through the accounts of one tenant in any 24 hours than the
smallest `external_recipients_per_day` above 0 among these accounts.

Why it holds: each process takes slices of the limit from the store. A slice is used for HOLD at most, counted from before it was
taken, and a mail starts on it only if its attempt must have ended by then. It counts for 24 hours longer than it is used, so all
slices from which something leaves within any 24 hours count together when the last of them is taken. What did certainly not leave
returns to its slice, what is left of a slice returns to the store, and what a crash leaves of it stays taken. A look may send a draft
again, so it spends like the first try.

It counts from when the limit is set, and is as exact as the clocks of the machines agree, by MARGIN. Test mails that
a person sends through a server don't count.
Source: help.opensense.com and support.knowbe4.com on TERRL (2025): 500 * licences^0.7 + 9500 in any 24 hours, 5,000 on trial.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from mailroom.objects import Account, Directory
from mailroom.ports import Budgets, Clock, Slice
from mailroom_core.policy.addresses import domain_of

DAY = timedelta(days=1)
HOLD = timedelta(hours=1)
MARGIN = timedelta(minutes=5)
"""Machines' clocks differ, and a busy database lets a mail start late."""
LONGEST = timedelta(hours=1)
SOONEST = timedelta(seconds=1)
NOW = timedelta()
LARGEST_SLICE = 100
SHARES = 20
"""A slice is no more than this part of the limit, so that many processes have some of it."""
NO_TENANT = frozenset({"", "common", "organizations", "consumers"})


@dataclass(frozen=True, slots=True)
class Rule:
    """The limit of one tenant."""

    name: str
    limit: int
    """External recipients in any 24 hours."""
    ours: frozenset[str]
    """Domains whose recipients are not external."""

    def external(self, recipients: Iterable[str]) -> int:
        return sum(domain_of(each) not in self.ours for each in recipients)


def name_of(account: Account) -> str:
    """Whose limit an account uses: its tenant's, or its own where no tenant is known."""
    tenant = account.tenant.lower()
    return f"account:{account.name}" if tenant in NO_TENANT else f"tenant:{tenant}"


def rule_of(directory: Directory, account: Account) -> Rule | None:
    """None: no limit of ours."""
    name = name_of(account)
    sharing = [each for each in directory.accounts.values() if name_of(each) == name]
    limits = [each.external_recipients_per_day for each in sharing if each.external_recipients_per_day > 0]
    if not limits:
        return None
    mailboxes = {domain_of(each.mailbox) for each in sharing if each.mailbox}
    return Rule(name, min(limits), frozenset({*(each.lower() for each in directory.alias_domains), *mailboxes}))


def keeper_of(directory: Directory, account: Account) -> str:
    """Of the accounts that share a limit, the one that sets it; empty: none does."""
    sharing = [each for each in directory.accounts.values() if name_of(each) == name_of(account) and each.external_recipients_per_day > 0]
    return min(((each.external_recipients_per_day, each.name) for each in sharing), default=(0, ""))[1]


def rules_of(directory: Directory) -> list[Rule]:
    """Every limit that there is, by its name."""
    rules = (rule_of(directory, account) for account in directory.accounts.values())
    return sorted({rule.name: rule for rule in rules if rule}.values(), key=lambda rule: rule.name)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a mail took of a slice."""

    budget: Budget
    part: Slice
    amount: int

    def undo(self) -> None:
        """Nothing left, for certain."""
        self.budget.restore(self)


class Budget:
    """What this process holds of one limit; all its lanes of a tenant share it. `steady` gives seconds and never runs backwards."""

    def __init__(self, budgets: Budgets, rule: Rule, clock: Clock, steady: Callable[[], float] = monotonic) -> None:
        self._budgets = budgets
        self._rule = rule
        self._clock = clock
        self._steady = steady
        self._part = Slice(0, 0)
        self._left = 0
        self._ends = 0.0
        self._ask_at = steady()
        self._turn = asyncio.Lock()

    @property
    def rule(self) -> Rule:
        return self._rule

    def change(self, rule: Rule) -> None:
        """From the next slice on."""
        if rule != self._rule:
            self._rule = rule
            self._ask_at = self._steady()

    async def afford(self, external: int, within: timedelta) -> timedelta:
        """How long a mail for so many external recipients, which ends within that time, has to wait: an hour at most, then ask again.

        Zero: it may start, and `spend` comes before anything else is awaited. Raises ValueError for more than a day's limit, StoreError.
        """
        if external > self._rule.limit:
            raise ValueError(
                f"the mail has {external} external recipients, and {self._rule.name} may have {self._rule.limit} a day "
                "(external_recipients_per_day of its accounts); raise that if the provider allows more, or send the mail in parts"
            )
        if not external:
            return NOW
        async with self._turn:
            if not self._has(external, within) and self._steady() >= self._ask_at:
                await self._take(external, within)
            if self._has(external, within):
                return NOW
            return timedelta(seconds=max(self._ask_at - self._steady(), SOONEST.total_seconds()))

    def spend(self, external: int) -> Spent:
        self._left -= external
        return Spent(self, self._part, external)

    def restore(self, spent: Spent) -> None:
        """A slice that is not ours any more keeps it."""
        if spent.part is self._part:
            self._left += spent.amount

    async def close(self) -> None:
        """Give back what is left."""
        part, amount, self._part, self._left = self._part, self._left, Slice(0, 0), 0
        if amount:
            await asyncio.to_thread(self._budgets.give_back, part.number, amount)

    def _has(self, external: int, within: timedelta) -> bool:
        return external <= self._left and self._steady() + within.total_seconds() <= self._ends

    async def _take(self, external: int, within: timedelta) -> None:
        await self.close()
        rule, hold = self._rule, max(HOLD, within + SOONEST)
        want = max(external, min(LARGEST_SLICE, rule.limit // SHARES))
        ends = self._steady() + hold.total_seconds()
        part = await asyncio.to_thread(self._budgets.take, rule.name, want, rule.limit, DAY + hold + MARGIN)
        self._part, self._left, self._ends = part, part.granted, ends
        if part.granted < external:
            wait = (part.again_at - self._clock()) if part.again_at else SOONEST
            self._ask_at = self._steady() + min(max(wait, SOONEST), LONGEST).total_seconds()
