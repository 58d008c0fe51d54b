"""The smarthost transport against a scripted server: one mail, many mails, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mailroom.objects import Security, SmarthostRoute
from mailroom.transports.smarthost import Smarthost
from mailroom_core.model import Deferred, DeliveryId, Failed, Held, Outcome, Reply, Sent
from tests.contract.smtp_server import Script, SmtpServer
from tests.contract.transports.jobs import RAW, job, remember

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def smarthost_to(server: SmtpServer, *, connections: int = 2, user: str = "", **more: Any) -> AsyncIterator[Smarthost]:
    route = SmarthostRoute(host="127.0.0.1", port=server.port, security=Security.NONE, connections=connections, user=user)
    smarthost = Smarthost("relay", route, helo="gateway.example.com", **more)
    try:
        yield smarthost
    finally:
        await smarthost.close()


async def send(server: SmtpServer, *recipients: str, **of_job: Any) -> list[Outcome]:
    async with smarthost_to(server) as smarthost:
        asked = job(*recipients, **of_job)
        outcomes = await smarthost.attempt(asked, remember)
    return [outcomes[delivery] for delivery in asked.recipients]


async def test_a_mail_arrives_byte_for_byte_with_its_envelope() -> None:
    async with SmtpServer() as server:
        outcomes = await send(server, "joe@example.net", "jane@example.net")
    assert outcomes == [Sent(Reply(250, "Ok: queued as 4711", "2.0.0"))] * 2
    (mail,) = server.mails
    assert mail.content == RAW
    assert mail.recipients == ["joe@example.net", "jane@example.net"]
    assert mail.mail_from == f"MAIL FROM:<mary@example.com> SIZE={len(RAW)}"


async def test_a_bounce_goes_out_with_the_null_sender() -> None:
    async with SmtpServer() as server:
        await send(server, sender=None)
    assert server.mails[0].mail_from.startswith("MAIL FROM:<> ")


async def test_one_bad_recipient_blocks_no_other() -> None:
    script = Script({"RCPT TO:<bad@": b"550 5.1.1 no such user\r\n", "RCPT TO:<full@": b"452 4.2.2 mailbox full\r\n"})
    async with SmtpServer(script) as server:
        good, bad, full = await send(server, "good@example.net", "bad@example.net", "full@example.net")
    assert isinstance(good, Sent)
    assert bad == Failed(Reply(550, "no such user", "5.1.1"), bad_address=True)
    assert full == Deferred(Reply(452, "mailbox full", "4.2.2"))
    assert server.mails[0].recipients == ["good@example.net"]


async def test_many_mails_share_one_connection() -> None:
    async with SmtpServer() as server, smarthost_to(server, connections=1) as smarthost:
        for _ in range(5):
            outcomes = await smarthost.attempt(job(), remember)
            assert isinstance(outcomes[DeliveryId(1)], Sent)
    assert len(server.mails) == 5
    assert server.connections == 1
    assert "RSET" not in server.commands


async def test_after_a_refused_mail_the_connection_carries_the_next_one() -> None:
    script = Script({"RCPT TO:<bad@": b"550 5.1.1 no such user\r\n"})
    async with SmtpServer(script) as server, smarthost_to(server, connections=1) as smarthost:
        first = await smarthost.attempt(job("bad@example.net"), remember)
        second = await smarthost.attempt(job("good@example.net"), remember)
    assert [type(outcome) for outcome in (*first.values(), *second.values())] == [Failed, Sent]
    assert server.connections == 1


async def test_without_pipelining_each_command_waits_for_its_answer() -> None:
    script = Script({"RCPT TO:<bad@": b"550 5.1.1 no such user\r\n"}, offered=("SIZE",))
    async with SmtpServer(script) as server:
        good, bad = await send(server, "good@example.net", "bad@example.net")
        (alone,) = await send(server, "bad@example.net")
    assert isinstance(good, Sent)
    assert isinstance(bad, Failed)
    assert isinstance(alone, Failed)
    assert server.mails[0].content == RAW
    assert server.commands.count("DATA") == 1


async def test_a_refused_sender_fails_all_recipients_and_blames_none() -> None:
    async with SmtpServer(Script({"MAIL": b"550 5.7.1 not you\r\n"})) as server:
        outcomes = await send(server, "a@example.net", "b@example.net")
    assert outcomes == [Failed(Reply(550, "not you", "5.7.1"))] * 2


async def test_a_mail_over_the_offered_size_is_not_sent_at_all() -> None:
    async with SmtpServer(Script(offered=("PIPELINING", "SIZE 100"))) as server:
        (outcome,) = await send(server)
    assert isinstance(outcome, Failed)
    assert (outcome.reply.code, outcome.reply.enhanced) == (552, "5.3.4")
    assert not any(command.startswith("MAIL") for command in server.commands)


async def test_an_eight_bit_mail_is_declared_as_such() -> None:
    raw = "Subject: x\r\n\r\nGrüße\r\n".encode()
    async with SmtpServer() as server:
        await send(server, raw=raw)
    assert server.mails[0].mail_from.endswith(" BODY=8BITMIME")
    assert server.mails[0].content == raw


async def test_a_refused_password_holds_the_whole_lane_and_stays_secret() -> None:
    secret = "canary-4711"

    async def password() -> str:
        return secret

    echo = b"535 5.7.8 wrong: AGpvZQBjYW5hcnktNDcxMQ== canary-4711\r\n"
    script = Script(offered=("AUTH PLAIN",), auth={"PLAIN": echo})
    async with SmtpServer(script) as server, smarthost_to(server, user="joe", password=password) as smarthost:
        (outcome,) = (await smarthost.attempt(job(), remember)).values()
    assert isinstance(outcome, Held)
    assert outcome.lane
    assert "check the user and the password" in outcome.reply.text
    assert secret not in str(outcome)
    assert "AGpvZQBjYW5hcnktNDcxMQ" not in str(outcome)
