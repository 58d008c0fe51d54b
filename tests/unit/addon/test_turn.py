"""Three conversations at a time in a mailbox, over all workers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from driver.turn import slots, turn


class Database:
    """PostgreSQL's advisory locks: who holds which."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, ...], Connection] = {}


class Connection:
    """A cursor on a connection of its own; locks are its own, and taken again by it as often as it likes."""

    def __init__(self, database: Database) -> None:
        self._held = database.held
        self._answer = False
        self._dead = False
        self._broken_off = False

    def execute(self, query: str, params: Sequence[int], /) -> None:
        if self._broken_off:
            raise RuntimeError("current transaction is aborted, commands ignored until end of transaction block")
        key = tuple(params)
        assert all(-(2**31) <= number < 2**31 for number in key), "PostgreSQL's numbers have 32 bits"
        if "pg_try_advisory_lock" in query:
            self._answer = self._held.setdefault(key, self) is self
        elif not self._dead:
            assert self._held.pop(key) is self

    def fetchone(self) -> Any:
        return (self._answer,)

    def commit(self) -> None: ...

    def rollback(self) -> None:
        self._broken_off = False

    def fail(self) -> None:
        self._broken_off = True
        raise ValueError("could not serialize access due to concurrent update")

    def killed(self) -> None:
        self._dead = True
        for key in [key for key, holder in self._held.items() if holder is self]:
            del self._held[key]


def test_the_fourth_waits_in_vain_while_three_are_at_it() -> None:
    database = Database()
    with ExitStack() as three:
        assert [three.enter_context(turn(Connection(database), "a@contoso.example", 0)) for _ in range(3)] == [True] * 3
        with turn(Connection(database), "A@contoso.example", 0) as fourth:
            assert not fourth
        with turn(Connection(database), "b@contoso.example", 0) as elsewhere:
            assert elsewhere, "another mailbox has turns of its own"
    assert database.held == {}
    with turn(Connection(database), "a@contoso.example", 0) as now:
        assert now


def test_a_turn_is_given_back_after_trouble_and_by_a_worker_that_is_killed() -> None:
    database = Database()
    try:
        with turn(Connection(database), "a@contoso.example", 0):
            raise RuntimeError
    except RuntimeError:
        assert database.held == {}
    killed = Connection(database)
    with turn(killed, "a@contoso.example", 0):
        killed.killed()
        with ExitStack() as three:
            assert [three.enter_context(turn(Connection(database), "a@contoso.example", 0)) for _ in range(3)] == [True] * 3


def test_a_turn_is_given_back_where_a_statement_of_its_connection_has_failed() -> None:
    """The connection goes back to Odoo's pool, locks and all: three of these, and nobody would ever have a turn again."""
    database = Database()
    connection = Connection(database)
    with pytest.raises(ValueError, match="serialize"), turn(connection, "a@contoso.example", 0):
        connection.fail()
    assert database.held == {}


def test_every_mailbox_has_numbers_of_its_own() -> None:
    found = [number for index in range(1000) for number in slots(f"box{index}@contoso.example")]
    assert len(set(found)) == len(found)
