"""The smarthost transport against a scripted server: one mail, many mails, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from email import message_from_bytes
from email.policy import SMTP

import pytest

from mailroom_core.model import Deferred, DeliveryId, Failed, Reply, Sent
from tests.contract.smtp_server import Act, Script, SmtpServer
from tests.contract.transports.jobs import RAW, job, remember
from tests.contract.transports.smarthosts import send, smarthost_to

pytestmark = pytest.mark.anyio


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


async def test_addresses_beyond_ascii_need_a_server_that_takes_them() -> None:
    async with SmtpServer() as server:
        (outcome,) = await send(server, "jörg@example.net")
    assert isinstance(outcome, Sent)
    assert server.mails[0].mail_from.endswith(" SMTPUTF8")
    async with SmtpServer(Script(offered=("PIPELINING",))) as server:
        joerg, joe = await send(server, "jörg@example.net", "joe@example.net")
    assert isinstance(joerg, Failed)
    assert joerg.reply.enhanced == "5.6.7"
    assert not joerg.bad_address
    assert isinstance(joe, Sent)
    assert server.mails[0].recipients == ["joe@example.net"]


@pytest.mark.parametrize(
    "address", ["a@example.net>\r\nRCPT TO:<b@example.net", "a@example.net> SIZE=1 <b", "a b@example.net", "", "a@\x00"]
)
async def test_an_address_that_would_break_the_command_is_never_sent(address: str) -> None:
    async with SmtpServer() as server:
        bad, good = await send(server, address, "joe@example.net")
    assert isinstance(bad, Failed)
    assert bad.bad_address
    assert isinstance(good, Sent)
    assert server.mails[0].recipients == ["joe@example.net"]


@pytest.mark.parametrize("address", ['"a b>c"@example.net', "postmaster", "a+b=c@[192.0.2.1]", "o'neill@example.net"])
async def test_an_unusual_address_is_sent_as_it_is(address: str) -> None:
    async with SmtpServer() as server:
        (outcome,) = await send(server, address)
    assert isinstance(outcome, Sent)
    assert server.mails[0].recipients == [address]


async def test_a_server_without_ehlo_is_greeted_with_helo() -> None:
    async with SmtpServer(Script({"EHLO": b"502 5.5.1 what?\r\n"})) as server:
        (outcome,) = await send(server)
    assert isinstance(outcome, Sent)
    assert "HELO gateway.example.com" in server.commands
    assert server.mails[0].mail_from == "MAIL FROM:<mary@example.com>"


async def test_a_lost_answer_means_a_second_try_that_says_what_may_happen() -> None:
    async with SmtpServer() as server, smarthost_to(server) as smarthost:
        (outcome,) = (await smarthost.resolve(job(facts={"way": "smarthost"}), remember)).values()
    assert isinstance(outcome, Deferred)
    assert "may arrive twice" in outcome.reply.text
    assert server.connections == 0


EIGHT_BIT = (
    "From: Mary <mary@example.com>\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"
).encode()


async def test_a_server_without_8bitmime_gets_seven_bits_that_mean_the_same() -> None:
    async with SmtpServer(Script(offered=("PIPELINING", "SIZE 1000000"))) as server:
        (outcome,) = await send(server, raw=EIGHT_BIT)
    assert isinstance(outcome, Sent)
    (mail,) = server.mails
    assert mail.content.isascii()
    assert "8BITMIME" not in mail.mail_from
    assert mail.mail_from.endswith(f"SIZE={len(mail.content)}")
    assert message_from_bytes(mail.content, policy=SMTP).get_content() == "Grüße\r\n"


async def test_a_signed_mail_that_would_have_to_be_converted_fails_with_the_way_out() -> None:
    signed = (
        b"From: mary@example.com\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/signed; boundary=b; micalg=sha-256; protocol="application/pgp-signature"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
        b"--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n"
    )
    async with SmtpServer(Script(offered=("PIPELINING",))) as server:
        (outcome,) = await send(server, raw=signed)
    assert isinstance(outcome, Failed)
    assert outcome.reply.enhanced == "5.6.3"
    assert "use another server" in outcome.reply.text
    assert not server.mails


@pytest.mark.parametrize("offered", [("SIZE", "8BITMIME"), ("SIZE",)])
async def test_another_from_leaves_the_rest_and_names_the_author_in_reply_to(offered: tuple[str, ...]) -> None:
    async with SmtpServer(Script(offered=offered)) as server:
        await send(server, raw=EIGHT_BIT, rewrite_from="notifications@example.com")
    arrived = message_from_bytes(server.mails[0].content, policy=SMTP)
    assert "notifications@example.com" in arrived["From"]
    assert "mary@example.com" in arrived["Reply-To"]
    assert arrived.get_content() == "Grüße\r\n"


@pytest.mark.parametrize("offered", [("SIZE", "8BITMIME"), ("SIZE",)])
@pytest.mark.parametrize("rest", [b"Hi\r\n", b"\xc3\xbc\r\n", b"a line\r\n" * 100_000])
@pytest.mark.parametrize("rewrite_from", ["", "notifications@example.com"])
async def test_no_recipient_learns_of_a_bcc(offered: tuple[str, ...], rest: bytes, rewrite_from: str) -> None:
    bcc = b"Bcc: Eve <eve@example.com>,\r\n mallory@example.com\r\nResent-Bcc: trent@example.com\r\n"
    raw, hiding = b"From: mary@example.com\r\nTo: joe@example.net\r\n\r\n" + rest, b"From: mary@example.com\r\n" + bcc
    async with SmtpServer(Script(offered=offered)) as server:
        await send(server, raw=raw, rewrite_from=rewrite_from)
        await send(server, raw=raw.replace(b"From: mary@example.com\r\n", hiding), rewrite_from=rewrite_from)
    without, with_bcc = server.mails
    assert with_bcc.content == without.content
    assert with_bcc.mail_from == without.mail_from


async def test_each_delivery_with_a_return_address_of_its_own_is_a_mail_of_its_own_and_each_yes_is_remembered() -> None:
    noted: dict[str, str] = {}

    async def remembered(facts: Mapping[str, str]) -> None:
        noted.update(facts)

    async with SmtpServer(Script({"RCPT TO:<gone@": b"550 5.1.1 nobody\r\n"})) as server:
        asked = job("a@example.net", "gone@example.net", "b@example.net", "c@example.net")
        async with smarthost_to(
            server, return_address=lambda message, number: f"bounce+{number}@example.com" if number < 4 else None
        ) as relay:
            outcomes = await relay.attempt(asked, remembered)
            unsure = replace(asked, attempt=replace(asked.attempt, facts={"way": "smarthost", **noted}))
            looked = await relay.resolve(unsure, remembered)
    assert [type(each) for each in outcomes.values()] == [Sent, Failed, Sent, Sent]
    assert [each.mail_from.partition("<")[2].partition(">")[0] for each in server.mails] == [
        "bounce+1@example.com",
        "bounce+3@example.com",
        "mary@example.com",
    ]
    assert [type(each) for each in looked.values()] == [Sent, Deferred, Sent, Deferred], "what nobody noted may arrive twice"


async def test_where_the_connection_ends_in_between_the_others_wait() -> None:
    async with SmtpServer(Script({"AFTER": Act.HANG_UP})) as server:
        asked = job("a@example.net", "b@example.net")
        async with smarthost_to(server, return_address=lambda message, number: f"bounce+{number}@example.com") as relay:
            outcomes = await relay.attempt(asked, remember)
    assert [type(each) for each in outcomes.values()] == [Sent, Deferred]
