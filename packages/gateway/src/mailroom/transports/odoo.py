"""An Odoo: each mail goes into `message_process`, or to the add-on, and either knows what it has already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mailroom.ports import Job, Remember, Store
from mailroom.transports.handed import Handed, handed
from mailroom.transports.reported import reports
from mailroom.transports.ways import ODOO, not_ours, way_of
from mailroom_core.errors import StoreError
from mailroom_core.flow import AsyncHttp, Note, arun
from mailroom_core.mime.source import Streamed
from mailroom_core.model import Deferred, DeliveryId, Outcome, Reply, show_id
from mailroom_core.providers.odoo.handing import hand_over
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.pushing import push
from mailroom_core.providers.odoo.wire import NO_VALUES, Values, json_mail

ValuesOf = Callable[[Iterable[str]], Values]
"""The default values of the aliases that were written to."""


class OdooTransport:
    """One Odoo. `login` raises VaultError without a key; `http` sends requests without a token; with `add_on`, the login's key is its."""

    def __init__(
        self, login: Callable[[], Awaitable[Login]], http: AsyncHttp, store: Store, values: ValuesOf, *, add_on: bool = False
    ) -> None:
        self._login = login
        self._http = http
        self._store = store
        self._values = values
        self._add_on = add_on

    @property
    def way(self) -> str:
        return ODOO

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        login = await self._login()
        try:
            asked = await asyncio.to_thread(self._prepared, job, login)
        except StoreError as problem:
            return dict.fromkeys(job.recipients, Deferred(Reply(0, f"the gateway's database is in trouble ({problem}); it is tried again")))
        outcomes: dict[DeliveryId, Outcome] = {}
        for each in asked:
            flow = (
                push(login, each.mail.mail, each.mail.recipients, each.name, each.values)
                if self._add_on
                else hand_over(login, each.mail.mail, each.body, each.values)
            )
            outcomes |= dict.fromkeys(each.deliveries, await arun(flow, self._http, _nothing))
        return outcomes

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "handed over again: Odoo knows whether it has it"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == ODOO else not_ours(job))

    async def close(self) -> None: ...

    def _prepared(self, job: Job, login: Login) -> list[_Asked]:
        """One mail for all; of what did not arrive a report for each who was not reached, because a stock Odoo reads one in each."""
        if told := reports(job, self._store):
            return [self._asked((delivery,), show_id(delivery), mail, NO_VALUES, login) for delivery, mail in told.items()]
        values = self._values(job.recipients.values())
        return [self._asked(tuple(job.recipients), show_id(job.message.id), handed(job, self._store), values, login)]

    def _asked(self, deliveries: tuple[DeliveryId, ...], name: str, mail: Handed, values: Values, login: Login) -> _Asked:
        body = json_mail(login, mail.mail, values) if login.json2 and not self._add_on else None
        return _Asked(deliveries, name, mail, values, body)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call. `name` is the mail's for the add-on, `body` that of JSON-2."""

    deliveries: tuple[DeliveryId, ...]
    name: str
    mail: Handed
    values: Values
    body: Streamed | None


async def _nothing(note: Note) -> None:
    raise AssertionError(f"handing over has nothing to remember, but noted {sorted(note.facts)}")
