"""Connections that are kept, go stale, are refused or break, and answers that make no sense."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.transports.smtp_dialogue import Timeouts
from mailroom_core.model import Deferred, Failed, Reply, Sent, Unknown
from tests.contract.smtp_server import OFFERED, Act, Script, SmtpServer, Steps
from tests.contract.transports.jobs import job, remember
from tests.contract.transports.smarthosts import one, send, send_to, smarthost_to
from tests.contract.transports.sources import LargeMail, LostMail

pytestmark = pytest.mark.anyio

MiB = 1024 * 1024


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


# ---- kept connections


@pytest.mark.parametrize(
    "after",
    [Act.HANG_UP, Act.RESET, (b"421 4.4.2 idle for too long\r\n", Act.HANG_UP), b"421 4.4.2 idle for too long\r\n"],
    ids=["hung up", "reset", "421 and hung up", "421"],
)
async def test_a_connection_that_ended_while_idle_is_replaced(after: Steps) -> None:
    async with SmtpServer(Script({"AFTER": after})) as server, smarthost_to(server) as smarthost:
        for _ in range(3):
            assert isinstance(await one(smarthost), Sent)
    assert [mail.connection for mail in server.mails] == [0, 1, 2]


@pytest.mark.parametrize("second", [Act.HANG_UP, b"421 4.7.0 enough for now\r\n", b"25"], ids=["hangs up", "421", "half a line"])
async def test_a_connection_that_ends_at_the_next_mail_is_replaced_once(second: Steps) -> None:
    ending = second if second != b"25" else (b"25", Act.HANG_UP)
    stale = Script({"MAIL": [b"250 2.1.0 Ok\r\n", ending]})
    async with SmtpServer(stale) as server, smarthost_to(server) as smarthost:
        assert isinstance(await one(smarthost), Sent)
        assert isinstance(await one(smarthost), Sent)
    assert server.connections == 2


async def test_a_new_connection_that_ends_at_once_is_an_outcome() -> None:
    async with SmtpServer(Script({"MAIL": Act.HANG_UP})) as server, smarthost_to(server) as smarthost:
        assert isinstance(await one(smarthost), Deferred)
    assert server.connections == 1


async def test_a_connection_that_ends_after_a_yes_to_the_sender_is_an_outcome() -> None:
    second = Script({"RCPT": [b"250 2.1.5 Ok\r\n", Act.HANG_UP]}, offered=())
    async with SmtpServer(second) as server, smarthost_to(server) as smarthost:
        assert isinstance(await one(smarthost), Sent)
        assert isinstance(await one(smarthost), Deferred)
    assert server.connections == 1


async def test_a_connection_is_closed_with_a_goodbye_when_it_is_idle() -> None:
    async with SmtpServer() as server, smarthost_to(server, idle=0.01) as smarthost:
        assert isinstance(await one(smarthost), Sent)
        await until(lambda: "QUIT" in server.commands)
        assert isinstance(await one(smarthost), Sent)
    assert server.connections == 2


async def test_a_connection_carries_so_many_mails_and_no_more() -> None:
    async with SmtpServer() as server, smarthost_to(server, mails_per_connection=2) as smarthost:
        for _ in range(5):
            await one(smarthost)
    assert [mail.connection for mail in server.mails] == [0, 0, 1, 1, 2]


async def test_no_more_connections_are_opened_than_the_route_allows() -> None:
    async with SmtpServer() as server, smarthost_to(server, connections=3) as smarthost:
        outcomes = await asyncio.gather(*(one(smarthost) for _ in range(20)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert server.connections == 3


async def test_a_mail_that_finds_no_free_connection_in_its_time_waits() -> None:
    async with SmtpServer(Script({".": Act.SILENCE})) as server, smarthost_to(server, connections=1) as smarthost:
        hanging = asyncio.create_task(one(smarthost))
        await until(lambda: "DATA" in server.commands)
        outcome = await one(smarthost, time_limit=timedelta(seconds=0.1))
        hanging.cancel()
    assert isinstance(outcome, Deferred)
    assert "busy" in outcome.reply.text


async def test_a_cancelled_attempt_leaves_its_place_to_others() -> None:
    async with SmtpServer(Script({"DATA": Act.SILENCE}), Script()) as server, smarthost_to(server, connections=1) as smarthost:
        hanging = asyncio.create_task(one(smarthost))
        await until(lambda: "DATA" in server.commands)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert isinstance(await one(smarthost), Sent)
    assert server.connections == 2


async def test_closing_lets_a_mail_that_is_under_way_end() -> None:
    async with SmtpServer() as server, smarthost_to(server) as smarthost:
        sending = asyncio.create_task(one(smarthost, source=LargeMail(16 * MiB)))
        await until(lambda: server.content_bytes > 0)
        await smarthost.close()
        assert isinstance(await sending, Sent)
        await until(lambda: "QUIT" in server.commands)
    (mail,) = server.mails
    assert b"QUIT" not in mail.content


async def test_the_attempts_own_deadline_ends_it_with_an_outcome() -> None:
    async with SmtpServer(Script({".": Act.SILENCE})) as server, smarthost_to(server) as smarthost:
        outcome = await one(smarthost, time_limit=timedelta(seconds=0.2))
    assert isinstance(outcome, Unknown)
    assert "too long" in outcome.why


async def test_an_unreachable_server_defers_the_lane_but_not_while_other_connections_stand() -> None:
    busy = Script({"GREETING": b"421 4.3.2 too many connections\r\n"})
    async with SmtpServer(Script(), busy) as server, smarthost_to(server) as smarthost:
        first, second = await asyncio.gather(one(smarthost), one(smarthost))
    assert isinstance(first, Sent)
    assert second == Deferred(Reply(421, "too many connections", "4.3.2"))
    async with SmtpServer(busy) as server, smarthost_to(server) as smarthost:
        assert await one(smarthost) == Deferred(Reply(421, "too many connections", "4.3.2"), lane=True)


# ---- 421, early and late answers


@pytest.mark.parametrize("command", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize("offered", [OFFERED, ()], ids=["pipelining", "one by one"])
async def test_421_means_later_wherever_it_comes(command: str, offered: tuple[str, ...]) -> None:
    outcomes = await send_to(Script({command: b"421 4.3.2 going down\r\n"}, offered=offered), "a@example.net", "b@example.net")
    assert [type(outcome) for outcome in outcomes] == [Deferred, Deferred]
    assert all("going down" in str(outcome) for outcome in outcomes)


async def test_a_421_after_a_refused_recipient_leaves_that_refusal() -> None:
    script = Script({"RCPT TO:<bad": b"550 5.1.1 no\r\n", "RCPT TO:<late": (b"421 4.3.2 going down\r\n", Act.HANG_UP)})
    good, bad, late = await send_to(script, "good@example.net", "bad@example.net", "late@example.net")
    assert isinstance(good, Deferred)
    assert isinstance(bad, Failed)
    assert isinstance(late, Deferred)


async def test_a_refusal_in_the_middle_of_the_mail_counts() -> None:
    script = Script({"BODY": (b"552 5.3.4 too big for us\r\n", Act.SILENCE)})
    (outcome,) = await send_to(script, source=LargeMail(16 * MiB))
    assert isinstance(outcome, Failed)
    assert outcome.reply.enhanced == "5.3.4"


@pytest.mark.parametrize("size", [1000, 16 * MiB])
async def test_a_yes_before_the_mail_was_sent_is_no_yes(size: int) -> None:
    script = Script({"DATA": (b"354 go on\r\n250 2.0.0 thank you\r\n", Act.SILENCE)})
    (outcome,) = await send_to(script, source=LargeMail(size))
    assert isinstance(outcome, Deferred)


async def test_a_mail_without_recipients_is_never_given_its_content() -> None:
    script = Script({"RCPT": b"550 5.1.1 no\r\n", "DATA": b"354 go on\r\n"})
    async with SmtpServer(script, Script()) as server, smarthost_to(server) as smarthost:
        assert isinstance(await one(smarthost), Failed)
        assert isinstance(await one(smarthost), Sent)
    assert len(server.mails) == 1
    assert server.connections == 2


# ---- answers of every shape


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"250 2.0.0 Ok\r\n", Reply(250, "Ok", "2.0.0")),
        (b"250\r\n", Reply(250, "")),
        (b"250 \r\n", Reply(250, "")),
        (b"250 Ok\n", Reply(250, "Ok")),
        (b"299 Fine\r\n", Reply(299, "Fine")),
        (b"250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three\r\n", Reply(250, "one two three", "2.0.0")),
        (b"250-one\r\n250\r\n", Reply(250, "one")),
        (b"250 5.1.1 Ok?\r\n", Reply(250, "5.1.1 Ok?")),
        (b"250 2.0.0 tab\tbell\x07 and \xe2\x80\xa8 lines \xff\r\n", Reply(250, "tab bell and lines \ufffd", "2.0.0")),
    ],
)
async def test_a_yes_of_any_shape_is_a_yes(answer: bytes, reply: Reply) -> None:
    assert await send_to(Script({".": answer})) == [Sent(reply)]


@pytest.mark.parametrize(
    "answer",
    [
        b"250-more to come\r\n",
        b"250-yes\r\n550 no\r\n",
        b"25O Ok\r\n",
        b"250:Ok\r\n",
        b"+OK\r\n",
        b"\r\n",
        b"150 wait\r\n",
        b"650 what\r\n",
        b"\xb2\xb5\xb0 Ok\r\n",
        b"354 more please\r\n",
        b"250 2.0",
        b"250 2.0.0 Ok\r",
        b"250 " + b"x" * 100_000,
        b"250-x\r\n" * 1000 + b"250 Ok\r\n",
    ],
)
async def test_what_is_no_complete_yes_leaves_the_mail_unknown(answer: bytes) -> None:
    (outcome,) = await send_to(Script({".": (answer, Act.HANG_UP)}))
    assert isinstance(outcome, Unknown), outcome


@pytest.mark.parametrize("command", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n", b"999 what\r\n", b"250-unfinished\r\n", b"x" * 100_000], ids=["word", "999", "more", "long"]
)
async def test_nonsense_before_the_content_means_later(command: str, answer: bytes) -> None:
    (outcome,) = await send_to(Script({command: (answer, Act.HANG_UP)}))
    assert isinstance(outcome, Deferred), outcome


async def test_a_long_answer_is_shortened() -> None:
    script = Script({".": b"".join(b"554-" + b"x" * 300 + b"\r\n" for _ in range(20)) + b"554 end\r\n"})
    (outcome,) = await send_to(script)
    assert isinstance(outcome, Failed)
    assert len(outcome.reply.text) < 500


# ---- large mails


async def test_a_large_mail_arrives_byte_for_byte() -> None:
    mail = LargeMail(3 * MiB + 17)
    async with SmtpServer() as server:
        (outcome,) = await send(server, source=mail)
    assert isinstance(outcome, Sent)
    # What ends without CRLF gets one (RFC 5321 4.1.1.4).
    assert server.mails[0].content.removesuffix(b"\r\n") == mail.read_at(0, mail.size).removesuffix(b"\r\n")


async def test_the_largest_mail_passes_in_constant_memory() -> None:
    async with SmtpServer(keep=False) as server:
        tracemalloc.start()
        try:
            (outcome,) = await send(server, source=LargeMail(150 * MiB))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(outcome, Sent)
    assert server.content_bytes > 150 * MiB
    assert peak < 8 * MiB


async def test_a_server_that_stops_reading_ends_the_attempt_before_its_end() -> None:
    timeouts = Timeouts(piece=timedelta(seconds=0.2))
    async with (
        SmtpServer(Script({"DATA": (b"354 go on\r\n", Act.STOP_READING)})) as server,
        smarthost_to(server, timeouts=timeouts) as smarthost,
    ):
        (outcome,) = (await smarthost.attempt(job(source=LargeMail(64 * MiB)), remember)).values()
    assert isinstance(outcome, Deferred)


@pytest.mark.parametrize(
    "source", [LargeMail(1000, promised=2000), LargeMail(MiB, promised=2 * MiB), LostMail()], ids=["short", "large", "lost"]
)
async def test_a_mail_whose_stored_bytes_are_gone_is_never_sent_in_part(source: LargeMail | LostMail) -> None:
    async with SmtpServer() as server:
        (outcome,) = await send(server, source=source)
    assert isinstance(outcome, Deferred)
    assert "disk" in outcome.reply.text
    assert not server.mails


# ---- any server at all

LINES = (
    b"250 Ok\r\n",
    b"250-a\r\n250 b\r\n",
    b"354 go on\r\n",
    b"421 bye\r\n",
    b"450 4.2.0 later\r\n",
    b"550 5.1.1 never\r\n",
    b"503 what\r\n",
)
BROKEN = (b"", b"25", b"250-a\r\n", b"nonsense\r\n", b"999 x\r\n")
answer = st.one_of(
    st.sampled_from(LINES),
    st.sampled_from(LINES).map(lambda line: (line, Act.HANG_UP)),
    st.sampled_from(LINES).map(lambda line: (line, line, Act.HANG_UP)),
    st.sampled_from(BROKEN).map(lambda rest: (rest, Act.RESET)),
    st.sampled_from(BROKEN).map(lambda rest: (rest, Act.HANG_UP)),
)
KEYS = ("GREETING", "EHLO", "MAIL", "RCPT TO:<a@", "RCPT TO:<b@", "DATA", ".", "RSET", "AFTER")
scripts = st.builds(
    Script, st.dictionaries(st.sampled_from(KEYS), st.lists(answer, min_size=1, max_size=2), max_size=4), st.sampled_from([OFFERED, ()])
)


@settings(max_examples=150, deadline=None)
@given(st.lists(scripts, min_size=1, max_size=2))
async def test_whatever_a_server_answers_each_recipient_gets_an_outcome_and_sent_is_true(servers: list[Script]) -> None:
    timeouts = Timeouts(connect=timedelta(seconds=0.2), command=timedelta(seconds=0.1), end=timedelta(seconds=0.1))
    async with SmtpServer(*servers) as server, smarthost_to(server, timeouts=timeouts, connections=1) as smarthost:
        for sender in ("one@example.com", "two@example.com"):
            asked = job("a@example.net", "b@example.net", sender=sender)
            outcomes = await smarthost.attempt(asked, remember)
            assert set(outcomes) == set(asked.recipients)
            taken = [mail.recipients for mail in server.mails if sender in mail.mail_from]
            for delivery, recipient in asked.recipients.items():
                if isinstance(outcomes[delivery], Sent):
                    assert [recipients.count(recipient) for recipients in taken] == [1]
                elif not isinstance(outcomes[delivery], Unknown):
                    assert not any(recipient in recipients for recipients in taken)
