"""An Exim of our own. Debian has Exim or Postfix on one machine, so its package is unpacked beside the system
(`tests/system-packages.sh`), and told by nss_wrapper of the user that installing it would have made."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import free_port, wait_for_port

UNPACKED = Path("/var/cache/mailroom-tests/exim")
_NOBODY = 65534
_CONFIGURATION = """\
exim_path = {binary}
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
primary_hostname = exim.example
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
acl_smtp_rcpt = accept
dsn_advertise_hosts = *
deliver_drop_privilege

begin routers

everything:
  driver = manualroute
  route_list = * 127.0.0.1::{next_hop} byname
  self = send
  transport = out

begin transports

out:
  driver = smtp
  allow_localhost
  hosts_avoid_tls = *
"""


class Exim:
    """Relays everything to `next_hop`, a port of this machine, and tries nothing twice. It never has the rights of root."""

    def __init__(self, folder: Path, next_hop: int) -> None:
        self.port = free_port()
        self._folder = folder / "exim"
        self._folder.mkdir(parents=True)
        nobody = None if os.geteuid() else _NOBODY
        user = nobody or os.geteuid()
        if nobody:
            folder.chmod(0o755)
            shutil.chown(self._folder, nobody, nobody)
        self._configuration = self._folder / "exim.conf"
        lines = _CONFIGURATION.format(binary=binary(), folder=self._folder, port=self.port, next_hop=next_hop)
        self._configuration.write_text(lines)
        (self._folder / "passwd").write_text(f"root:x:0:0:root:/:/bin/sh\nDebian-exim:x:{user}:{user}::/:/bin/false\n")
        (self._folder / "group").write_text(f"root:x:0:\nDebian-exim:x:{user}:\n")
        environment = {
            "LD_PRELOAD": str(next(UNPACKED.rglob("libnss_wrapper.so"))),
            "NSS_WRAPPER_PASSWD": str(self._folder / "passwd"),
            "NSS_WRAPPER_GROUP": str(self._folder / "group"),
        }
        words = [str(binary()), "-C", str(self._configuration), "-bdf"]
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=nobody,
                group=nobody,
                extra_groups=[] if nobody else None,
            )
        wait_for_port(self.port)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


def binary() -> Path:
    return UNPACKED / "usr/sbin/exim4"


def missing() -> str:
    """Why it can't run here; empty if it can."""
    if not binary().exists() or not any(UNPACKED.rglob("libnss_wrapper.so")):
        return f"Exim is not unpacked in {UNPACKED}: run tests/system-packages.sh as root"
    return ""


@contextmanager
def running(folder: Path, next_hop: int) -> Iterator[Exim]:
    """Started, and ended afterwards."""
    exim = Exim(folder, next_hop)
    try:
        yield exim
    finally:
        exim.stop()
