"""Mail that other servers bring: how much a second with its sender's proofs looked at, and whether memory grows with it.

Each mail is signed, and SPF, DKIM and DMARC are evaluated against a real name server on loopback; at the end every mail must have
passed all three, or there is no row. First each mail comes from a domain of its own, which nobody has asked for before; then the same
domains write again, and their records are known.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import count

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench import gateway as gateways
from bench.backlog import utc_now
from bench.client import Talk, converse, expect
from bench.place import Missing, Place
from bench.results import Goal, Result
from bench.usage import cpu_by_process, pss
from demo.processes import Gateway
from mailroom.ports import Query
from mailroom.store.open import open_store
from tests.dns_server import dns_server, text

SESSIONS = 16
DOMAINS = 2000
AGAIN = 3
"""How often each domain writes once more."""
SIZE = 10_000
TO = "sales@desk.example"
PASSED = (b"spf=pass", b"dkim=pass", b"dmarc=pass")
CONFIGURATION = """\
[mx]
enabled = true
host = "127.0.0.1"
port = 0
messages_per_minute = 0
resolver = ["{resolver}"]
"""
OBJECTS = """
[alias_domain."desk.example"]

[destination.desk]
inbox = {}

[alias."sales@desk.example"]
destination = "desk"
"""
RECORDS = """\
d{number}.load.example. 86400 TXT "v=spf1 ip4:127.0.0.1 -all"
_dmarc.d{number}.load.example. 86400 TXT "v=DMARC1; p=reject"
s1._domainkey.d{number}.load.example. 86400 TXT {key}
"""
SIGNED = (b"from", b"to", b"subject", b"date")


def measure(place: Place, quick: bool) -> list[Result]:
    if not (shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin")):
        raise Missing("knotd is not installed; as root: apt-get install knot")
    domains = 200 if quick else DOMAINS
    pem, record = _key()
    records = "".join(RECORDS.format(number=number, key=record) for number in range(domains))
    mails = [_mail(number, pem) for number in range(domains)]
    with ExitStack() as stack:
        names = stack.enter_context(dns_server(place.folder / "names", records))
        gateway = gateways.prepared(place, "mx", configuration=CONFIGURATION.format(resolver=names.address))
        gateways.configure(gateway, OBJECTS)
        stack.enter_context(gateways.running(place, gateway))
        results = _measured(gateway, mails)
        _all_passed(gateway, domains * (1 + AGAIN))
    return results


def _measured(gateway: Gateway, mails: Sequence[bytes]) -> list[Result]:
    pid = gateway.process.pid
    time.sleep(2)  # until what it does at its start is over
    memory, rates, cpu = [pss(pid) - _others(gateway)], [], []
    ids = count()
    for _ in range(1 + AGAIN):
        used, start = cpu_by_process(pid)[pid], time.monotonic()
        asyncio.run(converse(_port(gateway), [_bring(iter(part), ids) for part in _parts(mails)], b"\r\n"))
        rates.append(len(mails) / (time.monotonic() - start))
        cpu.append((cpu_by_process(pid)[pid] - used) / len(mails) * 1e6)
        memory.append(pss(pid) - _others(gateway))
    facts = {"cpu_us_per_mail": [round(each) for each in cpu], "memory_mb": [round(each / 1e6, 1) for each in memory]}
    again = tuple(rates[1:])
    return [
        Result(name="mx: mails of 10 kB, SPF, DKIM and DMARC, each from a new domain", value=rates[0], unit="mails/s", facts=facts),
        Result(name="mx: the same, from known domains", value=sorted(again)[len(again) // 2], unit="mails/s", rounds=again),
        Result(
            name=f"mx: growth of the accepting process over the last half of {(1 + AGAIN) * len(mails):,} mails",
            value=(memory[-1] - memory[2]) / 1e6,
            unit="MB",
            goal=Goal.AT_MOST,
            limit=8,
            rounds=tuple(each / 1e6 for each in memory),
        ),
    ]


def _others(gateway: Gateway) -> int:
    """The memory of the processes that deliver."""
    return sum(pss(pid) for pid in gateway.workers())


def _port(gateway: Gateway) -> int:
    return next(each.port or 0 for each in gateway.addresses if each.scheme == "mx")


def _parts(mails: Sequence[bytes]) -> list[list[tuple[int, bytes]]]:
    numbered = list(enumerate(mails))
    return [numbered[start::SESSIONS] for start in range(SESSIONS)]


def _bring(mails: Iterator[tuple[int, bytes]], ids: Iterator[int]) -> Talk:
    """What one client says; the Message-ID is of each mail alone."""
    yield b""
    yield b"EHLO mx.load.example\r\n"
    for number, mail in mails:
        expect((yield f"MAIL FROM:<c@d{number}.load.example>\r\n".encode()), b"250")
        expect((yield f"RCPT TO:<{TO}>\r\n".encode()), b"250")
        expect((yield b"DATA\r\n"), b"354")
        expect((yield f"Message-ID: <{next(ids)}@load.example>\r\n".encode() + mail + b".\r\n"), b"250")


def _all_passed(gateway: Gateway, mails: int) -> None:
    """Raises Missing if a mail is not there, or one of its proofs."""
    with closing(open_store(gateways.database(gateway), clock=utc_now)) as store:
        found = store.find(Query(), limit=10 * mails)[0]
        if len({each.message.header_message_id for each in found}) != mails:
            raise Missing(f"{len(found)} of {mails} mails are stored; see bench/out/mx.log")
        for each in found:
            stored = store.read(each.message.id)
            said = (stored.raw if stored and stored.raw else b"").partition(b"\r\nReceived:")[0]
            if not all(proof in said for proof in PASSED):
                raise Missing(f"a mail was not proven to be its sender's: {said.decode('ascii', 'replace')}")


def _key() -> tuple[bytes, str]:
    """The private key, and its record as a zone file has it."""
    made = rsa.generate_private_key(65537, 2048)
    private = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    public = made.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, text(f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}")


def _mail(number: int, pem: bytes) -> bytes:
    """Signed but for its Message-ID, which is not there yet."""
    domain = f"d{number}.load.example"
    head = f"From: c@{domain}\r\nTo: {TO}\r\nSubject: Order {number}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\n"
    mail = head.encode() + (b"X" * 78 + b"\r\n") * (SIZE // 80)
    signature: bytes = dkim.sign(mail, b"s1", domain.encode(), pem, canonicalize=(b"relaxed", b"relaxed"), include_headers=list(SIGNED))
    return signature + mail
