from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509

from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.tls import Certificates, TlsFiles, self_signed
from mailroom_core.errors import ConfigError
from tests.contract.listen.certificates import client_files, server_files
from tests.contract.listen.fakes import FakeDoor, listening, until

LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]


def now() -> datetime:
    return datetime.now(UTC)


def test_the_certificate_of_the_first_start_names_its_hosts_and_hides_its_key(tmp_path: Path) -> None:
    files = self_signed(tmp_path, ["mail.example.com", "192.0.2.1"], now=now())
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mail.example.com"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("192.0.2.1")]
    assert files.key.stat().st_mode & 0o777 == 0o600


def test_a_second_start_keeps_the_certificate(tmp_path: Path) -> None:
    first = self_signed(tmp_path, ["a.example.com"], now=now()).certificate.read_bytes()
    assert self_signed(tmp_path, ["b.example.com"], now=now()).certificate.read_bytes() == first


def test_files_that_are_no_certificate_stop_the_start(tmp_path: Path) -> None:
    files = TlsFiles(certificate=tmp_path / "a", key=tmp_path / "b")
    with pytest.raises(ConfigError):
        Certificates(files)
    files.certificate.write_text("nonsense")
    files.key.write_text("nonsense")
    with pytest.raises(ConfigError, match="can't be used"):
        Certificates(files)


def trusting(files: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files.certificate))


async def served_certificate(address: tuple[str, int]) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    assert (await reader.readline()).startswith(b"220")
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert isinstance(certificate, bytes)
    return certificate


def der(files: TlsFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.certificate.read_text())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_changed_certificate_is_served_without_a_restart_and_a_broken_one_is_not(loop: Any, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    files, other = self_signed(old, ["a.example.com"], now=now()), self_signed(new, ["b.example.com"], now=now())
    first, second = der(files), der(other)
    clock = [0.0]
    certificates = Certificates(files, lambda: clock[0])

    async def walk() -> None:
        listener = Listener(port=0, tls=TlsMode.IMPLICIT)
        async with listening(FakeDoor(), tmp_path, listener=listener, certificates=certificates) as running:
            address = running.addresses[0]
            assert await served_certificate(address) == first
            os.replace(other.certificate, files.certificate)  # half of a change: the key does not belong to it yet
            clock[0] += 5
            assert await served_certificate(address) == first
            os.replace(other.key, files.key)
            assert await served_certificate(address) == first, "looked at again a little later"
            clock[0] += 5
            assert await served_certificate(address) == second

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(walk())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("known", [True, False])
def test_a_client_certificate_is_a_right_if_an_application_has_it(known: bool, loop: Any, tmp_path: Path) -> None:
    client = client_files(tmp_path)
    fingerprint = hashlib.sha256(der(client)).hexdigest()
    door = FakeDoor(networks=(), certificates=(fingerprint,) if known else ())
    server = server_files()
    certificates = Certificates(TlsFiles(certificate=server.certificate, key=server.key, client_authorities=client.certificate))

    async def walk() -> bytes:
        listener = Listener(port=0, tls=TlsMode.IMPLICIT)
        async with listening(door, tmp_path, listener=listener, certificates=certificates) as running:
            context = trusting(server)
            context.load_cert_chain(client.certificate, client.key)
            reader, writer = await asyncio.open_connection(*running.addresses[0], ssl=context, server_hostname="localhost")
            writer.write(b"HELO x\r\nMAIL FROM:<a@example.com>\r\n")
            lines = [await reader.readline() for _ in range(3)]
            writer.close()
            return lines[-1]

    with asyncio.Runner(loop_factory=loop) as runner:
        answer = runner.run(walk())
    assert answer.startswith(b"250" if known else b"530")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("mode", [TlsMode.IMPLICIT, TlsMode.STARTTLS])
def test_a_client_that_does_not_speak_tls_leaves_nothing_behind(mode: TlsMode, loop: Any, tmp_path: Path) -> None:
    async def walk() -> None:
        listener = Listener(port=0, tls=mode)
        async with listening(FakeDoor(), tmp_path, listener=listener, certificates=Certificates(server_files())) as running:
            reader, writer = await asyncio.open_connection(*running.addresses[0])
            if mode is TlsMode.STARTTLS:
                writer.write(b"EHLO x\r\nSTARTTLS\r\n")
                while not (await reader.readline()).startswith(b"220 2.0.0"):
                    pass
            writer.write(b"EHLO x\r\nMAIL FROM:<a@example.com>\r\n" * 10)
            rest = await reader.read()
            assert b"250" not in rest
            writer.close()
            await until(lambda: running.sessions == 0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(walk(), 20))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_half_open_handshake_counts_as_a_session_and_does_not_last(loop: Any, tmp_path: Path) -> None:
    limits = Limits(max_sessions=1, handshake=timedelta(milliseconds=300))

    async def walk() -> None:
        listener = Listener(port=0, tls=TlsMode.IMPLICIT)
        certificates = Certificates(server_files())
        async with listening(FakeDoor(), tmp_path, listener=listener, certificates=certificates, limits=limits) as running:
            silent, silent_writer = await asyncio.open_connection(*running.addresses[0])
            other, other_writer = await asyncio.open_connection(*running.addresses[0])
            assert await other.read() == b"", "no room for it"
            assert await silent.read() == b"", "it had its time"
            assert await served_certificate(running.addresses[0]) == der(server_files())
            silent_writer.close()
            other_writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(walk(), 20))
