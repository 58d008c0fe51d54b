"""The largest mail: an attachment of 150 MB, from SMTP to Sent Items in the emulated tenant, and how much memory that takes.

What counts is the proportional set size of all processes of the gateway, at its highest, over what it was just before. The mail
has 205 MB on the wire, because base64 makes four bytes of three; so SIZE and the mailbox are set to 210 MB. It is 0.1 MB less than
150 MB, which leaves room for the requests around it: a mailbox takes 150 MB in five minutes, and what is beyond would wait for them.

Afterwards the attachment in Sent Items is compared with what was sent, by its hash: without that there is no row.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Iterator

import httpx2

from bench import gateway as gateways
from bench.place import Missing, Place
from bench.results import Goal, Result
from bench.usage import PeakPss, pss
from demo.processes import Emulator, Gateway

MB = 1_000_000
ATTACHMENT = 149_900_000
LARGEST = 210 * MB
MARY = "mary@contoso.example"
PATIENCE = 240.0
_LINE = base64.b64encode(bytes(range(57))) + b"\r\n"
_HEAD = f"""\
From: {MARY}
To: print@shop.example
Subject: The catalogue
Message-ID: <catalogue@contoso.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=bound

--bound
Content-Type: text/plain

Here it is.
--bound
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="catalogue.pdf"

""".replace("\n", "\r\n").encode()
_TAIL = b"--bound--\r\n"
_SETTINGS = {"MAILROOM_SMTP_MAX_SIZE": f"{LARGEST}B"}


def measure(place: Place, quick: bool) -> list[Result]:
    size = 30 * MB if quick else ATTACHMENT
    emulator = Emulator(place.folder / "emulator", "--data", str(place.folder))
    gateway = gateways.prepared(place, "memory", environment=_SETTINGS)
    try:
        emulator.ask("PATCH", f"/accounts/{MARY}", json={"max_message_size": LARGEST})
        gateways.graph(gateway, emulator, application=f"max_size = {LARGEST}\n")
        with gateways.running(place, gateway):
            time.sleep(2)  # until what it does at its start is over
            return [_large_mail(emulator, gateway, size)]
    finally:
        emulator.stop()


def _large_mail(emulator: Emulator, gateway: Gateway, size: int) -> Result:
    idle = pss(gateway.process.pid)
    start = time.monotonic()
    with PeakPss(gateway.process.pid) as accepting:
        submit(gateway, size)
    accepted = time.monotonic()
    with PeakPss(gateway.process.pid) as delivering:
        _wait_for_copy(emulator)
    arrived = time.monotonic()
    _compare(emulator, size)
    over = max(accepting.peak, delivering.peak) - idle
    return Result(
        name=f"memory: attachment of {size / MB:g} MB, SMTP to Sent Items, over idle",
        value=over / MB,
        unit="MB",
        goal=Goal.AT_MOST,
        limit=64,
        facts={
            "idle_mb": round(idle / MB, 1),
            "accepting_over_idle_mb": round((accepting.peak - idle) / MB, 1),
            "delivering_over_idle_mb": round((delivering.peak - idle) / MB, 1),
            "accepted_after_s": round(accepted - start, 1),
            "in_sent_items_after_s": round(arrived - start, 1),
        },
    )


def _compare(emulator: Emulator, size: int) -> None:
    """Raises Missing if the attachment in Sent Items is not byte for byte the one that was sent."""
    headers = {"Authorization": f"Bearer {gateways.app_token(emulator)}"}
    with httpx2.Client(base_url=f"{emulator.url}/v1.0/users/{MARY}", headers=headers, timeout=60, trust_env=False) as graph:
        (message,) = graph.get("/mailFolders/sentitems/messages?$select=id").raise_for_status().json()["value"]
        attachments = f"/messages/{message['id']}/attachments"
        (attachment,) = graph.get(f"{attachments}?$select=id,name").raise_for_status().json()["value"]
        found = hashlib.sha256()
        with graph.stream("GET", f"{attachments}/{attachment['id']}/$value") as answer:
            for piece in answer.raise_for_status().iter_bytes():
                found.update(piece)
    sent = hashlib.sha256()
    for encoded in _attachment(size):
        sent.update(base64.b64decode(encoded))
    if found.digest() != sent.digest():
        raise Missing(f"the attachment in Sent Items is not the one that was sent: {found.hexdigest()} instead of {sent.hexdigest()}")


def submit(gateway: Gateway, size: int) -> None:
    """One mail with an attachment of `size` bytes. Raises Missing if it is not accepted."""
    with socket.create_connection((gateway.host, gateway.port), 60) as connection, connection.makefile("rb") as replies:
        _expect(replies.readline(), b"220")
        for command in ("HELO load.bench.example", f"MAIL FROM:<{MARY}>", "RCPT TO:<print@shop.example>", "DATA"):
            connection.sendall(command.encode() + b"\r\n")
            _expect(replies.readline(), b"354" if command == "DATA" else b"250")
        for piece in mail(size):
            connection.sendall(piece)
        connection.sendall(b".\r\n")
        _expect(replies.readline(), b"250")


def mail(size: int) -> Iterator[bytes]:
    yield _HEAD
    yield from _attachment(size)
    yield _TAIL


def _attachment(size: int) -> Iterator[bytes]:
    """In base64, whole lines at a time; each thousand lines begin with their number, so that none can stand for another."""
    lines = size // 57
    for number in range(lines // 1000):
        yield base64.b64encode(number.to_bytes(57)) + b"\r\n" + _LINE * 999
    yield _LINE * (lines % 1000)


def _expect(reply: bytes, code: bytes) -> None:
    if not reply.startswith(code):
        raise Missing(f"the gateway said {reply!r} where {code.decode()} was expected")


def _wait_for_copy(emulator: Emulator) -> None:
    until = time.monotonic() + PATIENCE
    while not emulator.folder(MARY, "sentitems"):
        if time.monotonic() > until:
            raise Missing(f"after {PATIENCE:.0f} s the mail is not in Sent Items; see bench/out/memory.log")
        time.sleep(0.2)
