"""A door without a house, and a listener on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

from mailroom.accept import Submission
from mailroom.intake.arrive import Arriving
from mailroom.listen.door import Client
from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.mx import serve_mx
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


class FakeMxDoor:
    """The door of an MX listener, over what a `FakeDoor` keeps. It knows the addresses of example.net."""

    def __init__(self, door: FakeDoor) -> None:
        self.door = door

    def check_recipient(self, client: Client, address: str) -> None:
        if not address.endswith("@example.net"):
            raise Refused(550, "5.7.1", "Mail for this domain is not taken here: relaying denied")
        if address.startswith("nobody@"):
            raise Refused(550, "5.1.1", "There is no such address here. Please check how it is written")

    def postmaster(self) -> str:
        return "postmaster@example.net"

    async def accept(self, mail: Arriving) -> str:
        return await self.door.accept(
            Submission(
                application=ODOO,
                sender=mail.sender,
                recipients=mail.recipients,
                raw=mail.raw,
                spool=mail.spool,
                size=mail.size,
                client=str(mail.client),
                helo=mail.helo,
                tls="TLS" if mail.protocol.endswith("S") else "",
                authenticated="",
                protocol=mail.protocol,
            )
        )


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


@asynccontextmanager
async def mx_listening(
    door: FakeDoor, spool: Path, *, listener: Listener = PLAIN, limits: Limits | None = None, certificates: Certificates | None = None
) -> AsyncIterator[Running]:
    """An MX listener; its size is the door's."""
    limits = limits or Limits(linger=timedelta(milliseconds=200))
    running = await serve_mx(
        listener,
        FakeMxDoor(door),
        spool=spool,
        hostname="mail.example.com",
        certificates=certificates,
        limits=replace(limits, max_size=door.size),
        clock=lambda: 0.0,
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
