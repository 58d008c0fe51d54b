"""What a process's attempts have committed: begun, noted, ended. All of it shares transactions: one at a time, whatever is waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom.batching import GroupCommit
from mailroom.ports import NewAttempt, Settled, Store
from mailroom_core.model import AttemptId


@dataclass(frozen=True, slots=True)
class _Note:
    attempt: AttemptId
    facts: Mapping[str, str]


class Ledger:
    """`begin`, `note` and `settle` of the store, one item each; they return after the commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._commit: GroupCommit[NewAttempt | _Note | Settled, set[AttemptId]] = GroupCommit("ledger", self._write)

    async def begin(self, attempt: NewAttempt) -> bool:
        """Whether it may go on."""
        return attempt.id in await self._commit(attempt)

    async def note(self, attempt: AttemptId, facts: Mapping[str, str]) -> None:
        await self._commit(_Note(attempt, facts))

    async def settle(self, settled: Settled) -> None:
        await self._commit(settled)

    def _write(self, batch: Sequence[NewAttempt | _Note | Settled]) -> set[AttemptId]:
        return self._store.record(
            notes=[(item.attempt, item.facts) for item in batch if isinstance(item, _Note)],
            ended=[item for item in batch if isinstance(item, Settled)],
            begun=[item for item in batch if isinstance(item, NewAttempt)],
        )

    async def close(self) -> None:
        await self._commit.close()
