"""Mail in quarantine that somebody wants tried again: it is judged anew, by the objects of today.

It goes to the destinations that this finds, each as a delivery of its own; if there is none, it waits again, with the new reason. It is
a transport, so that `retry` does the same everywhere. Doing it twice hands nothing over twice. Nobody is answered: the mail may be old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mailroom.intake.judge import Came, Judge, came_by
from mailroom.intake.take import deliveries_of
from mailroom.objects import Directory
from mailroom.ports import Clock, Event, Job, Message, Remember, Store
from mailroom.transports.ways import REPLAY, not_ours, way_of
from mailroom_core.errors import StoreError
from mailroom_core.model import Deferred, DeliveryId, Envelope, Held, Outcome, Reply, Sent


@dataclass(frozen=True, slots=True)
class Replay:
    """The way out of quarantine."""

    store: Store
    judge: Judge
    directory: Callable[[], Directory]
    ids: Callable[[], int]
    clock: Clock

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
        decision = judged.decision
        deliveries = list(deliveries_of(decision, judged.head, now, self.ids))
        if not deliveries:
            return Held(Reply(0, decision.why))
        text = f"Judged anew; {decision.verdict.value}, because {decision.why}"
        event = Event(at=now, name="routed", text=text, data={"verdict": decision.verdict.name})
        self.store.hand_on(message.id, deliveries, event)
        names = ", ".join(dict.fromkeys(each.server or each.recipient for each in deliveries))
        return Sent(Reply(250, f"it goes to {names} now", "2.0.0"))

    def _came(self, message: Message) -> Came:
        server = self.directory().incoming.get(message.source)
        if server is not None:
            return came_by(server)
        story = self.store.story(message.id)
        noted = next((each.data for each in (story.events if story else ()) if each.name == "routed"), {})
        recipients = tuple(noted.get("recipients", "").split())
        return Came(by=message.source, envelope=Envelope(message.sender, recipients) if recipients else None)
