"""An Odoo: each mail goes into `message_process`, or to the add-on, and either knows what it has already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta

from mailroom.ports import Job, Remember, Store
from mailroom.transports.handed import Handed, handed
from mailroom.transports.ways import ODOO, not_ours, way_of
from mailroom_core.errors import StoreError
from mailroom_core.flow import AsyncHttp, Note, arun
from mailroom_core.mime.source import Streamed
from mailroom_core.model import Deferred, DeliveryId, Outcome, Reply, show_id
from mailroom_core.providers.odoo.handing import hand_over
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.pushing import push
from mailroom_core.providers.odoo.wire import Values, json_mail

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
            values = self._values(job.recipients.values())
            mail, body = await asyncio.to_thread(self._prepared, job, login, values)
        except StoreError as problem:
            return dict.fromkeys(job.recipients, Deferred(Reply(0, f"the gateway's database is in trouble ({problem}); it is tried again")))
        if self._add_on:
            flow = push(login, mail.mail, mail.recipients, show_id(job.message.id), values)
        else:
            flow = hand_over(login, mail.mail, body, values)
        outcome = await arun(flow, self._http, _nothing)
        return dict.fromkeys(job.recipients, outcome)

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        again = Deferred(Reply(0, "handed over again: Odoo knows whether it has it"), retry_after=timedelta())
        return dict.fromkeys(job.recipients, again if way_of(job) == ODOO else not_ours(job))

    async def close(self) -> None: ...

    def _prepared(self, job: Job, login: Login, values: Values) -> tuple[Handed, Streamed | None]:
        mail = handed(job, self._store)
        return mail, json_mail(login, mail.mail, values) if login.json2 and not self._add_on else None


async def _nothing(note: Note) -> None:
    raise AssertionError(f"handing over has nothing to remember, but noted {sorted(note.facts)}")
