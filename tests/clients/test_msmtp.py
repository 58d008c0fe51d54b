"""msmtp, the sendmail of machines without a mail server."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from mailroom.listen.listener import Listener, TlsMode
from mailroom.listen.tls import Certificates
from tests.contract.listen.certificates import server_files
from tests.contract.listen.fakes import FakeDoor, listening

pytestmark = pytest.mark.skipif(shutil.which("msmtp") is None, reason="the package msmtp is missing")

MAIL = b"From: a@example.com\nTo: b@example.net\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\nH\xc3\xa4llo\n.\n..\nend\n"
TLS = {
    TlsMode.NONE: (),
    TlsMode.STARTTLS: ("--tls=on", "--tls-starttls=on"),
    TlsMode.IMPLICIT: ("--tls=on", "--tls-starttls=off"),
}


async def msmtp(door: FakeDoor, spool: Path, mode: TlsMode, *options: str) -> tuple[int, str]:
    files = server_files()
    certificates = Certificates(files)
    async with listening(door, spool, listener=Listener(port=0, tls=mode), certificates=certificates) as running:
        _, port = running.addresses[0]
        command = ("msmtp", "--file=/dev/null", "--host=localhost", f"--port={port}", "--from=a@example.com", *TLS[mode])
        process = await asyncio.create_subprocess_exec(
            *(*command, f"--tls-trust-file={files.certificate}", *options, "b@example.net", "c@example.net"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"HOME": str(spool)},
        )
        output, _ = await asyncio.wait_for(process.communicate(MAIL), 60)
        assert process.returncode is not None
        return process.returncode, output.decode()


@pytest.mark.parametrize("mode", list(TlsMode))
def test_a_mail_arrives_as_it_was_written(mode: TlsMode, tmp_path: Path) -> None:
    door = FakeDoor()
    status, output = asyncio.run(msmtp(door, tmp_path, mode))
    assert status == 0, output
    assert door.accepted[0].submission.recipients == ("b@example.net", "c@example.net")
    assert door.accepted[0].raw.endswith(b"\r\n\r\nH\xc3\xa4llo\r\n.\r\n..\r\nend\r\n")
    assert bool(door.accepted[0].submission.tls) == (mode is not TlsMode.NONE)


@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_a_login_over_tls_is_a_right(mechanism: str, tmp_path: Path) -> None:
    door = FakeDoor(networks=())
    password = f"--passwordeval=echo {door.credentials['odoo']}"
    status, output = asyncio.run(msmtp(door, tmp_path, TlsMode.STARTTLS, f"--auth={mechanism}", "--user=odoo", password))
    assert status == 0, output
    assert door.accepted[0].submission.authenticated == "odoo"


def test_a_wrong_password_is_told(tmp_path: Path) -> None:
    door = FakeDoor(networks=())
    status, output = asyncio.run(msmtp(door, tmp_path, TlsMode.IMPLICIT, "--auth=plain", "--user=odoo", "--passwordeval=echo no"))
    assert status != 0
    assert "535" in output
    assert door.accepted == []
