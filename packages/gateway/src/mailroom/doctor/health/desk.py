"""Looks at the installation for whoever asks, and every day by itself; what has changed since is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Semaphore
from typing import Any

from mailroom.doctor.findings import Verdict
from mailroom.doctor.health.looking import Examination, Examined, Health, Subject, examined
from mailroom.doctor.health.send_as import SendAs
from mailroom.doctor.health.shapes import health_body
from mailroom.observe import events
from mailroom.ports import Clock, Diagnoses, KeptLook
from mailroom_core.errors import MailroomError

AT_ONCE = 2
"""Looks at the whole installation that somebody has asked for: each asks every provider."""
NAME = "installation"
"""Under which its last look is kept, beside those at domains, which have a dot."""
MANY = 20
"""Findings that one message names."""

Key = tuple[str, str, str]
"""Kind and name of an object, and the code of a finding."""


class Busy(MailroomError):
    """Too many look at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthDesk:
    """Made by `wiring`."""

    examinations: Callable[[], Sequence[Examination]]
    """Of everything that there is now. Blocking."""
    ask: Callable[[str, str], Awaitable[SendAs]]
    """May we send as this address, handed in by this application (empty: by any)? Raises ConfigError."""
    diagnoses: Diagnoses
    clock: Clock
    _places: Semaphore = field(default_factory=lambda: Semaphore(AT_ONCE))

    async def look(self) -> AsyncIterator[Examined | Health]:
        """Each object as soon as it is done, and at the end the whole, which is kept. Raises Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy(f"{AT_ONCE} looks at the installation are under way; try again in half a minute")
        try:
            async for each in self._look():
                if isinstance(each, Health):
                    await asyncio.to_thread(self._keep, each)
                yield each
        finally:
            self._places.release()

    async def whole(self) -> Health:
        """For who does not watch. Raises Busy."""
        found: Health | None = None
        async for each in self.look():
            found = each if isinstance(each, Health) else None
        assert found is not None, "a look ends with the whole"
        return found

    async def send_as(self, address: str, application: str = "") -> SendAs:
        """Raises ConfigError, Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy("others are asking the providers just now; try again in half a minute")
        try:
            return await self.ask(address, application)
        finally:
            self._places.release()

    def last(self) -> dict[str, Any] | None:
        """The last look, as JSON has it. Blocking."""
        known = self._last()
        return None if known is None else {name: value for name, value in known.items() if name != "before"}

    def _last(self) -> dict[str, Any] | None:
        kept = self.diagnoses.looks().get(NAME)
        return json.loads(kept.body) if kept else None

    async def rounds(self, every: timedelta) -> None:
        """Look if the last look is so long ago, and tell what has changed."""
        known = (await asyncio.to_thread(self.diagnoses.looks)).get(NAME)
        if known is not None and self.clock() - known.at < every:
            return
        async for each in self._look():
            if isinstance(each, Health):
                await asyncio.to_thread(self._told, each, json.loads(known.body) if known else None)

    async def _look(self) -> AsyncIterator[Examined | Health]:
        began, now = time.monotonic(), self.clock()
        wanted = await asyncio.to_thread(self.examinations)
        found: dict[Subject, Examined] = {}
        async for each in examined(wanted):
            found[each.subject] = each
            yield each
        yield Health(now, timedelta(seconds=time.monotonic() - began), tuple(found[each.subject] for each in wanted))

    def _keep(self, health: Health) -> None:
        self.diagnoses.keep(self._kept(health, _titles(self._last() or {})))

    def _kept(self, health: Health, before: Mapping[Key, str]) -> KeptLook:
        """With what was known of objects that can't be looked at now: nothing says that it is gone."""
        unseen = {each.subject for each in health.examined if each.look.check.verdict is Verdict.UNCHECKED}
        still = [{"kind": k, "name": n, "code": c, "title": title} for (k, n, c), title in before.items() if Subject(k, n) in unseen]
        return KeptLook(NAME, health.at, json.dumps({**health_body(health), "before": still}))

    def _told(self, health: Health, old: Mapping[str, Any] | None) -> None:
        """Blocking."""
        before = _titles(old or {})
        kept = self._kept(health, before)
        if old is None:
            self.diagnoses.keep(kept)
            return
        now = _titles(json.loads(kept.body))
        new = [f"{_whose(key)}{title}" for key, title in now.items() if key not in before][:MANY]
        gone = [f"{_whose(key)}{title}" for key, title in before.items() if key not in now][:MANY]
        text = "; ".join((*(f"New: {each}" for each in new), *(f"No longer: {each}" for each in gone)))
        if text:
            events.doctor_changed(NAME, new=len(new), gone=len(gone), harmful=health.harmful)
        data = {"domain": "", "new": "\n".join(new), "gone": "\n".join(gone), "harmful": "yes" if health.harmful else ""}
        self.diagnoses.keep(kept, told=f"This installation: {text}" if text else "", data=data)


def _titles(body: Mapping[str, Any]) -> dict[Key, str]:
    rows = [*body.get("findings", ()), *body.get("before", ())]
    return {(each["kind"], each["name"], each["code"]): each["title"] for each in rows}


def _whose(key: Key) -> str:
    return "" if key[0] == NAME else f"{Subject(key[0], key[1])}: "
