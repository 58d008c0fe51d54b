"""`make crash N=1000`: `kill -9` of the whole gateway at random moments under load, while the provider has its bad days.

The property: what was accepted (the client read 250) arrives in the outside world exactly once; what was handed in without a 250
arrives once or never; and the state of every delivery says what happened to it. The clients never submit anything again.

Faults of the provider go on all the time: a 504 for what is done, or is done later, or is not done; a reset before, after or in the
middle; lost answers to the making of drafts as well as to their sending; a copy that is late in Sent Items. An emulated minute lasts
a second here.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import random
import shutil
import signal
import smtplib
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailroom.ports import Query
from mailroom_core.model import State
from tests.walk.world import MARY, SALES, World, eventually, submit

INFO = "info@contoso.example"
SCALE = 60
"""How much faster the emulator's spans pass."""
ENVIRONMENT = {
    # In all longer than everything that the provider does later.
    "MAILROOM_QUEUE_LOOKS": "200ms, 300ms, 500ms, 1s, 1s, 2s, 3s, 5s, 5s",
    "MAILROOM_QUEUE_TIME_LIMIT": "20s",
    # A thousand kills take more mail than a mailbox may send in a day.
    "MAILROOM_QUEUE_TIME_SCALE": str(SCALE),
    "MAILROOM_LOG_LEVEL": "warning",
}
SERVERS = """
[server."sales"]
from_filter = ["sales@contoso.example"]
graph = { account = "office", mailbox = "sales@contoso.example" }

[server."info"]
from_filter = ["info@contoso.example"]
graph = { account = "office", mailbox = "info@contoso.example" }
"""
GATEWAY_TIMEOUT = {"kind": "do_but_answer", "status": 504}
FAULTS = (
    # operation, share of the requests, action; a minute of "later" is a second
    ("send", 0.04, GATEWAY_TIMEOUT),
    ("send", 0.03, {"kind": "answer_and_do_later", "status": 504, "seconds": 60}),
    ("send", 0.02, {"kind": "answer", "status": 504}),
    ("send", 0.03, {"kind": "drop", "when": "after"}),
    ("send", 0.02, {"kind": "drop", "when": "before"}),
    ("send", 0.02, {"kind": "change_ids"}),
    ("send", 0.04, {"kind": "sent_copy", "seconds": 60}),
    ("send", 0.06, {"kind": "delay", "seconds": 20}),
    ("send", 0.01, {"kind": "answer", "status": 429, "retry_after": 0.5}),
    ("createDraft", 0.01, {"kind": "answer", "status": 429, "retry_after": 0.5}),
    ("createDraft", 0.02, GATEWAY_TIMEOUT),
    ("createDraft", 0.02, {"kind": "answer_and_do_later", "status": 504, "seconds": 60}),
    ("createDraft", 0.02, {"kind": "drop", "when": "after"}),
    ("createDraft", 0.04, {"kind": "delay", "seconds": 20}),
    ("uploadRange", 0.2, {"kind": "drop", "after_bytes": 1_000_000}),
    ("list", 0.02, {"kind": "answer", "status": 503}),
    ("getMessage", 0.02, {"kind": "answer", "status": 500}),
)
BEFORE_FILE = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

Hello
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename="a.pdf"
Content-Transfer-Encoding: base64

""".replace("\n", "\r\n")
CLIENTS = 4
PAUSE = 0.25
"""Seconds between two mails of a client, on average."""
LICENCES = 300
"""So many more people work in the tenant: with them grows the number of recipients outside that it may have in a day, here in 24
minutes. It must be more than the three mailboxes may have together: beyond it the tenant accepts mail and sends it back."""
WHILE_STARTING = 0.15
"""The share of kills that are followed by another one before the gateway is ready."""
WORKER_FIRST = 0.25
"""The share of kills before which the process that delivers is killed alone, and another one takes its place."""
AT_WORK = 0.8
"""The share of kills that come after the gateway has got to work, however slow the machine is; the others come at any moment."""
PATIENCE = 20.0
SETTLE = 90.0
"""Seconds without any progress after which it is over."""
DONE = frozenset({State.SENT})

Copy = tuple[str, str]
"""Subject and recipient: what must arrive once."""


@dataclass
class Ledger:
    """What the clients handed in."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    handed_in: set[Copy] = field(default_factory=set)
    accepted: set[Copy] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)

    def begin(self, copies: set[Copy]) -> None:
        with self.lock:
            self.handed_in |= copies

    def accept(self, copies: set[Copy]) -> None:
        with self.lock:
            self.accepted |= copies

    def refuse(self, copies: set[Copy], why: str) -> None:
        """The gateway said no: that mail must not arrive."""
        with self.lock:
            self.handed_in -= copies
            self.refused[why] += 1


class Client(threading.Thread):
    """Submits one mail after the other until it is told to stop; what it got no answer to is gone for it."""

    def __init__(self, name: str, world: World, ledger: Ledger, seed: str) -> None:
        super().__init__(name=name, daemon=True)
        self.failure: BaseException | None = None
        self._world = world
        self._ledger = ledger
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._number = 0

    def end(self) -> None:
        self._over.set()

    def run(self) -> None:
        try:
            while not self._over.is_set():
                with contextlib.suppress(OSError, smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError):
                    self._session()
                self._over.wait(0.05)
        except BaseException as failure:  # noqa: BLE001  # shown by the main thread
            self.failure = failure

    def _session(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP(self._world.gateway.host, self._world.gateway.port, timeout=15) as smtp:
            smtp.starttls(context=context)
            smtp.login("erp", self._world.passwords["erp"])
            for _ in range(self._random.randint(1, 20)):
                if self._over.wait(self._random.expovariate(1 / PAUSE)):
                    return
                self._mail(smtp)

    def _mail(self, smtp: smtplib.SMTP) -> None:
        """One mail to one or several; or, as Odoo does it, the same mail once for each of its recipients."""
        self._number += 1
        subject = f"{self.name}-{self._number}"
        recipients = [f"r{number}@customer.example" for number in self._random.sample(range(1000), self._random.choice((1, 1, 1, 2, 4)))]
        sender = self._random.choice((MARY, SALES, INFO))
        raw = self._raw(subject, sender, recipients)
        groups = [[one] for one in recipients] if self._random.random() < 0.5 else [recipients]
        for group in groups:
            self._hand_in(smtp, raw, sender, group, {(subject, one) for one in group})

    def _hand_in(self, smtp: smtplib.SMTP, raw: bytes, sender: str, recipients: list[str], copies: set[Copy]) -> None:
        self._ledger.begin(copies)
        try:
            submit(smtp, raw, sender, recipients)
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPResponseException as refusal:
            self._ledger.refuse(copies, f"{refusal.smtp_code} {refusal.smtp_error!r}")
            raise smtplib.SMTPServerDisconnected("another session, please") from None
        self._ledger.accept(copies)

    def _raw(self, subject: str, sender: str, recipients: list[str]) -> bytes:
        """Mostly small; some with a file behind them; now and then too large for Graph's MIME, where uploads are allowed."""
        chance = self._random.random()
        size = 3_200_000 if chance < 0.01 and sender == MARY else 300_000 if chance < 0.08 else 500
        head = f"From: {sender}\r\nTo: {', '.join(recipients)}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@erp.test>\r\n"
        if size < 1000:
            return f"{head}\r\nHello\r\n".encode()
        content = base64.encodebytes(self._random.randbytes(size)).replace(b"\n", b"\r\n")
        return f"{head}{BEFORE_FILE}".encode() + content + b"--b--\r\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run."""

    kills: int
    accepted: int
    unanswered: int
    arrived: int
    lost: tuple[Copy, ...]
    twice: tuple[Copy, ...]
    untrue: tuple[str, ...]
    """Deliveries whose state is not what happened, and deliveries that are missing or never came to an end."""
    refused: tuple[str, ...]
    """Answers to the clients that were neither 250 nor a lost connection."""

    @property
    def good(self) -> bool:
        return not (self.lost or self.twice or self.untrue or self.refused)

    def __str__(self) -> str:
        return f"{self.kills} kills, {self.accepted} accepted, {len(self.lost)} lost, {len(self.twice)} twice"

    def details(self) -> str:
        lines = [f"{self.unanswered} without an answer, {self.arrived} arrived"]
        for title, entries in (("lost", self.lost), ("twice", self.twice), ("untrue", self.untrue), ("refused", self.refused)):
            lines += [f"{title}: {entry}" for entry in entries[:20]]
        return "\n".join(lines)


def run(folder: Path, kills: int, seed: int, *, progress: bool = False) -> Verdict:
    """Start everything, kill so often, wait until all is settled, compare."""
    chance = random.Random(seed)
    with _world(folder, seed) as world:
        ledger = Ledger()
        clients = [Client(f"m{seed}-{number}", world, ledger, f"{seed}/{number}") for number in range(CLIENTS)]
        for client in clients:
            client.start()
        began = time.monotonic()
        for number in range(1, kills + 1):
            _kill_and_restart(world, chance, clients)
            if progress and number % 25 == 0:
                pace = number / (time.monotonic() - began) * 60
                print(f"{number}/{kills} kills, {len(ledger.accepted)} accepted, {pace:.0f} kills a minute", flush=True)
        for client in clients:
            client.end()
        for client in clients:
            client.join()
            if client.failure is not None:
                raise client.failure
        _settle(world)
        return _judge(world, ledger, kills)


@contextlib.contextmanager
def _world(folder: Path, seed: int) -> Iterator[World]:
    world = World(folder, environment=ENVIRONMENT, emulator=("--time-scale", str(SCALE)))
    try:
        world.set_up(SERVERS)
        for number in range(LICENCES):
            world.emulator.ask("POST", "/accounts", json={"upn": f"user{number}@contoso.example"})
        for operation, probability, action in FAULTS:
            match = {"operation": operation}
            world.emulator.fault(match=match, times=None, probability=probability, action=action, seed=seed)
        yield world
    finally:
        world.gateway.kill()
        world.emulator.stop()


def _kill_and_restart(world: World, chance: random.Random, clients: list[Client]) -> None:
    if chance.random() < WORKER_FIRST:
        _wait(chance.uniform(0.05, 0.6))
        for worker in world.gateway.workers():
            os.kill(worker, signal.SIGKILL)
    if chance.random() < AT_WORK:
        before = world.count("send")
        eventually(lambda: world.count("send") > before, patience=PATIENCE, every=0.05)
    _wait(chance.uniform(0.05, 1.2))
    world.gateway.kill()
    while chance.random() < WHILE_STARTING:
        world.gateway.launch()
        _wait(chance.uniform(0.0, 0.8))
        world.gateway.kill()
    world.gateway.start()
    for client in clients:
        if client.failure is not None:
            raise client.failure


def _wait(seconds: float) -> None:
    """Random moments are what this is about."""
    time.sleep(seconds)


def _settle(world: World) -> None:
    """Faults end; what was put off for minutes is sent at once; then all deliveries must come to their end by themselves."""
    world.emulator.ask("DELETE", "/faults")
    left, until = 0, time.monotonic() + SETTLE
    while time.monotonic() < until:
        with world.store() as store:
            now = sum(count for state, count in store.counts().items() if state not in DONE)
        if not now:
            return
        if now != left:
            left, until = now, time.monotonic() + SETTLE
        world.gateway.run("queue", "send-now", "--state", "queued")


def _judge(world: World, ledger: Ledger, kills: int) -> Verdict:
    outside = world.emulator.ask("GET", "/outside", params={"limit": 10_000_000})["messages"]
    arrived = Counter((copy["subject"], copy["to"]) for copy in outside)
    with world.store() as store:
        found, _ = store.find(Query(), limit=10_000_000)
    known = Counter((each.message.subject, each.delivery.recipient) for each in found)
    untrue = [f"{copy} is {count} times in the queue" for copy, count in known.items() if count > 1]
    untrue += [f"{copy} was accepted and is not in the queue" for copy in ledger.accepted - set(known)]
    untrue += [f"{copy} arrived and was never handed in" for copy in set(arrived) - ledger.handed_in]
    for each in found:
        copy = (each.message.subject, each.delivery.recipient)
        if each.delivery.state not in DONE or not arrived[copy]:
            untrue.append(f"{copy} is {each.delivery.state.value} and arrived {arrived[copy]} times: {each.delivery.reply}")
    return Verdict(
        kills=kills,
        accepted=len(ledger.accepted),
        unanswered=len(ledger.handed_in - ledger.accepted),
        arrived=sum(arrived.values()),
        lost=tuple(sorted(ledger.accepted - set(arrived))),
        twice=tuple(sorted(copy for copy, count in arrived.items() if count > 1)),
        untrue=tuple(sorted(untrue)),
        refused=tuple(f"{count} x {why}" for why, count in ledger.refused.items()),
    )


def main() -> int:
    """0 if nothing was lost and nothing came twice."""
    parser = argparse.ArgumentParser(prog="make crash", description="Kill the gateway N times under load.")
    parser.add_argument("kills", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)), help="repeats the same sequence of moments and faults")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mailroom-crash-"))
    print(f"{asked.kills} kills, seed {asked.seed}, in {folder}", flush=True)
    verdict = run(folder, asked.kills, asked.seed, progress=True)
    if verdict.good:
        shutil.rmtree(folder)
    else:
        print(verdict.details())
    print(verdict)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
