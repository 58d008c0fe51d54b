"""`record`: what attempts have to commit, in one transaction."""

from __future__ import annotations

import pytest

from mailroom.ports import Lane, Store
from mailroom_core.errors import StoreError
from mailroom_core.model import AttemptId, State
from tests.contract.store.makers import Maker, states_of


def test_one_record_notes_ends_and_begins(store: Store, lane: Lane, make: Maker) -> None:
    messages = [make.message() for _ in range(3)]
    store.put(messages)
    noted, ended, begun = (make.attempt(lane, work) for work in store.due(lane, limit=5) if work.message.id in {m.id for m in messages})
    assert store.begin([noted, ended]) == {noted.id, ended.id}
    answer = store.record(notes=[(noted.id, {"draft_id": "d"})], ended=[make.settled(ended, State.SENT)], begun=[begun])
    assert answer == {begun.id}
    states = {message.id: states_of(store, message) for message in messages}
    assert [states[attempt.message_id] for attempt in (noted, ended, begun)] == [[State.SENDING], [State.SENT], [State.SENDING]]
    story = store.story(noted.message_id)
    assert story is not None
    assert story.attempts[0].facts == {"draft_id": "d"}


def test_a_record_is_all_or_nothing(store: Store, lane: Lane, make: Maker) -> None:
    store.put([make.message()])
    open_one, new = (make.attempt(lane, work) for work in store.due(lane, limit=2))
    store.begin([open_one])
    with pytest.raises(StoreError):
        store.record(notes=[(AttemptId(1), {"draft_id": "d"})], ended=[make.settled(open_one, State.SENT)], begun=[new])
    for attempt, state in ((open_one, State.SENDING), (new, State.QUEUED)):
        story = store.story(attempt.message_id)
        assert story is not None
        assert [delivery.state for delivery in story.deliveries] == [state]
