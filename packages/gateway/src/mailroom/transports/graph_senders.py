"""`mailbox = sender`: every sender has their own Sent Items, and a sender without a mailbox uses the notification mailbox.

Whether a sender has one is what Graph answers to the first request, which does nothing. The notification mailbox is paced by this
process alone; where several machines send for people without a mailbox, `Retry-After` is what keeps them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mailroom.ports import Job, Remember, Transport
from mailroom_core.mime.headers import Fields, format_address
from mailroom_core.model import DeliveryId, Failed, Held, Outcome
from mailroom_core.providers.graph.errors import NO_MAILBOX

_HEAD = 64 * 1024


class OwnOrNotification:
    """Tries the sender's mailbox; from then on it knows."""

    def __init__(self, own: Transport, notification: Transport, address: str) -> None:
        self._own = own
        self._notification = notification
        self._address = address
        self._without = False

    @property
    def way(self) -> str:
        return self._own.way

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        if not self._without:
            outcomes = await self._own.attempt(job, remember)
            waiting = {d: job.recipients[d] for d, outcome in outcomes.items() if _says_no_mailbox(outcome)}
            if not waiting:
                return outcomes
            self._without = True
            job = replace(job, recipients=waiting)
        else:
            outcomes = {}
        await remember({"through": self._address})
        return {**outcomes, **await self._notification.attempt(self._as_notification(job), remember)}

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        way = self._notification if "through" in job.attempt.facts else self._own
        return await way.resolve(job, remember)

    async def close(self) -> None:
        await self._own.close()
        await self._notification.close()

    def _as_notification(self, job: Job) -> Job:
        """The sender's name stays; the sender's address becomes Reply-To (`mime.recipients.author`)."""
        name = next((name for name, _ in Fields(job.source.read_at(0, _HEAD)).addresses("from")), "")
        shown = format_address(name or job.message.header_from.partition("@")[0], self._address)
        return replace(job, message=replace(job.message, rewrite_from=shown))


def _says_no_mailbox(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed | Held) and outcome.reply.name in NO_MAILBOX
