"""The doctor for an Odoo: looks over its API, mends what it found, and takes that back.

What was mended is kept (`odoo_changes`) under `odoo-mended:` and the destination's name, apart from what the setup has done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from mailroom.doctor.odoo.findings import Here, OdooReport
from mailroom.doctor.odoo.report import judge
from mailroom.objects import GraphInbox, OdooTarget
from mailroom.vault.vault import nothing
from mailroom.wiring.odoo_changes import OUR_SERVER, Changes, Done, session_of, target_of, undone
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.errors import ConfigError
from mailroom_core.flow import arun
from mailroom_core.providers.odoo.setup import carried_out
from mailroom_core.providers.odoo.survey import surveyed


@dataclass(frozen=True, slots=True)
class OdooDoctor:
    """See `doctor.desk.OdooLooks`."""

    parts: Parts

    def names(self) -> list[str]:
        """Destinations that are an Odoo."""
        return sorted(name for name, each in self.parts.directory().destinations.items() if isinstance(each.target, OdooTarget))

    async def look(self, name: str) -> OdooReport:
        target = target_of(self.parts, name)
        async with session_of(self.parts, name) as (session, http):
            survey = await arun(surveyed(session, utc_now()), http, nothing)
        return judge(survey, self._here(name), target.url)

    async def mended(self, name: str, codes: Collection[str], *, by: str) -> AsyncIterator[str]:
        """Looks once more, and makes the changes of these findings; of all that have some if there is no code."""
        report = await self.look(name)
        unknown = sorted(set(codes) - report.changes.keys())
        if unknown:
            raise ConfigError(f"nothing in Odoo mends {', '.join(unknown)}; what can be mended: {', '.join(report.changes) or 'nothing'}")
        changes = [each for code, these in report.changes.items() if not codes or code in codes for each in these]
        async with session_of(self.parts, name) as (session, http):
            for change in changes:
                await arun(carried_out(session, change), http, nothing)
                said = f"{change.title}: {'; '.join(change.lines())}"
                await asyncio.to_thread(self._changes(name).note, Done(change, 0))
                await asyncio.to_thread(self._audit, by, "mend in Odoo", name, said)
                yield said

    async def taken_back(self, name: str, *, by: str) -> AsyncIterator[str]:
        target_of(self.parts, name)
        changes = self._changes(name)
        if not await asyncio.to_thread(changes.noted):
            raise ConfigError(f"nothing was mended in {name!r} from here: there is nothing to take back")
        async for said in undone(self.parts, name, changes):
            await asyncio.to_thread(self._audit, by, "take back in Odoo", name, said)
            yield said

    def was_mended(self, name: str) -> bool:
        return bool(self._changes(name).noted())

    def _changes(self, name: str) -> Changes:
        return Changes(self.parts.vault, f"odoo-mended:{name}")

    def _audit(self, by: str, what: str, name: str, after: str) -> None:
        self.parts.store.audit(by=by, what=what, kind="destination", name=name, after=after)

    def _here(self, name: str) -> Here:
        directory = self.parts.directory()
        mailboxes = set()
        for each in directory.incoming.values():
            if each.active:
                source = each.source
                account = directory.accounts.get(source.account) if source.account else None
                known = source.mailbox if isinstance(source, GraphInbox) else source.user
                mailboxes.add((known or (account.mailbox if account else "")).lower())
        return Here(
            destination=name,
            server=OUR_SERVER,
            user=f"odoo-{name}",
            domains=directory.alias_domains,
            mailboxes=frozenset(mailboxes - {""}),
        )
