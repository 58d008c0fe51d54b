"""Looks at domains for whoever asks, and every day by itself; what has changed since is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Semaphore
from typing import Any, Protocol

from mailroom.doctor.domain import changes
from mailroom.doctor.findings import Report, Verdict
from mailroom.doctor.health.desk import NAME as INSTALLATION
from mailroom.doctor.health.desk import HealthDesk
from mailroom.doctor.mail_judge import MailReport
from mailroom.doctor.odoo.findings import OdooReport
from mailroom.doctor.shapes import report_body
from mailroom.doctor.symptoms.asking import Answer
from mailroom.observe import events
from mailroom.ports import Clock, Diagnoses, KeptLook
from mailroom_core.errors import ConfigError, MailroomError
from mailroom_core.mime.source import ReadAt

AT_ONCE = 8
"""Looks that somebody has asked for; each is several dozen questions."""
BASE = frozenset({"MX", "SPF", "DMARC"})
"""Where one of these areas could not be read, the name server is to blame, and the look says nothing about the domain."""


class Busy(MailroomError):
    """Too many look at once."""


LookAt = Callable[[str, Sequence[str]], Awaitable[Report]]
"""A domain, and names of DKIM keys. Raises ConfigError for what is no domain."""


class OdooLooks(Protocol):
    """The doctor for destinations that are an Odoo. All raise ConfigError and VaultError, which say what to do."""

    def names(self) -> list[str]:
        """Of these destinations."""

    async def look(self, name: str) -> OdooReport:
        """Asks Odoo, and changes nothing."""

    def mended(self, name: str, codes: Collection[str], *, by: str) -> AsyncIterator[str]:
        """Makes the changes of these findings, of all without a code; says each one that was made."""

    def taken_back(self, name: str, *, by: str) -> AsyncIterator[str]:
        """Says each record that is as before."""

    def was_mended(self, name: str) -> bool:
        """Blocking. Whether there is something to take back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorDesk:
    """Made by `wiring`. `ours` are the alias domains."""

    look_at: LookAt
    judge_mail: Callable[[ReadAt], MailReport]
    """Blocking. Raises MimeError for what is no mail."""
    diagnoses: Diagnoses
    ours: Callable[[], Collection[str]]
    clock: Clock
    odoo: OdooLooks
    answered: Callable[[str, str, str, bytes | None], Awaitable[Answer]]
    """A question, the id of a mail, an address, a mail as it was received; these may be empty. Raises ConfigError."""
    health: HealthDesk
    """The installation itself."""
    _places: Semaphore = field(default_factory=lambda: Semaphore(AT_ONCE))
    """Of threads and loops alike; nobody waits for one."""

    async def look(self, domain: str, selectors: Sequence[str] = ()) -> Report:
        """Now, for a person or a program. Raises ConfigError for what is no domain, Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy(f"{AT_ONCE} looks are under way; try again in some seconds")
        try:
            report = await self.look_at(domain, selectors)
        finally:
            self._places.release()
        if report.domain in self.ours() and not selectors and not _unread(report):
            await asyncio.to_thread(self.diagnoses.keep, _kept(report))
        return report

    async def ask(self, slug: str, *, message: str = "", address: str = "", letter: bytes | None = None) -> Answer:
        """Why mail does not do what it should. Raises ConfigError, Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy(f"{AT_ONCE} looks are under way; try again in some seconds")
        try:
            return await self.answered(slug, message, address, letter)
        finally:
            self._places.release()

    def mail(self, source: ReadAt) -> MailReport:
        """Blocking. Take a received mail apart. Raises MimeError, Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy(f"{AT_ONCE} looks are under way; try again in some seconds")
        try:
            return self.judge_mail(source)
        finally:
            self._places.release()

    def kept(self) -> dict[str, tuple[KeptLook, dict[str, Any]]]:
        """Blocking. The last look at each of our domains, with its report as JSON has it."""
        ours = self.ours()
        return {
            name: (look, json.loads(look.body)) for name, look in self.diagnoses.looks().items() if name in ours and name != INSTALLATION
        }

    async def rounds(self, every: timedelta) -> None:
        """Look at our domains whose last look is so long ago, and tell what has changed."""
        ours = sorted(self.ours())
        await asyncio.to_thread(self.diagnoses.only, [*ours, INSTALLATION])
        before = await asyncio.to_thread(self.diagnoses.looks)
        for domain in ours:
            known = before.get(domain)
            if known is None or self.clock() - known.at >= every:
                try:
                    await self._round(domain, known)
                except ConfigError as problem:  # no name of the DNS: nothing to look at there, and the others wait for it
                    events.doctor_unread(domain, str(problem))

    async def _round(self, domain: str, known: KeptLook | None) -> None:
        report = await self.look_at(domain, ())
        if unread := _unread(report):
            events.doctor_unread(domain, ", ".join(unread))
            return  # asked again with the next round
        if known is None:
            await asyncio.to_thread(self.diagnoses.keep, _kept(report))
            return
        old = json.loads(known.body)
        new, gone = changes({each["code"]: each["title"] for each in old["findings"]}, report)
        told = _told(domain, new, gone)
        if told:
            events.doctor_changed(domain, new=len(new), gone=len(gone), harmful=report.harmful)
        data = {"domain": domain, "new": "\n".join(new), "gone": "\n".join(gone), "harmful": "yes" if report.harmful else ""}
        await asyncio.to_thread(self.diagnoses.keep, _kept(report), told=told, data=data)


def _unread(report: Report) -> list[str]:
    """What the name server should have told."""
    return [each.area for each in report.checks if each.verdict is Verdict.UNCHECKED and each.area in BASE]


def _kept(report: Report) -> KeptLook:
    return KeptLook(report.domain, report.at, json.dumps(report_body(report)))


def _told(domain: str, new: Sequence[str], gone: Sequence[str]) -> str:
    """Empty if nothing has changed."""
    parts = [f"New: {each}" for each in new] + [f"No longer: {each}" for each in gone]
    return f"{domain}: {'; '.join(parts)}" if parts else ""
