"""A real name server on loopback, Knot DNS, for one world: whatever is not in its records does not exist.

All records lie in one root zone, so that it answers for every name, as a resolver would. `Between` stands before it and can be
slow, silent or a liar, or say that answers were validated by DNSSEC.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread, Timer

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import pytest

HEAD = """$ORIGIN .
$TTL 60
@ SOA ns.nowhere. hostmaster.nowhere. {serial} 3600 600 86400 60
@ NS ns.nowhere.
ns.nowhere. A 127.0.0.1
"""
PATIENCE = 30.0
Twist = Callable[[dns.message.Message, dns.message.Message], dns.message.Message | None]
"""What becomes of an answer, given the question; None: nothing is said."""


def text(value: str, *, chunk: int = 255) -> str:
    """The record data of a TXT record of any length, as a zone file has it."""
    parts = [value[start : start + chunk] for start in range(0, len(value), chunk)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)


class DnsServer:
    """Its records are lines of a zone file with names from the root, such as `example.com. MX 10 mx.example.com.`"""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int, records: str) -> None:
        self._folder, self._process, self.port = folder, process, port
        self._records = records
        self._serial = 1

    @property
    def address(self) -> str:
        """As the setting `doctor.resolver` wants it."""
        return f"127.0.0.1:{self.port}"

    def put(self, records: str) -> None:
        """Replace all records; returns when the server answers by them."""
        self._serial += 1
        self._records = records
        _write_zone(self._folder, self._serial, records)
        self._process.send_signal(1)  # SIGHUP reads configuration and zones again
        _await_serial(self, self._serial)

    def add(self, records: str) -> None:
        self.put(f"{self._records}\n{records}")


@contextmanager
def dns_server(folder: Path, records: str, *, signed: bool = False) -> Iterator[DnsServer]:
    """Runs until the block ends; `signed` by DNSSEC, with keys of its own. Skips the test where Knot is not installed."""
    knotd = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin")
    if knotd is None:
        pytest.skip("needs the Debian package knot")
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    config = folder / "knot.conf"
    config.write_text(
        f"""server:
    listen: 127.0.0.1@{port}
    rundir: "{folder}"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{folder}"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "{folder}"
    semantic-checks: off
    journal-content: {"all" if signed else "none"}
    zonefile-load: {"difference-no-serial" if signed else "whole"}
    dnssec-signing: {"on" if signed else "off"}
zone:
  - domain: .
    file: root.zone
"""
    )
    _write_zone(folder, 1, records)
    with (folder / "knot.log").open("wb") as log:
        process = subprocess.Popen([knotd, "-c", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    server = DnsServer(folder, process, port, records)
    try:
        _await_serial(server, 1)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write_zone(folder: Path, serial: int, records: str) -> None:
    (folder / "root.zone").write_text(HEAD.format(serial=serial) + records + "\n")


def _free_port() -> int:
    """Free for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return int(udp.getsockname()[1])


def _await_serial(server: DnsServer, serial: int) -> None:
    question = dns.message.make_query(".", "SOA")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            answer = dns.query.tcp(question, "127.0.0.1", timeout=2, port=server.port)
        except (dns.exception.DNSException, OSError):
            time.sleep(0.02)
            continue
        if any(record.serial >= serial for each in answer.answer if each.rdtype is dns.rdatatype.SOA for record in each):
            return  # signing counts on by itself
        time.sleep(0.02)
    raise AssertionError(f"the name server did not take zone {serial}: {(server._folder / 'knot.log').read_text()}")


class Between:
    """Hands questions on to the server, and its answers back, late or changed. UDP and TCP."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self.delay = 0.0
        """Seconds before each answer."""
        self.twist: Twist = lambda question, answer: answer
        self.asked: list[str] = []
        """`name type` of each question, in their order."""
        self.address = ""

    def answer(self, wire: bytes) -> bytes | None:
        question = dns.message.from_wire(wire)
        self.asked += [f"{each.name.to_text(omit_final_dot=True)} {each.rdtype.name}" for each in question.question]
        found, _ = dns.query.udp_with_fallback(question, "127.0.0.1", timeout=PATIENCE, port=self._server.port)
        twisted = self.twist(question, found)
        return None if twisted is None else twisted.to_wire(max_size=65535)


@contextmanager
def between(server: DnsServer) -> Iterator[Between]:
    """Listens on loopback until the block ends."""
    made = Between(server)
    with ExitStack() as stack:
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        port = _free_port()
        udp.bind(("127.0.0.1", port))
        tcp = stack.enter_context(socket.socket())
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(("127.0.0.1", port))
        tcp.listen(50)
        made.address = f"127.0.0.1:{port}"
        for work in (_udp, _tcp):
            Thread(target=work, args=(made, udp if work is _udp else tcp), daemon=True).start()
        try:
            yield made
        finally:
            for each in (udp, tcp):  # wakes the threads up
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def _udp(made: Between, udp: socket.socket) -> None:
    while True:
        try:
            wire, client = udp.recvfrom(65535)
        except OSError:
            return
        if not wire:
            return
        Timer(made.delay, _udp_reply, (made, udp, wire, client)).start()


def _udp_reply(made: Between, udp: socket.socket, wire: bytes, client: tuple[str, int]) -> None:
    said = made.answer(wire)
    if said is None:
        return
    if len(said) > 1232:  # what does not fit goes by TCP
        cut = dns.message.make_response(dns.message.from_wire(wire))
        cut.flags |= dns.flags.TC
        said = cut.to_wire()
    try:
        udp.sendto(said, client)
    except OSError:
        pass


def _tcp(made: Between, tcp: socket.socket) -> None:
    while True:
        try:
            connection, _ = tcp.accept()
        except OSError:
            return
        Thread(target=_tcp_session, args=(made, connection), daemon=True).start()


def _tcp_session(made: Between, connection: socket.socket) -> None:
    with connection, connection.makefile("rwb") as stream:
        while len(size := stream.read(2)) == 2:
            wire = stream.read(int.from_bytes(size, "big"))
            time.sleep(made.delay)
            said = made.answer(wire)
            if said is not None:
                stream.write(len(said).to_bytes(2, "big") + said)
                stream.flush()
