"""Attempts: recorded before the wire, noted on the way, settled with what became of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailroom.objects import Suppression
from mailroom.observe import events
from mailroom.ports import DeliveryResult, NewAttempt, NewMessage, Note, Resolution, Settled
from mailroom.store.accepting import EVENTS, event_rows, put
from mailroom.store.database import Tx
from mailroom.store.keeping import suppress
from mailroom.store.values import dump_map, dump_reply, load_map, micros
from mailroom_core.errors import StoreRefused
from mailroom_core.model import TRANSITIONS, AttemptId, DeliveryId, MessageId, State, show_id

# `FOR SHARE`: nobody claims, holds or frees the lane before this transaction has ended.
EPOCHS = "SELECT name, epoch, held_at FROM lanes WHERE name {names} ORDER BY name {share}"
# Locks are taken in one order everywhere, lanes, deliveries, attempts, each by id: so two transactions never wait for each other.
DELIVERIES = "SELECT id, message_id, lane, state, attempt_id FROM deliveries WHERE id {ids} ORDER BY id {update}"
OTHERS = "SELECT id, message_id, lane, state, attempt_id FROM deliveries WHERE id {ids}"
BEGIN = """INSERT INTO attempts (id, message_id, delivery_ids, lane, epoch, started_at, deadline, look_at, marker, facts, resolution,
    recipients, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)"""
SENDING = """UPDATE deliveries SET state = 'sending', due_at = NULL, attempts = attempts + 1, attempt_id = ?, updated_at = ?
    WHERE id = ?"""
SUPERSEDED = """UPDATE attempts SET resolution = 'done', look_at = NULL, ended_at = COALESCE(ended_at, ?)
    WHERE id = ? AND NOT EXISTS
    (SELECT 1 FROM deliveries d WHERE d.message_id = attempts.message_id AND d.attempt_id = attempts.id)"""
FACTS = "SELECT id, lane, resolution, facts FROM attempts WHERE id {ids} ORDER BY id {update}"
NOTE = "UPDATE attempts SET facts = ? WHERE id = ?"
FURTHER = "INSERT INTO further (attempt_id, lane, at, recipients) VALUES (?, ?, ?, ?)"
ATTEMPTS = "SELECT id, message_id, lane, delivery_ids, resolution FROM attempts WHERE id {ids}"
RESULT = """UPDATE deliveries SET state = ?, due_at = ?, attempt_id = ?, updated_at = ?, reply = COALESCE(?, reply),
    remote_id = COALESCE(NULLIF(?, ''), remote_id), internet_message_id = COALESCE(NULLIF(?, ''), internet_message_id),
    conversation_id = COALESCE(NULLIF(?, ''), conversation_id) WHERE id = ?"""
END = "UPDATE attempts SET resolution = ?, look_at = ?, looks = looks + ?, ended_at = ?, text = ? WHERE id = ?"


@dataclass(frozen=True, slots=True)
class _Owned:
    """A lane as it stays until the transaction ends."""

    epoch: int
    held: bool


_Lanes = Mapping[str, _Owned]


def record(tx: Tx, *, notes: Sequence[Note] = (), ended: Sequence[Settled] = (), begun: Sequence[NewAttempt] = ()) -> set[AttemptId]:
    """See `Store.record`. An attempt has at most one of the three in a batch, so their order is free: it is that of the locks."""
    names = {note.lane for note in notes} | {settled.lane for settled in ended} | {attempt.lane for attempt in begun}
    lanes = {name: _Owned(epoch, held is not None) for name, epoch, held in tx.by(EPOCHS, sorted(names))}
    if ended:
        _settle(tx, lanes, ended)
    return (_begin(tx, lanes, begun) if begun else set()) | (_note(tx, lanes, notes) if notes else set())


def _is_owner(lanes: _Lanes, each: Note | Settled | NewAttempt) -> bool:
    lane = lanes.get(each.lane)
    return lane is not None and lane.epoch == each.epoch


def _begin(tx: Tx, lanes: _Lanes, batch: Sequence[NewAttempt]) -> set[AttemptId]:
    """See `Store.begin`. A lane that is held begins nothing."""
    known = {row[0]: row[1:] for row in tx.by(DELIVERIES, sorted({d for a in batch for d in a.delivery_ids}))}
    begun: list[NewAttempt] = []
    former: set[int] = set()
    for attempt in batch:
        rows = [known.pop(number, None) for number in attempt.delivery_ids]
        free = _is_owner(lanes, attempt) and not lanes[attempt.lane].held
        if free and all(row is not None and _may_begin(attempt, *row) for row in rows):
            begun.append(attempt)
            former.update(row[3] for row in rows if row is not None and row[3] is not None)
    tx.many(BEGIN, [_attempt_row(attempt) for attempt in begun])
    tx.many(SENDING, [(a.id, tx.now, number) for a in begun for number in a.delivery_ids])
    drop_attempts(tx, former)
    return {attempt.id for attempt in begun}


def _may_begin(attempt: NewAttempt, message: int, lane: str, state: str, _former: int | None) -> bool:
    return message == attempt.message_id and lane == attempt.lane and State.SENDING in TRANSITIONS[State(state)]


def _attempt_row(attempt: NewAttempt) -> tuple[object, ...]:
    deadline = micros(attempt.deadline)
    return (
        attempt.id,
        attempt.message_id,
        json.dumps(attempt.delivery_ids),
        attempt.lane,
        attempt.epoch,
        micros(attempt.started_at),
        deadline,
        deadline,
        attempt.marker,
        dump_map(attempt.facts),
        len(attempt.delivery_ids),
        attempt.size,
    )


def drop_attempts(tx: Tx, attempts: set[int]) -> None:
    """Nobody asks any more what became of them, unless another delivery still depends on it."""
    tx.many(SUPERSEDED, [(tx.now, number) for number in sorted(attempts)])


def _note(tx: Tx, lanes: _Lanes, batch: Sequence[Note]) -> set[AttemptId]:
    """See `Store.note`; those that were written."""
    rows = tx.by(FACTS, sorted({note.attempt_id for note in batch}))
    open_ones = {number: (lane, facts) for number, lane, resolution, facts in rows if resolution != "done"}
    written: dict[AttemptId, dict[str, str]] = {}
    for note in batch:
        lane, facts = open_ones.get(note.attempt_id, (None, ""))
        if lane == note.lane and _is_owner(lanes, note):
            written.setdefault(note.attempt_id, load_map(facts)).update(note.facts)
    tx.many(NOTE, [(dump_map(facts), number) for number, facts in written.items()])
    left = [(note.attempt_id, note.lane, tx.now, note.left.recipients) for note in batch if note.left and note.attempt_id in written]
    tx.many(FURTHER, left)
    return set(written)


def _settle(tx: Tx, lanes: _Lanes, batch: Sequence[Settled]) -> None:
    """See `Store.settle`."""
    rows = tx.by(DELIVERIES, sorted({result.id for s in batch for result in s.deliveries}))
    attempts = {
        number: _Known(message, lane, json.loads(deliveries), resolution)
        for number, message, lane, deliveries, resolution in tx.by(ATTEMPTS, sorted({s.attempt_id for s in batch}))
    }
    others = {number for attempt in attempts.values() for number in attempt.delivery_ids} - {row[0] for row in rows}
    states = {row[0]: (State(row[3]), row[4]) for row in (*rows, *tx.by(OTHERS, sorted(others)))}
    writes = _Writes()
    for settled in batch:
        attempt = attempts.pop(settled.attempt_id, None)
        if attempt is None or attempt.resolution == "done":
            events.settle_left_out(settled.attempt_id, settled.lane, "the attempt has ended already")
        elif attempt.lane != settled.lane or not _is_owner(lanes, settled):
            events.settle_left_out(settled.attempt_id, settled.lane, "the lane has another owner, who will find out")
        else:
            _settle_one(settled, attempt, states, writes, tx.now)
    writes.run(tx)


@dataclass(frozen=True, slots=True)
class _Known:
    message_id: MessageId
    lane: str
    delivery_ids: Sequence[DeliveryId]
    resolution: str


@dataclass(frozen=True, slots=True)
class _Writes:
    """What a batch comes to, statement by statement."""

    ends: list[tuple[object, ...]] = field(default_factory=list)
    results: list[tuple[object, ...]] = field(default_factory=list)
    events: list[tuple[object, ...]] = field(default_factory=list)
    suppress: list[Suppression] = field(default_factory=list)
    replies: list[NewMessage] = field(default_factory=list)

    def run(self, tx: Tx) -> None:
        tx.many(RESULT, self.results)
        tx.many(END, self.ends)
        tx.many(EVENTS, self.events)
        suppress(tx, self.suppress, by="delivery")
        if self.replies:
            put(tx, self.replies)


def _settle_one(settled: Settled, attempt: _Known, states: Mapping[int, tuple[State, int | None]], writes: _Writes, now: int) -> None:
    """What a person has taken out of the attempt meanwhile (`act`) stays as that person wants it."""
    open_still = {number for number in attempt.delivery_ids if states[number][1] == settled.attempt_id}
    results = [result for result in settled.deliveries if result.id in open_still]
    if open_still != {result.id for result in results}:
        raise StoreRefused(f"attempt {show_id(settled.attempt_id)} ended without a result for each of its deliveries; please report it")
    for result in results:
        check_transition(result.id, states[result.id][0], result.state)
        writes.results.append(result_row(settled.attempt_id, result, now))
        if result.event is not None:
            writes.events.extend(event_rows(attempt.message_id, (result.event,)))
    look_at = min((micros(result.due_at) for result in results if result.state is State.UNSURE and result.due_at), default=None)
    resolution = Resolution.DONE if look_at is None else Resolution.UNSURE
    writes.ends.append((resolution.value, look_at, int(settled.looked), now, settled.text, settled.attempt_id))
    if results:
        writes.suppress.extend(settled.suppress)
        writes.replies.extend(settled.replies)


def check_transition(delivery: DeliveryId, before: State, after: State) -> None:
    """Raises StoreError: nothing of the transaction is written."""
    if after not in TRANSITIONS[before]:
        raise StoreRefused(f"delivery {show_id(delivery)} can't go from {before.value} to {after.value}; please report it")


def result_row(attempt: AttemptId | None, result: DeliveryResult, now: int) -> tuple[object, ...]:
    """A row for `RESULT`."""
    waits = result.state in (State.QUEUED, State.UNSURE)
    return (
        result.state.value,
        micros(result.due_at) if waits and result.due_at is not None else None,
        attempt if result.state is State.UNSURE else None,
        now,
        dump_reply(result.reply),
        result.remote.remote_id,
        result.remote.internet_message_id,
        result.remote.conversation_id,
        result.id,
    )
