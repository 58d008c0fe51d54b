"""A door without a house, and a listener on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

from mailroom.accept import Submission
from mailroom.listen.door import Client
from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.serving import Running
from mailroom.listen.submission import serve
from mailroom.listen.tls import Certificates
from mailroom.objects import Application
from mailroom_core.errors import Refused

ODOO = Application(name="odoo")


@dataclass
class Accepted:
    submission: Submission
    raw: bytes
    """Also if it lay in a file."""
    mode: int | None = None
    """Of that file."""


@dataclass
class FakeDoor:
    """Keeps what it accepts. Its only application is `odoo`, known by network, password or certificate."""

    networks: tuple[str, ...] = ("127.0.0.0/8",)
    credentials: dict[str, str] = field(default_factory=lambda: {"odoo": "correct horse"})
    certificates: tuple[str, ...] = ()
    senders: tuple[str, ...] = ("example.com",)
    size: int = 10_000
    refusal: Exception | None = None
    """What `accept` raises."""
    let_go: asyncio.Event | None = None
    """What `accept` waits for."""
    move_to: Path | None = None
    """Where `accept` moves a file to."""
    read: bool = True
    """Whether `accept` reads the bytes of a file."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: list[Accepted] = field(default_factory=list)

    def by_credential(self, user: str, secret: str) -> Application | None:
        return ODOO if self.credentials.get(user) == secret else None

    def by_network(self, client: Client) -> Application | None:
        return ODOO if any(client in ip_network(network) for network in self.networks) else None

    def by_certificate(self, sha256_hex: str) -> Application | None:
        return ODOO if sha256_hex in self.certificates else None

    def check_sender(self, application: Application, sender: str | None) -> None:
        if sender is not None and sender.partition("@")[2] not in self.senders:
            raise Refused(553, "5.7.1", f"The application {application.name} may not send as {sender}")

    def max_size(self, application: Application) -> int:
        return self.size

    async def accept(self, submission: Submission) -> str:
        self.came.set()
        if self.let_go is not None:
            await self.let_go.wait()
        if self.refusal is not None:
            raise self.refusal
        self.accepted.append(self._take(submission))
        return f"queued as {len(self.accepted)}"

    def _take(self, submission: Submission) -> Accepted:
        if submission.spool is None:
            assert submission.raw is not None
            assert len(submission.raw) == submission.size
            return Accepted(submission, submission.raw)
        assert submission.raw is None
        status = submission.spool.stat()
        assert status.st_size == submission.size
        raw = submission.spool.read_bytes() if self.read else b""
        if self.move_to is not None:
            submission.spool.rename(self.move_to)
        return Accepted(submission, raw, status.st_mode & 0o777)


PLAIN = Listener(port=0, tls=TlsMode.NONE)


@asynccontextmanager
async def listening(
    door: FakeDoor,
    spool: Path,
    *,
    listener: Listener = PLAIN,
    limits: Limits | None = None,
    certificates: Certificates | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[Running]:
    running = await serve(
        [listener],
        door,
        spool=spool,
        hostname="mail.example.com",
        certificates=certificates,
        limits=limits or Limits(linger=timedelta(milliseconds=200), login_delay=timedelta(0)),
        clock=clock,
    )
    try:
        yield running
    finally:
        await running.stop(timedelta(0))


async def until(condition: Callable[[], bool]) -> None:
    """Give way to the others until it is so."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
