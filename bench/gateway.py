"""The gateway as it is measured: its own process, its own data, a listener without TLS for one application on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.place import Place
from demo.processes import Gateway

CONFIGURATION = """\
[web]
port = 0
[[listener]]
port = 0
tls = "none"
"""
APPLICATION = """
[application.load]
networks = ["127.0.0.1/32"]
senders = ["bench.example", "contoso.example"]
"""
SMARTHOST = """
[server."next hop"]
from_filter = ["bench.example"]
smarthost = {{ host = "127.0.0.1", port = {port}, security = "none", connections = {connections} }}
"""


def prepared(place: Place, name: str, *, configuration: str = "", environment: Mapping[str, str] | None = None) -> Gateway:
    """Not started yet."""
    folder = place.folder / name
    folder.mkdir()
    (folder / "mailroom.toml").write_text(configuration + CONFIGURATION)
    return Gateway(folder, environment)


def configure(gateway: Gateway, objects: str) -> None:
    """Objects as `mailroom apply` takes them."""
    path = gateway.folder / "objects.toml"
    path.write_text(objects)
    gateway.run("apply", str(path))


def keep_log(place: Place, gateway: Gateway) -> None:
    """Its log, among what is kept."""
    shutil.copy(gateway.output, place.log(gateway.folder.name))


def relay(place: Place, name: str, next_hop: int, connections: int = 20) -> Gateway:
    """A running gateway that sends everything to `next_hop`, a port of this machine."""
    gateway = prepared(place, name)
    configure(gateway, APPLICATION + SMARTHOST.format(port=next_hop, connections=connections))
    gateway.start()
    return gateway


def database(gateway: Gateway) -> Path:
    return gateway.data / "mailroom.db"
