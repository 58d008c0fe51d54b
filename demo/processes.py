"""The emulator and the gateway as processes of their own, as a user would start them. Tests and benchmarks use them as well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx2

TENANT = "11111111-1111-1111-1111-111111111111"
PUBLIC_CLIENT = "aaaaaaaa-0000-0000-0000-000000000001"
CONFIDENTIAL_CLIENT = "aaaaaaaa-0000-0000-0000-000000000002"
CONFIDENTIAL_SECRET = "emulator-secret"  # noqa: S105  # made up, and public
PATIENCE = 60.0
"""Seconds."""


class NotReady(Exception):
    """A process ended, or did not come up in time; the text has its last words."""


class Process:
    """A child with its output in a file."""

    def __init__(self, words: Sequence[str], folder: Path, name: str, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = folder / f"{name}.ready"
        self.ready_file.unlink(missing_ok=True)
        self.output = folder / f"{name}.log"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*words, "--ready-file", str(self.ready_file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            )

    def wait_ready(self) -> str:
        """What the process wrote when it was ready. One that is not ready in time is ended. Raises NotReady."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.ready_file.exists() and (text := self.ready_file.read_text()):
                return text
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.kill()
        raise NotReady(f"{self.output} ends with:\n{self.output.read_text()[-2000:]}")

    def kill(self) -> None:
        """As a power failure would; also called by who wants it to be gone for sure."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As a service manager would; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


class Emulator(Process):
    """A Microsoft 365 tenant; `contoso.example` with mary, tom, notifications, and the shared sales and info."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__([str(Path(sys.executable).with_name("mailroom-emulator")), "--port", "0", *options], folder, "emulator")
        self.url: str = json.loads(self.wait_ready())["url"]
        self.http = httpx2.Client(base_url=f"{self.url}/_emulator", timeout=30, trust_env=False)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """One call of the control API."""
        answer = self.http.request(method, path, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def outside(self, to: str | None = None) -> list[dict[str, Any]]:
        """What reached the outside world, one entry per recipient's copy."""
        found: list[dict[str, Any]] = self.ask("GET", "/outside", params={"limit": 100_000, **({"to": to} if to else {})})["messages"]
        return found

    def outside_raw(self, number: str) -> bytes:
        answer = self.http.get(f"/outside/{number}/raw")
        answer.raise_for_status()
        return answer.content

    def folder(self, account: str, folder: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"/accounts/{account}/folders/{folder}")["messages"]
        return found

    def deliver(self, account: str, raw: bytes) -> None:
        """A mail from outside arrives in a mailbox."""
        self.ask("POST", f"/accounts/{account}/deliver", content=raw)

    def reply(self, to: str, subject: str, text: str) -> None:
        """Who got this mail in the outside world answers it."""
        copy = next(copy for copy in self.outside(to) if copy["subject"] == subject)
        self.ask("POST", f"/outside/{copy['id']}/reply", json={"text": text})

    def fault(self, **fault: Any) -> Any:
        return self.ask("POST", "/faults", json=fault)

    def switch(self, **switches: Any) -> None:
        self.ask("POST", "/switches", json=switches)

    def sign_in(self, url: str) -> None:
        """What a person does in the browser: sign in, consent, and be sent back."""
        with httpx2.Client(follow_redirects=True, timeout=30, trust_env=False) as browser:
            answer = browser.get(url, headers={"x-emulator-auto": "1"})
            answer.raise_for_status()


class Gateway(Process):
    """A running gateway over a data directory of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data = folder / "data"
        self.environment = {"MAILROOM_SMTP_HOSTNAME": "gateway.test", **(environment or {})}
        config = folder / "mailroom.toml"
        if not config.exists():
            folder.mkdir(parents=True, exist_ok=True)
            config.write_text("[web]\nport = 0\n[[listener]]\nport = 0\n")
        self.words = [sys.executable, "-m", "mailroom.cli", "--config", str(config), "--data", str(self.data)]
        self.folder = folder
        self.host, self.port, self.web = "", 0, ""
        self.addresses: list[SplitResult] = []

    def launch(self) -> None:
        """Start it, and don't wait until it is ready."""
        super().__init__([*self.words, "serve"], self.folder, "gateway", self.environment)

    def start(self) -> None:
        self.launch()
        *listeners, self.web = self.wait_ready().split()
        self.addresses = [urlsplit(listener) for listener in listeners]
        self.host, self.port = self.addresses[0].hostname or "", self.addresses[0].port or 0

    def workers(self) -> list[int]:
        """The pids of the processes that deliver."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]
        except OSError:
            return []

    def kill(self) -> None:
        """As a power failure would: all of its processes at the same moment."""
        if self.process.poll() is None:
            for pid in [*self.workers(), self.process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def run(self, *words: str, stdin: str = "") -> str:
        """One command of the command line; its output. Raises CalledProcessError."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run([*self.words, *words], input=stdin, capture_output=True, text=True, env=environment, timeout=120, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, [*words], done.stdout, done.stderr)
        return done.stdout

    def ask(self, *words: str) -> Any:
        """One command with `--json`."""
        return json.loads(self.run(*words, "--json"))

    def connect(self, emulator: Emulator, name: str = "office", mailbox: str = "mary@contoso.example", *options: str) -> None:
        """`mailroom connect` by the code flow, with a browser that signs in."""
        words = ["connect", name, "--mailbox", mailbox, "--client-id", PUBLIC_CLIENT, "--login-url", emulator.url]
        words += ["--graph-url", emulator.url, "--no-browser", *options]
        environment = {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [*self.words, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as command:
            assert command.stdout is not None
            said = ""
            for line in command.stdout:
                said += line
                if line.strip().startswith(emulator.url):
                    emulator.sign_in(line.strip())
        if command.returncode:
            raise subprocess.CalledProcessError(command.returncode, words, said)
