"""A PostgreSQL of our own for the tests: a cluster in a temporary folder that answers on a unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

USER = "mailroom"


def programs() -> Path | None:
    """The folder of the newest server, if there is one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).parent if on_path else None


class Cluster:
    """Runs until `running` ends. Databases are copies of a template, which is quicker than making their tables."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._made = 0

    @property
    def folder(self) -> str:
        """Where its socket lies: a host name for clients."""
        return str(self._socket)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self._socket}"

    def create(self, template: str = "template0") -> str:
        """The name of a new database."""
        self._made += 1
        name = f"d{self._made}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        self._run(f"DROP DATABASE {database} WITH (FORCE)")

    def ready(self) -> bool:
        try:
            self._run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, statement: str) -> None:
        with psycopg.connect(host=str(self._socket), user=USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running(bin_folder: Path, *, durable: bool = False) -> Iterator[Cluster]:
    """Not as root: PostgreSQL refuses that, so that it runs as `nobody` then. `durable` is for measurements: a commit is on the disk."""
    folder = Path(tempfile.mkdtemp(prefix="mailroom-pg-"))
    data = folder / "data"
    who = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    user, group = (who.pw_uid, who.pw_gid) if who else (None, None)
    if who:
        os.chown(folder, who.pw_uid, who.pw_gid)
    initdb: list[str | Path] = [bin_folder / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, user=user, group=group, cwd=folder)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "shared_buffers=32MB"]
    options += [] if durable else ["-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([bin_folder / "postgres", "-D", data, *options], stderr=log, user=user, group=group, cwd=folder)
    try:
        cluster = Cluster(folder)
        deadline = time.monotonic() + 30
        while not cluster.ready():
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start within 30 s"
            time.sleep(0.05)
        yield cluster
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)
