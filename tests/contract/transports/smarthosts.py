"""A smarthost transport to a scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from mailroom.objects import Security, SmarthostRoute
from mailroom.transports.smarthost import Smarthost
from mailroom_core.model import Outcome
from tests.contract.smtp_server import Script, SmtpServer
from tests.contract.transports.jobs import job, remember

_OF_THE_ROUTE = frozenset(SmarthostRoute.__dataclass_fields__)


@asynccontextmanager
async def smarthost_to(server: SmtpServer, **settings: Any) -> AsyncIterator[Smarthost]:
    """`settings` are those of the route and those of the transport."""
    of_the_route = {key: settings.pop(key) for key in list(settings) if key in _OF_THE_ROUTE}
    plain = SmarthostRoute(host="127.0.0.1", port=server.port, security=Security.NONE, connections=2)
    smarthost = Smarthost("relay", replace(plain, **of_the_route), helo="gateway.example.com", **settings)
    try:
        yield smarthost
    finally:
        await smarthost.close()


async def send(server: SmtpServer, *recipients: str, **of_job: Any) -> list[Outcome]:
    """One mail over a connection of its own; the outcomes in the order of the recipients."""
    asked = job(*recipients, **of_job)
    async with smarthost_to(server) as smarthost:
        outcomes = await smarthost.attempt(asked, remember)
    return [outcomes[delivery] for delivery in asked.recipients]


async def send_to(script: Script, *recipients: str, **of_job: Any) -> list[Outcome]:
    async with SmtpServer(script) as server:
        return await send(server, *recipients, **of_job)


async def one(smarthost: Smarthost, **of_job: Any) -> Outcome:
    """The outcome of a mail to one recipient."""
    (outcome,) = (await smarthost.attempt(job(**of_job), remember)).values()
    return outcome
