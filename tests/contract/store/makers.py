"""Things to put into a store, and a clock to turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone

from mailroom.ids import Ids
from mailroom.ports import (
    Attempt,
    DeliveryResult,
    Event,
    Lane,
    NewAttempt,
    NewDelivery,
    NewMessage,
    Note,
    Settled,
    Store,
    Work,
)
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId, Remote, Reply, State

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
LANE = LaneName("graph:sales:sales@example.com")
TTL = timedelta(seconds=30)
LIFETIME = timedelta(days=5)


class FakeClock:
    """Stands still until it is told to go on."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, **by: float) -> None:
        self.now += timedelta(**by)


class Maker:
    """Makes messages, attempts and results with ids that grow."""

    def __init__(self, clock: Callable[[], datetime], node: int = 1) -> None:
        self.clock = clock
        self.ids = Ids(lambda: node, clock)

    def message(
        self,
        *recipients: str,
        lane: str = LANE,
        kind: Kind = Kind.TRANSACTIONAL,
        raw: bytes | None = b"Subject: x\r\n\r\nx\r\n",
        blob: str = "",
        sender: str | None = "sales@example.com",
        subject: str = "Offer",
        application: str = "odoo",
        key: str = "",
        due_in: timedelta = timedelta(),
        state: State = State.QUEUED,
        rewrite_from: str = "",
        header_message_id: str = "<1@example.com>",
    ) -> NewMessage:
        now = self.clock()
        return NewMessage(
            id=MessageId(self.ids()),
            accepted_at=now,
            expires_at=now + LIFETIME,
            sender=sender,
            header_from="sales@example.com",
            header_message_id=header_message_id,
            subject=subject,
            application=application,
            kind=kind,
            size=len(raw or b""),
            rewrite_from=rewrite_from,
            raw=raw,
            blob=blob,
            deliveries=tuple(
                NewDelivery(
                    id=DeliveryId(self.ids()),
                    recipient=recipient,
                    server="office",
                    lane=LaneName(lane),
                    state=state,
                    due_at=now + due_in,
                )
                for recipient in recipients or ("anna@example.org",)
            ),
            events=(Event(at=now, name="accepted", text="Accepted from odoo", data={"application": "odoo"}),),
            idempotency_key=key,
        )

    def attempt(
        self, lane: Lane, work: Work, *, limit: timedelta = timedelta(minutes=5), facts: dict[str, str] | None = None
    ) -> NewAttempt:
        now = self.clock()
        return NewAttempt(
            id=AttemptId(self.ids()),
            message_id=work.message.id,
            delivery_ids=tuple(delivery.id for delivery in work.deliveries),
            lane=lane.name,
            epoch=lane.epoch,
            started_at=now,
            deadline=now + limit,
            marker="marker",
            facts=facts or {},
            size=work.message.size,
        )

    def begun(self, store: Store, lane: Lane, works: Iterable[Work]) -> list[NewAttempt]:
        """Attempts that have begun, one for each work."""
        attempts = [self.attempt(lane, work) for work in works]
        assert store.begin(attempts) == {attempt.id for attempt in attempts}
        return attempts

    def note(self, attempt: NewAttempt | Attempt, facts: dict[str, str], *, epoch: int | None = None) -> Note:
        return Note(attempt_id=attempt.id, lane=attempt.lane, epoch=attempt.epoch if epoch is None else epoch, facts=facts)

    def settled(
        self,
        attempt: NewAttempt | Attempt,
        state: State,
        *,
        epoch: int | None = None,
        only: Sequence[DeliveryId] | None = None,
        due_in: timedelta = timedelta(minutes=1),
        reply: Reply | None = None,
        remote: Remote | None = None,
        looked: bool = False,
        replies: tuple[NewMessage, ...] = (),
    ) -> Settled:
        now = self.clock()
        waits = state in (State.QUEUED, State.UNSURE)
        return Settled(
            attempt_id=attempt.id,
            lane=attempt.lane,
            epoch=attempt.epoch if epoch is None else epoch,
            text=f"became {state.value}",
            looked=looked,
            deliveries=tuple(
                DeliveryResult(
                    id=number,
                    state=state,
                    due_at=now + due_in if waits else None,
                    reply=reply,
                    remote=remote or Remote(),
                    event=Event(at=now, name=state.value, text=f"became {state.value}", delivery_id=number),
                )
                for number in (attempt.delivery_ids if only is None else only)
            ),
            replies=replies,
        )


def claim_one(store: Store, owner: str = "worker") -> Lane:
    """The lane that is next."""
    lanes = store.claim(owner, want=1, ttl=TTL)
    assert lanes, "no lane can be claimed"
    return lanes[0]


def states_of(store: Store, message: NewMessage) -> list[State]:
    story = store.story(message.id)
    assert story is not None
    return [delivery.state for delivery in story.deliveries]


def sent_off(store: Store, make: Maker, *recipients: str) -> MessageId:
    """A message that has left to all of its recipients; its lane is nobody's again."""
    message = make.message(*recipients)
    store.put([message])
    lane = claim_one(store)
    (work,) = store.due(lane, limit=10)
    (attempt,) = make.begun(store, lane, [work])
    store.settle([make.settled(attempt, State.SENT)])
    store.release("worker", [lane])
    return message.id
