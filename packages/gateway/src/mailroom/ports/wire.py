"""What delivers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mailroom.ports.attempts import Attempt
from mailroom.ports.messages import Message
from mailroom_core.mime.source import ReadAt
from mailroom_core.model import DeliveryId, Outcome


@dataclass(frozen=True, slots=True)
class Job:
    """What a transport is asked to deliver: one message to some of its recipients in one go."""

    attempt: Attempt
    message: Message
    recipients: Mapping[DeliveryId, str]
    source: ReadAt


Remember = Callable[[Mapping[str, str]], Awaitable[None]]


class Transport(Protocol):
    """Delivers through one outgoing server. Knows its wire, not the queue."""

    @property
    def way(self) -> str:
        """How it would send now, noted as the fact `way` of every attempt that begins; `resolve` obeys what is noted there."""

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """One try. `remember` returns when its facts are committed. Raises nothing that concerns the mail: that is an outcome."""

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """Find out what became of an attempt that got no answer. `Unknown` means: not found yet."""

    async def close(self) -> None: ...
