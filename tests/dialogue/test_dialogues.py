"""SMTP scripts as text, each against a real socket. See README.md for how they are written."""

from __future__ import annotations

import asyncio
import shlex
import ssl
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.tls import Certificates
from mailroom_core.errors import Refused
from tests.contract.listen.certificates import server_files
from tests.contract.listen.fakes import Accepted, FakeDoor, listening, mx_listening

HERE = Path(__file__).parent
PATIENCE = 10.0
"""Seconds after which a reply will never come."""

KINDS = ("C", "RAW", "S", "HELLO", "TLS", "END", "ACCEPTED", "NOTHING ACCEPTED")


@dataclass(frozen=True)
class Step:
    line: int
    kind: str
    text: str


@dataclass(frozen=True)
class Script:
    settings: dict[str, str]
    steps: list[Step]


def read(path: Path) -> Script:
    settings: dict[str, str] = {}
    steps: list[Step] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        kind, colon, text = line.partition(":")
        assert colon, f"{path.name}:{number}: no colon"
        text = text.removeprefix(" ")
        if kind == "WITH":
            settings |= dict(word.split("=", 1) for word in shlex.split(text))
        else:
            assert kind in KINDS, f"{path.name}:{number}: {kind}?"
            steps.append(Step(number, kind, text))
    return Script(settings, steps)


def unescape(text: str) -> bytes:
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def door_of(settings: dict[str, str]) -> FakeDoor:
    door = FakeDoor()
    if settings.pop("network", "on") == "off":
        door.networks = ()
    door.size = int(settings.pop("size", door.size))
    match settings.pop("accept", ""):
        case "":
            pass
        case "breaks":
            door.refusal = RuntimeError("secret detail")
        case refusal:
            code, enhanced, text = refusal.split(" ", 2)
            door.refusal = Refused(int(code), enhanced, text)
    return door


def listener_of(settings: dict[str, str]) -> Listener:
    networks = tuple(ip_network(network) for network in settings.pop("networks", "").split())
    legacy = settings.pop("legacy", "off") == "on"
    return Listener(port=0, tls=TlsMode(settings.pop("tls", "none")), legacy=legacy, networks=networks)


def limits_of(settings: dict[str, str]) -> Limits:
    limits = Limits(linger=timedelta(milliseconds=200), login_delay=timedelta(0), handshake=timedelta(seconds=5))
    if settings.pop("loopback_login", "off") == "on":
        limits = replace(limits, clear_text_login_on_loopback=True)
    greet_pause, tarpit = (timedelta(milliseconds=int(settings.pop(f"{name}_ms", 0))) for name in ("greet_pause", "tarpit"))
    limits = replace(limits, greet_pause=greet_pause, tarpit=tarpit)
    if "idle_ms" in settings:
        limits = replace(limits, idle=timedelta(milliseconds=int(settings.pop("idle_ms"))))
    numbers: dict[str, Any] = {name: int(settings.pop(name)) for name in list(settings)}
    return replace(limits, **numbers)


class Talk:
    """The client's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: FakeDoor) -> None:
        self.reader = reader
        self.writer = writer
        self.door = door
        self.unsent = b""
        self.accepted = 0

    async def step(self, step: Step) -> None:
        match step.kind:
            case "C":
                self.unsent += step.text.encode() + b"\r\n"
            case "RAW":
                self.unsent += unescape(step.text)
            case "TLS":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                await asyncio.wait_for(self.writer.start_tls(context), PATIENCE)
            case "HELLO":
                self.unsent += b"EHLO app.example.com\r\n"
                await self.send()
                while not (await asyncio.wait_for(self.reader.readline(), PATIENCE)).startswith(b"250 "):
                    assert not self.reader.at_eof()
            case "END":
                await self.send()
                self.writer.write_eof()
            case "S":
                await self.send()
                await self.expect(step.text)
            case "ACCEPTED":
                await self.send()
                self.expect_accepted(self.door.accepted[self.accepted], step.text)
                self.accepted += 1
            case "NOTHING ACCEPTED":
                await self.send()
                assert self.door.accepted == []

    async def send(self) -> None:
        if self.unsent:
            self.writer.write(self.unsent)
            self.unsent = b""

    async def expect(self, wanted: str) -> None:
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
        got = line.decode("ascii").removesuffix("\r\n") if line else "<closed>"
        if wanted.endswith("..."):
            assert got.startswith(wanted[:-3])
        else:
            assert got == wanted

    @staticmethod
    def expect_accepted(accepted: Accepted, text: str) -> None:
        submission = accepted.submission
        envelope = f"{submission.sender or '<>'} -> {', '.join(submission.recipients)}"
        how = " ".join(part for part in (submission.authenticated, "tls" if submission.tls else "") if part)
        assert f"{envelope} | {how} | {accepted.raw!r}" == text


async def play(path: Path, spool: Path, *, mx: bool = False) -> None:
    script = read(path)
    settings = dict(script.settings)
    mx = settings.pop("mx", "off") == "on" or mx
    door, listener = door_of(settings), listener_of(settings)
    certificates = None if listener.mode is TlsMode.NONE else Certificates(server_files())
    made = mx_listening if mx else listening
    async with made(door, spool, listener=listener, limits=limits_of(settings), certificates=certificates) as running:
        host, port = running.addresses[0]
        talk = Talk(*await asyncio.open_connection(host, port), door)
        try:
            for step in script.steps:
                try:
                    await talk.step(step)
                except (AssertionError, TimeoutError, OSError) as problem:
                    raise AssertionError(f"{path.name}, line {step.line}: {step.kind}: {step.text}\n{problem!r}") from problem
        finally:
            talk.writer.close()


LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("path", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_the_dialogue_goes_as_written(path: Path, loop: Any, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(play(path, tmp_path))
    assert list(tmp_path.iterdir()) == []


OF_SUBMISSION = {
    *("addresses", "auth-in-a-mail", "auth-mistakes", "clear-text-login-on-loopback", "helo"),
    *("implicit-tls-and-auth-login", "legacy-network", "no-right", "starttls-and-auth-plain"),
}
"""About who may submit."""
EVERYWHERE = [path for path in sorted(HERE.glob("*.txt")) if path.stem not in OF_SUBMISSION and not path.stem.startswith("mx-")]


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.stem)
def test_the_same_holds_where_other_servers_bring_mail(path: Path, tmp_path: Path) -> None:
    asyncio.run(play(path, tmp_path, mx=True))
    assert list(tmp_path.iterdir()) == []
