"""A scripted SMTP server for tests: a dictionary of replies, and every way to behave badly.

    async with SmtpServer(Script({"RCPT TO:<bad@": b"550 5.1.1 no such user\\r\\n"})) as server:
        ... connect to 127.0.0.1:server.port ...
        assert server.mails[0].recipients == ["good@example.com"]

A script's key is the beginning of a command, letter case does not count, the longest wins. Special keys: `GREETING`; `.` is the end
of the content; `BODY` comes as soon as content comes; `AFTER` comes after each mail, unasked. Each connection has its own script;
the last one serves all further connections.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType


class Act(Enum):
    HANG_UP = auto()
    RESET = auto()
    SILENCE = auto()
    """Say nothing more, and stay connected."""
    STOP_READING = auto()


@dataclass(frozen=True)
class Drip:
    """A byte now and then, never a whole reply."""

    what: bytes
    every: float = 0.02


Step = bytes | Act | Drip
Steps = Step | tuple[Step, ...]
Replies = Steps | list[Steps]
"""A list has one entry for each time; the last one stays."""

OFFERED = ("PIPELINING", "SIZE 300000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True)
class Script:
    """How one connection goes."""

    replies: Mapping[str, Replies] = field(default_factory=dict)
    offered: Sequence[str] = OFFERED
    auth: Mapping[str, Steps] = field(default_factory=dict)
    """What is answered to the lines of AUTH, in order of the dialogue; the key is only for the reader."""

    def find(self, line: str) -> str | None:
        """The key that fits a command best."""
        keys = [key for key in self.replies if line.upper().startswith(key.upper())]
        return max(keys, key=len) if keys else None


@dataclass(frozen=True)
class TakenMail:
    """A mail that the server said yes to."""

    mail_from: str
    recipients: list[str]
    content: bytes
    connection: int


class _Over(Exception):
    """The connection is over."""


class SmtpServer:
    """Listens on 127.0.0.1 at an ephemeral port while it is entered."""

    def __init__(
        self, *scripts: Script, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, keep: bool = True
    ) -> None:
        self.scripts = list(scripts) or [Script()]
        self.mails: list[TakenMail] = []
        self.commands: list[str] = []
        self.connections = 0
        self.content_bytes = 0
        self.port = 0
        self.keep = keep
        self.tls = tls
        self.starttls = starttls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> SmtpServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Take no more connections, and end those that stand."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.connections = self.connections, self.connections + 1
        script = self.scripts[min(number, len(self.scripts) - 1)]
        try:
            await _Session(self, script, number, reader, writer).run()
        except (_Over, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


class _Session:
    def __init__(self, server: SmtpServer, script: Script, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.script = script
        self.number = number
        self.reader = reader
        self.writer = writer
        self.buffer = b""
        self.sender = ""
        self.recipients: list[str] = []
        self.secure = server.tls is not None
        self.times: dict[str, int] = {}

    async def run(self) -> None:
        await self.say(self.scripted("GREETING", b"220 test ESMTP\r\n"))
        while True:
            line = (await self.line()).decode("utf-8", "replace")
            self.server.commands.append(line)
            await self.command(line)

    async def command(self, line: str) -> None:
        verb = line.split(" ")[0].upper()
        key = self.script.find(line)
        scripted = None if key is None else self.scripted(key, b"")
        if verb == "EHLO" and scripted is None:
            await self.say(self.ehlo())
        elif verb == "STARTTLS" and self.server.starttls and scripted is None:
            await self.say(b"220 2.0.0 go on\r\n")
            await self.writer.start_tls(self.server.starttls)
            self.secure = True
        elif verb == "AUTH" and scripted is None:
            await self.auth()
        elif verb in {"MAIL", "RCPT", "DATA"}:
            await self.envelope(verb, line, scripted)
        elif verb == "QUIT":
            await self.say(scripted or b"221 2.0.0 bye\r\n")
            raise _Over
        else:
            await self.say(scripted if scripted is not None else b"250 2.0.0 Ok\r\n")
            if verb == "RSET":
                self.sender, self.recipients = "", []

    def scripted(self, key: str, default: Steps) -> Steps:
        """What the script says this time."""
        found = self.script.replies.get(key, default)
        if not isinstance(found, list):
            return found
        number = self.times.get(key, 0)
        self.times[key] = number + 1
        return found[min(number, len(found) - 1)]

    def ehlo(self) -> bytes:
        offered = list(self.script.offered)
        if self.server.starttls and not self.secure:
            offered.append("STARTTLS")
        lines = ["test", *offered]
        return b"".join(f"250{'-' if i < len(lines) - 1 else ' '}{text}\r\n".encode() for i, text in enumerate(lines))

    async def auth(self) -> None:
        for steps in self.script.auth.values():
            await self.say(steps)
            if not (isinstance(steps, bytes) and steps.startswith(b"334")):
                return
            self.server.commands.append((await self.line()).decode())

    async def envelope(self, verb: str, line: str, scripted: Steps | None) -> None:
        """MAIL, RCPT, DATA in their order, as RFC 5321 4.1.4 wants it."""
        if (verb == "MAIL" and self.sender) or (verb == "RCPT" and not self.sender):
            await self.say(b"503 5.5.1 out of order\r\n")
            return
        if verb == "DATA" and not self.recipients and scripted is None:
            await self.say(b"554 5.5.1 no valid recipients\r\n")
            return
        default = b"354 go on\r\n" if verb == "DATA" else b"250 2.1.0 Ok\r\n"
        yes = scripted is None or _says_yes(scripted)
        if yes and verb == "MAIL":
            self.sender = line
        elif yes and verb == "RCPT":
            self.recipients.append(line[line.index("<") + 1 : line.rindex(">")])
        await self.say(scripted if scripted is not None else default)
        if yes and verb == "DATA":
            await self.content()

    async def content(self) -> None:
        content = await self.read_content()
        reply = self.scripted(".", b"250 2.0.0 Ok: queued as 4711\r\n")
        if _says_yes(reply):
            self.server.mails.append(TakenMail(self.sender, self.recipients, content, self.number))
        self.sender, self.recipients = "", []
        await self.say(reply)
        if "AFTER" in self.script.replies:
            await self.say(self.scripted("AFTER", b""))

    async def read_content(self) -> bytes:
        """Up to the dot, dots made single again; only counted if the server keeps nothing."""
        kept = []
        self.buffer = b"\r\n" + self.buffer
        while (end := self.buffer.find(b"\r\n.\r\n")) < 0:
            if "BODY" in self.script.replies and len(self.buffer) > 2:
                await self.say(self.scripted("BODY", b""))
            piece, self.buffer = self.buffer[:-4], self.buffer[-4:]
            self.server.content_bytes += len(piece)
            if self.server.keep:
                kept.append(piece)
            self.buffer += await self.more()
        kept.append(self.buffer[: end + 2])
        self.server.content_bytes += end
        self.buffer = self.buffer[end + 5 :]
        return b"".join(kept).replace(b"\r\n..", b"\r\n.")[2:] if self.server.keep else b""

    async def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self.buffer += await self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    async def more(self) -> bytes:
        data = await self.reader.read(1 << 17)
        if not data:
            raise _Over
        return data

    async def say(self, steps: Steps) -> None:
        for step in steps if isinstance(steps, tuple) else (steps,):
            match step:
                case bytes():
                    self.writer.write(step)
                    await self.writer.drain()
                case Drip(what, every):
                    for number in range(len(what)):
                        self.writer.write(what[number : number + 1])
                        await asyncio.sleep(every)
                    await self.reader.read()
                    raise _Over
                case Act.HANG_UP:
                    raise _Over
                case Act.RESET:
                    sock = self.writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.writer.transport.abort()
                    raise _Over
                case Act.STOP_READING:
                    await asyncio.Event().wait()
                case Act.SILENCE:
                    await self.reader.read()
                    raise _Over


def _says_yes(steps: Steps) -> bool:
    """Whether it begins with a 2yz or 3yz: the server means yes, even if it can't bring it to its end."""
    first = steps[0] if isinstance(steps, tuple) else steps
    return isinstance(first, bytes) and first[:1] in (b"2", b"3")
