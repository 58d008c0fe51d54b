"""swaks, the tool with which administrators try out a mail server."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mailroom.listen.listener import Listener, TlsMode
from mailroom.listen.tls import Certificates
from tests.contract.listen.certificates import client_files, server_files
from tests.contract.listen.fakes import FakeDoor, listening

pytestmark = pytest.mark.skipif(shutil.which("swaks") is None, reason="the package swaks is missing")


def has_tls() -> bool:
    perl = shutil.which("perl")
    return perl is not None and subprocess.run([perl, "-MNet::SSLeay", "-e1"], check=False, capture_output=True).returncode == 0


with_tls = pytest.mark.skipif(not has_tls(), reason="the package libnet-ssleay-perl is missing")

ENVELOPE = ("--from", "a@example.com", "--to", "b@example.net,c@example.net")
LOGIN = ("--auth-user", "odoo", "--auth-password", "correct horse")


async def swaks(door: FakeDoor, spool: Path, mode: TlsMode, *options: str, client_authorities: Path | None = None) -> tuple[int, str]:
    certificates = Certificates(replace(server_files(), client_authorities=client_authorities))
    async with listening(door, spool, listener=Listener(port=0, tls=mode), certificates=certificates) as running:
        host, port = running.addresses[0]
        process = await asyncio.create_subprocess_exec(
            *("swaks", "--server", host, "--port", str(port), *ENVELOPE, *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, output.decode()


def run(door: FakeDoor, spool: Path, mode: TlsMode, *options: str, client_authorities: Path | None = None) -> tuple[int, str]:
    return asyncio.run(swaks(door, spool, mode, *options, client_authorities=client_authorities))


@pytest.mark.parametrize("options", [(), ("--pipeline",), ("--protocol", "SMTP")], ids=["esmtp", "pipelining", "helo"])
def test_a_mail_from_a_trusted_network_arrives(options: tuple[str, ...], tmp_path: Path) -> None:
    door = FakeDoor()
    status, output = run(door, tmp_path, TlsMode.NONE, "--body", "one\n.two\n..three", *options)
    assert status == 0, output
    assert door.accepted[0].submission.recipients == ("b@example.net", "c@example.net")
    assert b"\r\n\r\none\r\n.two\r\n..three\r\n" in door.accepted[0].raw


@with_tls
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("mode", "tls"), [(TlsMode.STARTTLS, "--tls"), (TlsMode.IMPLICIT, "--tls-on-connect")])
def test_a_login_over_tls_is_a_right(mode: TlsMode, tls: str, mechanism: str, tmp_path: Path) -> None:
    door = FakeDoor(networks=())
    status, output = run(door, tmp_path, mode, tls, "--auth", mechanism, *LOGIN)
    assert status == 0, output
    assert door.accepted[0].submission.authenticated == "odoo"
    assert door.accepted[0].submission.tls.startswith("TLS")


@with_tls
def test_a_client_certificate_is_a_right(tmp_path: Path) -> None:
    files = client_files(tmp_path)
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(files.certificate.read_text())).hexdigest()
    door = FakeDoor(networks=(), certificates=(fingerprint,))
    options = ("--tls", "--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    status, output = run(door, tmp_path, TlsMode.STARTTLS, *options, client_authorities=files.certificate)
    assert status == 0, output
    assert door.accepted[0].submission.application.name == "odoo"


def test_a_login_without_tls_is_not_even_offered(tmp_path: Path) -> None:
    door = FakeDoor(networks=())
    status, output = run(door, tmp_path, TlsMode.STARTTLS, "--auth", "PLAIN", *LOGIN)
    assert status != 0
    assert "did not advertise authentication" in output or "Host did not advertise" in output
    assert door.accepted == []


def test_a_sender_of_somebody_else_is_refused(tmp_path: Path) -> None:
    status, output = run(FakeDoor(), tmp_path, TlsMode.NONE, "--from", "ceo@example.org")
    assert status != 0
    assert "553 5.7.1" in output
