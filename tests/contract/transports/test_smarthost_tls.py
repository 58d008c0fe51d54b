"""TLS to the next hop: verified, never silently left out."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from mailroom.objects import Security
from mailroom_core.model import Deferred, Held, Sent
from tests.contract.smtp_server import Script, SmtpServer
from tests.contract.transports.certificates import Authority
from tests.contract.transports.jobs import RAW
from tests.contract.transports.smarthosts import one, smarthost_to

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ca"))


async def test_mail_goes_over_tls_from_the_first_byte(authority: Authority) -> None:
    async with (
        SmtpServer(tls=authority.server_context()) as server,
        smarthost_to(server, security=Security.TLS, ca_file=str(authority.file)) as smarthost,
    ):
        assert isinstance(await one(smarthost), Sent)
        assert isinstance(await one(smarthost), Sent)
    assert [mail.content for mail in server.mails] == [RAW, RAW]
    assert server.connections == 1


async def test_mail_goes_over_starttls_and_the_server_is_asked_again_what_it_offers(authority: Authority) -> None:
    async with (
        SmtpServer(starttls=authority.server_context()) as server,
        smarthost_to(server, security=Security.STARTTLS, ca_file=str(authority.file)) as smarthost,
    ):
        assert isinstance(await one(smarthost), Sent)
    assert [command.split(" ")[0] for command in server.commands[:4]] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


async def test_where_starttls_is_stripped_nothing_is_sent_in_the_clear() -> None:
    async with SmtpServer() as server, smarthost_to(server, security=Security.STARTTLS) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Deferred)
    assert outcome.lane
    assert "nothing is sent in clear text" in outcome.reply.text
    assert [command.split(" ")[0] for command in server.commands] == ["EHLO"]


async def test_a_refused_starttls_is_no_reason_to_go_on_without(authority: Authority) -> None:
    script = Script({"STARTTLS": b"454 4.7.0 TLS not available\r\n"})
    async with (
        SmtpServer(script, starttls=authority.server_context()) as server,
        smarthost_to(server, security=Security.STARTTLS, ca_file=str(authority.file)) as smarthost,
    ):
        assert isinstance(await one(smarthost), Deferred)
    assert not any(command.startswith("MAIL") for command in server.commands)


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
async def test_an_untrusted_certificate_holds_the_lane(security: Security, authority: Authority) -> None:
    context = authority.server_context()
    server = SmtpServer(tls=context) if security is Security.TLS else SmtpServer(starttls=context)
    async with server, smarthost_to(server, security=security) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Held)
    assert outcome.lane
    assert "ca_file" in outcome.reply.text
    assert not server.mails


async def test_a_certificate_for_another_name_holds_the_lane(authority: Authority) -> None:
    async with (
        SmtpServer(tls=authority.server_context("mail.example.org")) as server,
        smarthost_to(server, security=Security.TLS, ca_file=str(authority.file)) as smarthost,
    ):
        outcome = await one(smarthost)
    assert isinstance(outcome, Held)
    assert "mismatch" in outcome.reply.text


async def test_a_client_certificate_is_shown_to_a_server_that_asks(authority: Authority) -> None:
    own = str(authority.issue("gateway.example.com"))
    async with (
        SmtpServer(tls=authority.server_context(ask_clients=True)) as server,
        smarthost_to(server, security=Security.TLS, ca_file=str(authority.file), client_certificate=own) as smarthost,
    ):
        assert isinstance(await one(smarthost), Sent)


async def test_a_server_that_misses_our_certificate_holds_the_lane(authority: Authority) -> None:
    # With a blocking socket: asyncio's server hangs up without the alert that others send.
    context = authority.server_context(ask_clients=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True):
                pass

        port = listening.getsockname()[1]
        settings = {"port": port, "security": Security.TLS, "ca_file": str(authority.file)}
        async with smarthost_to(SmtpServer(), **settings) as smarthost:
            serving = asyncio.create_task(asyncio.to_thread(serve))
            outcome = await one(smarthost)
            await serving
    assert isinstance(outcome, Held), outcome
    assert "client_certificate" in outcome.reply.text


async def test_tls_to_a_server_that_speaks_none_says_which_port_has_what() -> None:
    async with SmtpServer() as server, smarthost_to(server, security=Security.TLS) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Deferred)
    assert "port 465" in outcome.reply.text


async def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    async with SmtpServer() as server, smarthost_to(server, security=Security.TLS, ca_file=str(tmp_path / "none.pem")) as smarthost:
        outcome = await one(smarthost)
    assert isinstance(outcome, Held)
    assert "none.pem" in outcome.reply.text


async def test_a_renewed_file_is_read_without_a_restart(tmp_path: Path, authority: Authority) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Authority.make(tmp_path / "other", "Another authority").file.read_bytes())
    async with (
        SmtpServer(tls=authority.server_context()) as server,
        smarthost_to(server, security=Security.TLS, ca_file=str(trusted)) as smarthost,
    ):
        assert isinstance(await one(smarthost), Held)
        trusted.write_bytes(authority.file.read_bytes())
        assert isinstance(await one(smarthost), Sent)
