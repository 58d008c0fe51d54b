"""Mail in quarantine that somebody wants tried again: it is judged anew, by the objects of today.

It goes to the destinations that this finds, each as a delivery of its own, its sender gets the answer that is due, and a report does what
it says; if nothing of this comes of it, it waits again, with the new reason. It is a transport, so that `retry` does the same everywhere.
Doing it twice does nothing twice: hand-overs are known by the mail, answers by its id, bounces by their delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailroom.intake.answers import Answers
from mailroom.intake.bounces import Bounces
from mailroom.intake.judge import Came, Judge, came_by
from mailroom.intake.take import content_of, decided, deliveries_of
from mailroom.objects import Directory
from mailroom.ports import Clock, Event, Job, Message, NewMessage, Remember, Store
from mailroom.transports.ways import REPLAY, not_ours, way_of
from mailroom_core.errors import StoreError
from mailroom_core.model import Deferred, DeliveryId, Envelope, Held, Outcome, Reply, Sent
from mailroom_core.policy.decision import Decision, Verdict

DONE = frozenset({Verdict.BOUNCE, Verdict.IGNORED})
"""What nobody has to take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The way out of quarantine."""

    store: Store
    judge: Judge
    bounces: Bounces
    answers: Answers
    write: Callable[[Sequence[NewMessage]], object]
    """Stores mail of ours."""
    directory: Callable[[], Directory]
    ids: Callable[[], int]
    clock: Clock
    answerable: timedelta
    """How old a mail may be whose sender still gets an answer."""

    @property
    def way(self) -> str:
        return REPLAY

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        try:
            outcome = await asyncio.to_thread(self._routed, job)
        except StoreError as problem:
            outcome = Deferred(Reply(0, f"it can't be stored at present ({problem}); it is tried again"))
        return dict.fromkeys(job.recipients, outcome)

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "it is judged again"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == REPLAY else not_ours(job))

    async def close(self) -> None: ...

    def _routed(self, job: Job) -> Outcome:
        now, message = self.clock(), job.message
        judged = self.judge(job.source, self._came(message), now)
        applied = self.bounces.applied(judged, message.id, now)
        decision = applied.decision
        deliveries = list(deliveries_of(applied, judged.head, content_of(job.source, judged), now, self.ids))
        if deliveries:
            text = f"Judged anew; {decision.verdict.value}, because {decision.why}"
            event = Event(at=now, name="routed", text=text, data=decided(applied))
            self.store.hand_on(message.id, deliveries, event)
        if applied.entry is not None:
            where, entry = applied.entry
            self.store.conversations.add("", entry, subject="", customer="", to=where)
        answered = self._answered(decision, message, now)
        if deliveries:
            names = ", ".join(dict.fromkeys(each.server or each.recipient for each in deliveries))
            return Sent(Reply(250, f"it goes to {names} now", "2.0.0"))
        if answered or decision.verdict in DONE:
            return Sent(Reply(250, f"{decision.verdict.value}: {decision.why}", "2.0.0"))
        return Held(Reply(0, decision.why))

    def _answered(self, decision: Decision, message: Message, now: datetime) -> bool:
        """Whether its sender has got all that there is to say; a loop waits for a person all the same."""
        if not decision.answers or message.accepted_at < now - self.answerable:
            return False
        written = self.answers(decision, about=message.id)
        if written:
            self.write(written)
        return bool(written) and decision.verdict is Verdict.ANSWERED

    def _came(self, message: Message) -> Came:
        story = self.store.story(message.id)
        noted = story.routed[0].data if story and story.routed else {}
        conversation = noted.get("conversation_id", "")
        server = self.directory().incoming.get(message.source)
        if server is not None:
            return came_by(server, conversation)
        recipients = tuple(noted.get("recipients", "").split())
        return Came(
            by=message.source,
            fallback=noted.get("fallback", ""),
            authserv_id=noted.get("authserv_id", ""),
            conversation=conversation,
            envelope=Envelope(message.sender, recipients) if recipients else None,
        )
