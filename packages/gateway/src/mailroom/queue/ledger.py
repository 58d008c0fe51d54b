"""What a process's attempts have committed: begun, noted, ended. All of it shares transactions: one at a time, whatever is waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.batching import GroupCommit
from mailroom.ports import SENT_AGAIN, TURN, Attempt, Further, NewAttempt, Note, Settled, Store
from mailroom_core.errors import StoreError
from mailroom_core.model import AttemptId, show_id


class Ledger:
    """`begin`, `note` and `settle` of the store, one item each; they return after the commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._commit: GroupCommit[NewAttempt | Note | Settled, set[AttemptId]] = GroupCommit("ledger", self._write)

    async def begin(self, attempt: NewAttempt) -> bool:
        """Whether it may go on."""
        return attempt.id in await self._commit(attempt)

    async def note(self, attempt: Attempt, facts: Mapping[str, str]) -> None:
        """Raises StoreError, also if the attempt is not ours any more: whoever works on it has to stop there."""
        note = Note(attempt_id=attempt.id, lane=attempt.lane, epoch=attempt.epoch, facts=facts, left=_left(attempt, facts))
        if attempt.id not in await self._commit(note):
            raise StoreError(f"attempt {show_id(attempt.id)} has ended, or its lane has another owner, who finds out what became of it")

    async def settle(self, settled: Settled) -> None:
        await self._commit(settled)

    def _write(self, batch: Sequence[NewAttempt | Note | Settled]) -> set[AttemptId]:
        return self._store.record(
            notes=[item for item in batch if isinstance(item, Note)],
            ended=[item for item in batch if isinstance(item, Settled)],
            begun=[item for item in batch if isinstance(item, NewAttempt)],
        )

    async def close(self) -> None:
        await self._commit.close()


def _left(attempt: Attempt, facts: Mapping[str, str]) -> Further | None:
    """What these facts announce; limits count it, also after a restart."""
    if SENT_AGAIN in facts:
        return Further(len(attempt.delivery_ids))
    words = {name.rpartition(".")[2] for name in facts}
    return Further(1) if SENT_AGAIN in words else Further(0) if TURN in words else None
