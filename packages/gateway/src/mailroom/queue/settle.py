"""What an attempt's outcomes make of its deliveries: state, due time, event. Pure; the transaction is `Store.settle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from mailroom.notices import facts_of
from mailroom.objects import Suppression
from mailroom.ports import Attempt, Delivery, DeliveryResult, Event, Settled
from mailroom_core.model import Deferred, DeliveryId, Failed, Held, Outcome, Remote, Reply, Sent, State, Unknown
from mailroom_core.policy import retry, suppress

LOOKS = tuple(timedelta(seconds=s) for s in (5, 10, 15, 30, 60, 120, 180, 300))
"""Waits before each look at what became of an unanswered attempt: 12 minutes in all. The copy in Sent Items may lag, and a
gateway's 504 has been followed by the mail two minutes later (graph.md 9 #3)."""


LONGEST_WAIT = timedelta(minutes=10)
PATIENT_TRIES = 5
"""So many tries follow the next hop's own wish, however short."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that `judge` needs besides the facts. `chance` is a number in [0, 1) for the jitter."""

    now: datetime
    chance: float
    looks: Sequence[timedelta] = LOOKS
    quarantine: bool = False
    """Mail that came in never fails: what its destination refuses waits for a person."""


def judge(
    attempt: Attempt, deliveries: Sequence[Delivery], outcomes: Mapping[DeliveryId, Outcome], rules: Rules, *, look: bool = False
) -> Settled:
    """The end of an attempt, or of one look at it (`look`). A delivery without an outcome counts as `Unknown`."""
    counted = False
    results = []
    for delivery in deliveries:
        outcome = outcomes.get(delivery.id, Unknown("the transport gave no outcome for this recipient"))
        counted |= look and isinstance(outcome, Unknown) and outcome.looked
        results.append(_result(attempt, delivery, outcome, rules, look=look))
    return Settled(
        attempt_id=attempt.id,
        lane=attempt.lane,
        epoch=attempt.epoch,
        text="; ".join(dict.fromkeys(describe(outcome) for outcome in outcomes.values())) or "no outcome",
        looked=counted,
        deliveries=tuple(results),
        suppress=tuple(_suppressions(deliveries, outcomes)),
    )


def _result(attempt: Attempt, delivery: Delivery, outcome: Outcome, rules: Rules, *, look: bool) -> DeliveryResult:
    match outcome:
        case Sent(reply, remote_id):
            facts = attempt.facts_of(delivery.id)
            remote = _remote(facts, remote_id)
            through, lost = facts.get("through", ""), facts.get("lost", "")
            text = f"Handed over: {reply}" + (f", through {through}, as the sender has no mailbox" if through else "")
            text += f". This way out could not carry: {lost}" if lost else ""
            return _become(delivery, State.SENT, None, reply, rules, text, remote)
        case Deferred(reply, retry_after, _):
            due = rules.now + _wait(delivery.attempts + (0 if look else 1), retry_after, rules.chance)
            return _become(delivery, State.QUEUED, due, reply, rules, f"Deferred, next try {_at(due)}: {reply}")
        case Failed(reply, _) if rules.quarantine:
            return _become(delivery, State.HELD, None, reply, rules, f"Not taken, and waits in quarantine: {reply}")
        case Failed(reply, _):
            return _become(delivery, State.FAILED, None, reply, rules, f"Refused for good: {reply}")
        case Held(reply, lane):
            # A lane that can't go on fails nothing: its mail stays queued and goes on when the lane is freed. But what
            # could not be looked up stays unsure, or it might go out twice.
            if lane and look:
                return _unsure(attempt, delivery, Unknown(str(reply), looked=False), rules, look=True)
            if lane:
                return _become(delivery, State.QUEUED, rules.now, reply, rules, f"Waits until a person acts: {reply}")
            return _become(delivery, State.HELD, None, reply, rules, f"Held until a person decides: {reply}")
        case Unknown():
            return _unsure(attempt, delivery, outcome, rules, look=look)
        case _:
            assert_never(outcome)


def _wait(tries: int, retry_after: timedelta | None, chance: float) -> timedelta:
    """The next hop's wish; but what has been put off at once again and again waits longer and longer, as after a bug of ours."""
    if retry_after is None or tries <= PATIENT_TRIES:
        return retry.wait(tries, retry_after, chance)
    return max(retry.wait(tries, retry_after, chance), retry.wait(tries - PATIENT_TRIES, None, chance))


def _unsure(attempt: Attempt, delivery: Delivery, unknown: Unknown, rules: Rules, *, look: bool) -> DeliveryResult:
    why = unknown.why
    looks = attempt.looks + (1 if look and unknown.looked else 0)
    if looks < len(rules.looks):
        # While the provider can't be asked the waits grow with the age of the question, and the timeline is told once.
        wait = rules.looks[looks] if unknown.looked or not look else max(rules.looks[looks], (rules.now - attempt.started_at) / 4)
        due = rules.now + min(wait, max(LONGEST_WAIT, rules.looks[looks]))
        text = f"Nobody knows yet whether it was sent ({why}); looking {_at(due)}"
        if unknown.waits:
            text = f"Lies ready at the provider and waits for its turn ({why}); it is sent from there {_at(due)}"
        result = _become(delivery, State.UNSURE, due, None, rules, text)
        return result if unknown.looked or not look else replace(result, event=None)
    text = f"Nobody knows whether it was sent ({why}). Look into the mailbox, then send it again, or ignore it"
    return _become(delivery, State.HELD, None, None, rules, text)


def _become(
    delivery: Delivery,
    state: State,
    due: datetime | None,
    reply: Reply | None,
    rules: Rules,
    text: str,
    remote: Remote | None = None,
) -> DeliveryResult:
    name = "deferred" if state is State.QUEUED else state.value
    said = {} if state is State.SENT else facts_of(reply)  # a mail that was sent has no later reply
    event = Event(at=rules.now, name=name, text=text, delivery_id=delivery.id, data=said)
    return DeliveryResult(id=delivery.id, state=state, due_at=due, reply=reply, remote=remote or Remote(), event=event)


def _remote(facts: Mapping[str, str], remote_id: str) -> Remote:
    return Remote(
        remote_id=remote_id or facts.get("draft_id", ""),
        internet_message_id=facts.get("internet_message_id", ""),
        conversation_id=facts.get("conversation_id", ""),
    )


def _suppressions(deliveries: Sequence[Delivery], outcomes: Mapping[DeliveryId, Outcome]) -> list[Suppression]:
    found = []
    for delivery in deliveries:
        outcome = outcomes.get(delivery.id)
        if outcome is not None and (reason := suppress.reason(outcome)):
            found.append(Suppression(address=delivery.recipient, reason=reason, source="refused"))
    return found


def describe(outcome: Outcome) -> str:
    """An outcome in one line, for the list of attempts."""
    match outcome:
        case Sent(reply, _):
            return f"sent: {reply}"
        case Deferred(reply, _, _):
            return f"deferred: {reply}"
        case Failed(reply, _):
            return f"failed: {reply}"
        case Held(reply, _):
            return f"held: {reply}"
        case Unknown(why, waits=True):
            return f"waits for its turn: {why}"
        case Unknown(why):
            return f"unknown: {why}"
        case _:
            assert_never(outcome)


def _at(due: datetime) -> str:
    return due.strftime("at %H:%M:%S UTC on %d %b")
