"""Mail to the doctor: reports about mail in our names are read, and everything else can be taken apart in the console."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from mailroom.doctor.aggregate import NoReport, reports_of
from mailroom.doctor.answers import within
from mailroom.ports import Diagnoses, Job, Remember
from mailroom.transports.ways import DOCTOR, not_ours, way_of
from mailroom_core.errors import StoreError
from mailroom_core.model import Deferred, DeliveryId, Failed, Outcome, Reply, Sent


class DoctorTransport:
    """A destination. Taking a mail twice changes nothing. `ours` are domains whose reports are wanted."""

    def __init__(self, diagnoses: Diagnoses, ours: Callable[[], Collection[str]]) -> None:
        self._diagnoses = diagnoses
        self._ours = ours

    @property
    def way(self) -> str:
        return DOCTOR

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        try:
            text = await asyncio.to_thread(self._taken, job)
        except NoReport as problem:
            failed = Failed(Reply(554, f"its DMARC report can't be taken: {problem}", "5.6.0"))
            return dict.fromkeys(job.recipients, failed)
        except StoreError as problem:
            return dict.fromkeys(job.recipients, Deferred(Reply(0, f"the doctor can't store it at present ({problem}); it is tried again")))
        return dict.fromkeys(job.recipients, Sent(Reply(250, text, "2.0.0")))

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "the doctor takes it again"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == DOCTOR else not_ours(job))

    async def close(self) -> None: ...

    def _taken(self, job: Job) -> str:
        """What became of it, in words. Raises NoReport, StoreError."""
        found = reports_of(job.source)
        ours = self._ours()
        for report in found:
            if not any(within(report.domain, each) for each in ours):
                raise NoReport(f"it is about {report.domain[:100]}, which is no alias domain of ours")
        new = sum(self._diagnoses.add(report) for report in found)
        if not found:
            return "the page of this mail takes it apart"
        return f"{new} DMARC report read" if new == len(found) == 1 else f"{new} of {len(found)} DMARC reports are new"
