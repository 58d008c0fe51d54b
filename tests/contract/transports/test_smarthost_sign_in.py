"""AUTH with password and token, and what a refusal means."""

from __future__ import annotations

import base64

import pytest

from mailroom_core.errors import VaultError
from mailroom_core.model import Deferred, Held, Sent
from tests.contract.smtp_server import Script, SmtpServer, Steps
from tests.contract.transports.jobs import job, remember
from tests.contract.transports.smarthosts import one, smarthost_to

pytestmark = pytest.mark.anyio

PASSWORD = "canary-4711"
PLAIN = base64.b64encode(b"\0joe\0canary-4711").decode()


async def password() -> str:
    return PASSWORD


class Tokens:
    """Gives a new token whenever one was refused."""

    def __init__(self) -> None:
        self.given = ["token-1"]

    async def __call__(self, refused: str) -> str:
        if refused == self.given[-1]:
            self.given.append(f"token-{len(self.given) + 1}")
        return self.given[-1]


def bearer(token: str) -> str:
    return base64.b64encode(f"user=joe@example.com\x01auth=Bearer {token}\x01\x01".encode()).decode()


def plain(answer: bytes) -> Script:
    return Script(offered=("AUTH PLAIN LOGIN",), auth={"PLAIN": answer})


def xoauth2(*steps: Steps) -> Script:
    return Script(offered=("AUTH XOAUTH2",), auth=dict(zip("abc", steps, strict=False)))


async def test_plain_is_preferred() -> None:
    async with SmtpServer(plain(b"235 2.7.0 welcome\r\n")) as server, smarthost_to(server, user="joe", password=password) as smarthost:
        assert isinstance(await one(smarthost), Sent)
    assert f"AUTH PLAIN {PLAIN}" in server.commands


async def test_login_is_used_where_nothing_else_is_offered() -> None:
    script = Script(offered=("AUTH LOGIN",), auth={"user": b"334 UGFzc3dvcmQ6\r\n", "password": b"235 2.7.0 welcome\r\n"})
    async with SmtpServer(script) as server, smarthost_to(server, user="joe", password=password) as smarthost:
        assert isinstance(await one(smarthost), Sent)
    assert server.commands[1:3] == ["AUTH LOGIN am9l", base64.b64encode(PASSWORD.encode()).decode()]


async def test_xoauth2_goes_in_two_steps_because_tokens_are_long() -> None:
    script = xoauth2(b"334 \r\n", b"235 2.7.0 Accepted\r\n")
    async with SmtpServer(script) as server, smarthost_to(server, mailbox="joe@example.com", token=Tokens()) as smarthost:
        assert isinstance(await one(smarthost), Sent)
    assert server.commands[1:3] == ["AUTH XOAUTH2", bearer("token-1")]


GOOGLE_SAYS_NO = (b"334 \r\n", b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", b"535 5.7.8 Username and Password not accepted\r\n")
MICROSOFT_SAYS_NO = (b"334 \r\n", b"535 5.7.3 Authentication unsuccessful\r\n")


@pytest.mark.parametrize("no", [GOOGLE_SAYS_NO, MICROSOFT_SAYS_NO], ids=["google", "microsoft"])
async def test_a_refused_token_is_replaced_once(no: tuple[bytes, ...]) -> None:
    tokens = Tokens()
    scripts = xoauth2(*no), xoauth2(b"334 \r\n", b"235 2.7.0 Accepted\r\n")
    async with SmtpServer(*scripts) as server, smarthost_to(server, mailbox="joe@example.com", token=tokens) as smarthost:
        assert isinstance(await one(smarthost), Sent)
    assert tokens.given == ["token-1", "token-2"]
    assert bearer("token-2") in server.commands


@pytest.mark.parametrize("no", [GOOGLE_SAYS_NO, MICROSOFT_SAYS_NO], ids=["google", "microsoft"])
async def test_a_token_that_stays_refused_holds_the_lane(no: tuple[bytes, ...]) -> None:
    async with SmtpServer(xoauth2(*no)) as server, smarthost_to(server, mailbox="joe@example.com", token=Tokens()) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Held)
    assert outcome.lane
    assert outcome.reply.code == 535
    assert "What to do" in outcome.reply.text
    assert server.connections == 2


@pytest.mark.parametrize("echo", [PLAIN.encode(), PASSWORD.encode(), base64.b64encode(PASSWORD.encode())])
async def test_a_refused_password_holds_the_lane_and_is_never_repeated(echo: bytes) -> None:
    script = plain(b"535 5.7.8 I don't like " + echo + b"\r\n")
    async with SmtpServer(script) as server, smarthost_to(server, user="joe", password=password) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Held)
    assert outcome.lane
    assert "[hidden]" in outcome.reply.text
    assert echo.decode() not in outcome.reply.text
    assert server.connections == 1


async def test_a_server_that_can_not_check_passwords_now_defers_the_lane() -> None:
    script = plain(b"454 4.7.0 Temporary authentication failure\r\n")
    async with SmtpServer(script) as server, smarthost_to(server, user="joe", password=password) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Deferred)
    assert outcome.lane


async def test_a_server_that_offers_no_way_to_sign_in_gets_neither_password_nor_mail() -> None:
    async with SmtpServer() as server, smarthost_to(server, user="joe", password=password) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Deferred)
    assert outcome.lane
    assert not any(command.startswith(("AUTH", "MAIL")) for command in server.commands)


async def test_without_its_secret_no_connection_is_made() -> None:
    async def gone() -> str:
        raise VaultError("the secret 'server:relay' is missing; enter the password again")

    async with SmtpServer() as server, smarthost_to(server, user="joe", password=gone) as smarthost:
        with pytest.raises(VaultError, match="enter the password again"):
            await smarthost.attempt(job(), remember)
    assert server.connections == 0
