"""Postfix's own tools at both ends: `smtp-source` sends, `smtp-sink` counts what arrives."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import time
from dataclasses import dataclass

from bench.place import Missing, Place, tool

SENDER = "load@bench.example"
RECIPIENT = "somebody@customer.example"
PATIENCE = 120.0
_LOOK_EVERY = 0.004
_COUNTER = re.compile(rb"mesg=(\d+)")


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of load. `size` is of the body in bytes; `together`: many mails over each connection, else one."""

    size: int
    together: bool
    sessions: int = 20

    @property
    def name(self) -> str:
        return f"{self.size // 1000} kB, {'many mails' if self.together else 'one mail'} per connection"


class Sink:
    """A running `smtp-sink`, whose counters are read from a pipe now and then."""

    def __init__(self, place: Place) -> None:
        self.port = free_port()
        words = [tool("smtp-sink"), "-c", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"]
        with place.log("smtp-sink").open("ab") as output:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=output, stdin=subprocess.DEVNULL)
        assert self.process.stdout is not None
        self._pipe = self.process.stdout.fileno()
        self._rest = b""
        self._count = 0
        wait_for_port(self.port)

    def count(self) -> int:
        """Mails that were taken so far."""
        while select.select([self._pipe], [], [], 0)[0] and (data := os.read(self._pipe, 1 << 16)):
            found = _COUNTER.findall(self._rest + data)
            self._rest = data[-100:]
            if found:
                self._count = int(found[-1])
        return self._count

    def wait(self, count: int) -> float:
        """Until so many were taken in all; when that was, by `time.monotonic`."""
        until = time.monotonic() + PATIENCE
        while self.count() < count:
            if time.monotonic() > until:
                raise Missing(f"after {PATIENCE:.0f} s only {self._count} of {count} mails have arrived")
            time.sleep(_LOOK_EVERY)
        return time.monotonic()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def send(place: Place, port: int, shape: Shape, messages: int) -> subprocess.Popen[bytes]:
    """Start `smtp-source`."""
    words = [tool("smtp-source"), "-s", str(shape.sessions), "-l", str(shape.size), "-m", str(messages), "-f", SENDER, "-t", RECIPIENT]
    words += ["-M", "load.bench.example", *(["-d"] if shape.together else []), f"127.0.0.1:{port}"]
    with place.log("smtp-source").open("ab") as output:
        return subprocess.Popen(words, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, patience: float = 15.0) -> float:
    """Until somebody greets there; when that was, by `time.monotonic`."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                if connection.recv(3) == b"220":
                    return time.monotonic()
        except OSError:
            time.sleep(0.005)
    raise Missing(f"nobody answers on port {port} after {patience:.0f} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it if it has not ended."""
    if process.poll() is None:
        process.kill()
    process.wait()
