"""The smarthost transport against a server that we did not write."""

from __future__ import annotations

import asyncio

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from mailroom_core.model import Failed, Sent
from tests.contract.smtp_server import SmtpServer
from tests.contract.transports.jobs import RAW, job, remember
from tests.contract.transports.smarthosts import smarthost_to

pytestmark = pytest.mark.anyio


class Inbox:
    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes]] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address.startswith("bad@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 2.0.0 taken"


async def test_aiosmtpd_takes_mail_after_mail_over_one_connection() -> None:
    inbox = Inbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox, hostname="test"), "127.0.0.1", 0)
    async with server, smarthost_to(SmtpServer(), port=server.sockets[0].getsockname()[1]) as smarthost:
        for _ in range(3):
            asked = job("good@example.net", "bad@example.net")
            outcomes = await smarthost.attempt(asked, remember)
            assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Sent, Failed]
    assert inbox.taken == [("mary@example.com", ["good@example.net"], RAW)] * 3
