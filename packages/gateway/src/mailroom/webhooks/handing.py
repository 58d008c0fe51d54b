"""A destination that is a webhook: each mail is POSTed to it, signed by Standard Webhooks, with the same `webhook-id` at every try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta

from mailroom.defaults import Defaults
from mailroom.notices import Try
from mailroom.ports import Clock, Job, Remember, Store
from mailroom.transports.guarded import Target
from mailroom.transports.handed import decision_on, handed
from mailroom.transports.ways import WEBHOOK, not_ours, way_of
from mailroom.webhooks import calling, received
from mailroom.webhooks.judging import BUSY, GONE, retry_after
from mailroom.webhooks.links import Links
from mailroom_core.errors import StoreError
from mailroom_core.flow import Response
from mailroom_core.model import Deferred, DeliveryId, Failed, Held, Outcome, Reply, Sent, show_id

REFUSED = {
    400: "the target can't read this mail",
    409: "the target refuses this mail",
    413: "the mail is larger than the target takes",
    415: "the target does not take this",
    422: "the target refuses this mail",
}
"""Statuses that are about this mail alone: it waits in quarantine. Others may be a mistake of a day, and are tried again."""


Secret = Callable[[], Awaitable[Mapping[str, str]]]
ValuesOf = Callable[[Iterable[str]], Defaults]
"""The default values of the aliases that were written to."""


class WebhookTransport:
    """One target. `secret` raises VaultError without one."""

    def __init__(self, target: Target, secret: Secret, store: Store, links: Links, clock: Clock, values: ValuesOf) -> None:
        self._target = target
        self._secret = secret
        self._store = store
        self._links = links
        self._clock = clock
        self._values = values

    @property
    def way(self) -> str:
        return WEBHOOK

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        secret = await self._secret()
        return {delivery: await self._one(job, delivery, recipient, secret) for delivery, recipient in job.recipients.items()}

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "handed over again, with the same webhook-id"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == WEBHOOK else not_ours(job))

    async def close(self) -> None:
        await self._target.close()

    async def _one(self, job: Job, delivery: DeliveryId, recipient: str, secret: Mapping[str, str]) -> Outcome:
        try:
            body = await asyncio.to_thread(self._body, job, recipient)
        except StoreError as problem:
            return Deferred(Reply(0, f"the gateway's database is in trouble ({problem}); it is tried again"))
        called = await calling.call(self._target, secret, show_id(delivery), body, self._clock)
        return judge(called.tried, called.answer, self._clock())

    def _body(self, job: Job, recipient: str) -> bytes:
        now = self._clock()
        mail = handed(job, self._store)
        verdict = self._verdict(job)
        event = received.event_of(
            job, recipient, mail, lambda part: self._links.to(job.message.id, part, now), verdict, self._values([recipient])
        )
        return event.model_dump_json().encode("utf-8")

    def _verdict(self, job: Job) -> tuple[str, str]:
        decision = decision_on(job, self._store)
        return (decision.data.get("verdict", "").lower(), decision.text) if decision else ("", "")


def judge(tried: Try, answer: Response | None, now: datetime) -> Outcome:
    """What an answer makes of a mail."""
    reply = Reply(tried.status, tried.answer or "taken")
    if answer is None:
        return Held(reply, lane=True) if tried.answer.startswith("not called") else Deferred(reply)
    if 200 <= answer.status < 300:
        return Sent(reply)
    if answer.status == GONE:
        text = f"the target says that it is gone for good ({tried.answer}); give the destination another url, or remove it"
        return Held(Reply(GONE, text), lane=True)
    if answer.status in REFUSED:
        return Failed(Reply(answer.status, f"{REFUSED[answer.status]} ({tried.answer})"))
    return Deferred(reply, retry_after=retry_after(answer, now), lane=answer.status in BUSY)
