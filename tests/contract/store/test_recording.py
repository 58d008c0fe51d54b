"""`record`: what attempts have to commit, in one transaction."""

from __future__ import annotations

import pytest

from mailroom.ports import Lane, Store
from mailroom_core.errors import StoreError
from mailroom_core.model import State
from tests.contract.store.makers import Maker, states_of


def test_one_record_notes_ends_and_begins(store: Store, lane: Lane, make: Maker) -> None:
    messages = [make.message() for _ in range(3)]
    store.put(messages)
    noted, ended, begun = (make.attempt(lane, work) for work in store.due(lane, limit=5) if work.message.id in {m.id for m in messages})
    assert store.begin([noted, ended]) == {noted.id, ended.id}
    answer = store.record(notes=[make.note(noted, {"draft_id": "d"})], ended=[make.settled(ended, State.SENT)], begun=[begun])
    assert answer == {noted.id, begun.id}
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
        store.record(notes=[], ended=[make.settled(open_one, State.IGNORED)], begun=[new])
    for attempt, state in ((open_one, State.SENDING), (new, State.QUEUED)):
        story = store.story(attempt.message_id)
        assert story is not None
        assert [delivery.state for delivery in story.deliveries] == [state]


def test_one_refused_note_stops_nobody_else(store: Store, lane: Lane, make: Maker) -> None:
    store.put([make.message()])
    ours, gone = make.begun(store, lane, store.due(lane, limit=2))
    store.settle([make.settled(gone, State.SENT)])
    notes = [make.note(each, {"draft_id": "d"}) for each in (ours, gone)]
    assert store.record(notes=notes, ended=[], begun=[]) == {ours.id}


def test_several_notes_of_one_attempt_add_up(store: Store, lane: Lane, make: Maker) -> None:
    (attempt,) = make.begun(store, lane, store.due(lane, limit=1))
    notes = [make.note(attempt, facts) for facts in ({"draft_id": "d"}, {"conversation_id": "c"})]
    assert store.record(notes=notes, ended=[], begun=[]) == {attempt.id}
    story = store.story(attempt.message_id)
    assert story is not None
    assert story.attempts[0].facts == {"draft_id": "d", "conversation_id": "c"}
