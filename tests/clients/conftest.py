"""Microsoft, as software that we did not write sees it.

The emulator runs as a process of its own. The libraries are told nothing about it: they ask for login.microsoftonline.com
and graph.microsoft.com over HTTPS, and the environment variables that they document (`HTTPS_PROXY`, `REQUESTS_CA_BUNDLE`,
`SSL_CERT_FILE`) lead them to its proxy and make them trust its authority.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.person import MARY, Person
from tests.emulator.client import CONFIDENTIAL, Tenant, until
from tests.emulator.test_sign_in import Certificate

COMMAND = Path(sys.executable).with_name("mailroom-emulator")
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Address:
    """Where the emulator listens: `url` for its control API, `proxy` and the CA file `ca` for everybody else."""

    url: str
    proxy: str
    ca: Path


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    folder = tmp_path_factory.mktemp("emulator")
    ready, ca = folder / "ready.json", folder / "ca.pem"
    process = subprocess.Popen(
        [COMMAND, "--port", "0", "--proxy-port", "0", "--ca-file", ca, "--ready-file", ready],
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None, "the emulator did not start; what it says is above"
        told = json.loads(ready.read_text())
        yield Address(told["url"], told["proxy_url"], ca)
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def microsoft(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the libraries' documents offer: a proxy and an authority, by environment."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", address.proxy)
    for name in CERTIFICATE_VARIABLES:
        monkeypatch.setenv(name, str(address.ca))


@pytest.fixture
def tenant(address: Address, microsoft: None) -> Iterator[Tenant]:
    """The control API of an emulator that was just set back."""
    with Tenant(address.url) as client:
        client.control("POST", "/reset")
        yield client


@pytest.fixture
def person(tenant: Tenant) -> Iterator[Person]:
    with Person() as person:
        yield person


@pytest.fixture
def desktop(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A desktop whose browser is Mary's."""

    def open_page(url: str, new: int = 0, autoraise: bool = True) -> bool:
        threading.Thread(target=person.sign_in_and_arrive, args=(url, MARY)).start()
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)


@pytest.fixture(scope="session")
def certificate() -> Certificate:
    return Certificate()


@pytest.fixture
def registered(tenant: Tenant, certificate: Certificate) -> Certificate:
    """The certificate, made in this run and registered with the confidential client."""
    tenant.control("POST", f"/apps/{CONFIDENTIAL}/certificates", content=certificate.pem)
    return certificate
