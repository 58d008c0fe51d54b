"""The gateway as it is measured: its own process, its own data, a listener without TLS for one application on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError

import httpx2

from bench.place import Missing, Place
from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT, Emulator, Gateway

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
    try:
        gateway.run("apply", str(path))
    except CalledProcessError as problem:
        raise Missing(f"mailroom apply {path} said: {problem.stderr}") from None


@contextmanager
def running(place: Place, gateway: Gateway) -> Iterator[None]:
    """Started, and ended afterwards; its log is kept."""
    gateway.start()
    try:
        yield
    finally:
        gateway.stop()
        shutil.copy(gateway.output, place.log(gateway.folder.name))


def relay(place: Place, name: str, next_hop: int, connections: int = 20) -> Gateway:
    """Not started yet: one that sends everything to `next_hop`, a port of this machine."""
    gateway = prepared(place, name)
    configure(gateway, APPLICATION + SMARTHOST.format(port=next_hop, connections=connections))
    return gateway


def graph(gateway: Gateway, emulator: Emulator, *, application: str = "") -> None:
    """Connect mary's mailbox, and let an application of this machine send through it; `application` are more lines of its table."""
    gateway.connect(emulator, "office", "mary@contoso.example", "--no-server")
    server = '[server."Microsoft 365"]\ngraph = { account = "office" }\n'
    configure(gateway, gateway.run("export") + APPLICATION + application + server)


def database(gateway: Gateway) -> Path:
    return gateway.data / "mailroom.db"


def app_token(emulator: Emulator) -> str:
    """Of the tenant's confidential application, which may send as everybody."""
    form = {"client_id": CONFIDENTIAL_CLIENT, "client_secret": CONFIDENTIAL_SECRET, "grant_type": "client_credentials"}
    form["scope"] = "https://graph.microsoft.com/.default"
    answer = httpx2.post(f"{emulator.url}/{TENANT}/oauth2/v2.0/token", data=form, timeout=30, trust_env=False)
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token
