"""A Postfix of our own beside the machine's: its own configuration, queue and port. Needs root, as Postfix does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.load import free_port, wait_for_port
from bench.place import Missing, Place, tool

_CONFIGURATION = Path(__file__).with_name("postfix.d")


class Postfix:
    """Relays everything to `next_hop`, a port of this machine, unless `main` says otherwise; `services` are further lines of master.cf."""

    def __init__(self, place: Place, next_hop: int, *, main: Mapping[str, object] | None = None, services: str = "") -> None:
        if os.geteuid() != 0:
            raise Missing("Postfix can only be started by root")
        self.port = free_port()
        self._folder = place.folder / "postfix"
        self._configuration = self._folder / "etc"
        self._configure(place, next_hop, main or {}, services)
        self._control("start")
        wait_for_port(self.port)
        self.pid = int((self._folder / "queue/pid/master.pid").read_text())

    def _configure(self, place: Place, next_hop: int, more: Mapping[str, object], services: str) -> None:
        place.folder.chmod(0o755)  # its daemons run as the user postfix
        for name in ("etc", "queue", "data"):
            (self._folder / name).mkdir(parents=True)
        shutil.chown(self._folder / "data", "postfix")
        log = self._folder / "mail.log"
        main = {
            "queue_directory": self._folder / "queue",
            "data_directory": self._folder / "data",
            "relayhost": f"[127.0.0.1]:{next_hop}",
            "maillog_file": log,
            "maillog_file_prefixes": self._folder,
            **more,
        }
        lines = (f"{name} = {value}\n" for name, value in main.items())
        (self._configuration / "main.cf").write_text((_CONFIGURATION / "main.cf").read_text() + "".join(lines))
        port = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        (self._configuration / "master.cf").write_text((_CONFIGURATION / "master.cf").read_text() + port + services)

    def _control(self, verb: str) -> None:
        words = [tool("postfix"), "-c", str(self._configuration), verb]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise Missing(f"postfix {verb} failed: {done.stderr.strip() or done.stdout.strip()}")

    def stop(self) -> None:
        self._control("stop")


@contextmanager
def running(place: Place, next_hop: int, *, main: Mapping[str, object] | None = None, services: str = "") -> Iterator[Postfix]:
    """Started, and ended afterwards."""
    postfix = Postfix(place, next_hop, main=main, services=services)
    try:
        yield postfix
    finally:
        postfix.stop()
