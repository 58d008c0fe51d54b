"""The sink: takes every mail and delivers none, for trying out and for measuring."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from mailroom.objects import SinkRoute
from mailroom.ports import Job, Remember
from mailroom.transports.ways import SINK, not_ours, way_of
from mailroom_core.model import Deferred, DeliveryId, Outcome, Reply, Sent, show_id

_PIECE = 256 * 1024


class Sink:
    """With a directory, each mail is written there as `<id>.eml`, whole or not at all."""

    def __init__(self, route: SinkRoute) -> None:
        self._directory = Path(route.directory) if route.directory else None

    @property
    def way(self) -> str:
        return SINK

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        outcome: Outcome = Sent(Reply(250, "taken by the sink", "2.0.0"))
        if self._directory is not None:
            try:
                await asyncio.to_thread(_write, self._directory, job)
            except OSError as problem:
                why = f"the sink can't write into {self._directory} ({problem.strerror}); make it writable"
                outcome = Deferred(Reply(0, why), lane=True)
        return dict.fromkeys(job.recipients, outcome)

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """Nothing was delivered, so taking it again harms nobody."""
        again = Deferred(Reply(0, "the sink takes it again"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == SINK else not_ours(job))

    async def close(self) -> None: ...


def _write(directory: Path, job: Job) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / f"{show_id(job.message.id)}.eml"
    unfinished = directory / f".{show_id(job.attempt.id)}.part"
    # 0600: a mail is for its readers. Whatever lies in our way, such as a link, is replaced and never followed.
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        for offset in range(0, job.source.size, _PIECE):
            file.write(job.source.read_at(offset, _PIECE))
    unfinished.replace(final)
