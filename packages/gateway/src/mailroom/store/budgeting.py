"""Limits that lanes share: slices that count until their time is over."""

from __future__ import annotations

from datetime import timedelta

from mailroom.ports import Slice
from mailroom.store.database import Database
from mailroom.store.values import moment

# Sums can't be locked by rows. Slices are taken seldom, and who reads is not kept waiting.
ONE_AT_A_TIME = "LOCK TABLE budgets IN EXCLUSIVE MODE"
OVER = "DELETE FROM budgets WHERE until < ?"
COUNTING = "SELECT COALESCE(sum(amount), 0), min(until) FROM budgets WHERE name = ? AND until >= ? AND amount > 0"
TAKE = "INSERT INTO budgets (name, until, amount) VALUES (?, ?, ?) RETURNING id"
GIVE_BACK = "UPDATE budgets SET amount = amount - ? WHERE id = ? AND amount >= ?"
MICROSECOND = timedelta(microseconds=1)


class SqlBudgets:
    """See `ports.Budgets` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._write = database.write
        self._read = database.read

    def take(self, name: str, want: int, limit: int, window: timedelta) -> Slice:
        with self._write() as tx:
            if not tx.sqlite:
                tx.run(ONE_AT_A_TIME)
            tx.run(OVER, tx.now)
            row = tx.one(COUNTING, name, tx.now)
            assert row is not None
            taken, first = int(row[0]), row[1]
            granted = max(min(want, limit - taken), 0)
            again_at = moment(first) if granted < want and first is not None else None
            if not granted:
                return Slice(0, 0, again_at)
            made = tx.one(TAKE, name, tx.now + window // MICROSECOND, granted)
            assert made is not None
            return Slice(int(made[0]), granted, again_at)

    def give_back(self, number: int, amount: int) -> None:
        with self._write() as tx:
            tx.run(GIVE_BACK, amount, number, amount)

    def taken(self, name: str) -> int:
        with self._read() as tx:
            row = tx.one(COUNTING, name, tx.now)
            return 0 if row is None else int(row[0])
