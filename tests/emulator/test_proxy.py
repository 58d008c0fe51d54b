"""HTTPS and the proxy: software that believes that it talks to Microsoft."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from mailroom_emulator.server import Options, Running, in_thread
from tests.emulator.client import CONFIDENTIAL, GRAPH, SECRET, TENANT_ID

LOGIN = f"https://login.microsoftonline.com/{TENANT_ID}"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    with in_thread(Options(https_port=0, proxy_port=0, ca_file=ca_file)) as running:
        yield running


def trust(running: Running) -> ssl.SSLContext:
    assert running.ca_file is not None
    return ssl.create_default_context(cafile=str(running.ca_file))


@pytest.fixture
def microsoft(proxied: Running) -> Iterator[httpx2.Client]:
    """A client with nothing but HTTPS_PROXY and a CA."""
    httpx2.post(f"{proxied.url}/_emulator/reset")
    with httpx2.Client(proxy=proxied.proxy_url, verify=trust(proxied)) as http:
        yield http


def token(http: httpx2.Client) -> dict[str, str]:
    form = {
        "client_id": CONFIDENTIAL,
        "client_secret": SECRET,
        "grant_type": "client_credentials",
        "scope": f"{GRAPH}/.default",
    }
    answer = http.post(f"{LOGIN}/oauth2/v2.0/token", data=form)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_the_real_addresses_lead_to_the_emulator(microsoft: httpx2.Client) -> None:
    metadata = microsoft.get(f"{LOGIN}/v2.0/.well-known/openid-configuration").json()
    assert metadata["token_endpoint"] == f"{LOGIN}/oauth2/v2.0/token"
    headers = token(microsoft)
    mailbox = f"{GRAPH}/v1.0/users/sales@contoso.example"
    for number in range(11):
        made = microsoft.post(f"{mailbox}/messages", headers=headers, json={"subject": str(number)})
        assert made.status_code == 201
    page = microsoft.get(f"{mailbox}/messages", headers=headers).json()
    assert page["@odata.nextLink"].startswith(f"{mailbox}/messages?")
    url = f"{mailbox}/messages/{made.json()['id']}/attachments/createUploadSession"
    item = {"AttachmentItem": {"attachmentType": "file", "name": "f", "size": 3_500_000}}
    upload = microsoft.post(url, headers=headers, json=item).json()["uploadUrl"]
    assert upload.startswith("https://outlook.office.com/")
    sent = microsoft.put(upload, content=b"x" * 3_500_000, headers={"Content-Range": "bytes 0-3499999/3500000"})
    assert sent.status_code == 201


def test_a_fault_breaks_the_connection_through_the_proxy_too(microsoft: httpx2.Client, proxied: Running) -> None:
    headers = token(microsoft)
    fault = {"match": {"operation": "list"}, "action": {"kind": "drop"}}
    assert httpx2.post(f"{proxied.url}/_emulator/faults", json=fault).status_code == 201
    with pytest.raises(httpx2.TransportError):
        microsoft.get(f"{GRAPH}/v1.0/users/sales@contoso.example/messages", headers=headers)


def test_other_hosts_are_refused_with_a_hint(proxied: Running) -> None:
    with httpx2.Client(proxy=proxied.proxy_url, verify=trust(proxied)) as http, pytest.raises(httpx2.ProxyError, match="403"):
        http.get("https://example.com/")


def test_without_the_ca_nothing_is_trusted(proxied: Running) -> None:
    with httpx2.Client(proxy=proxied.proxy_url) as http, pytest.raises(httpx2.ConnectError, match="certificate"):
        http.get(f"{LOGIN}/v2.0/.well-known/openid-configuration")


def test_https_on_localhost(proxied: Running) -> None:
    with httpx2.Client(verify=trust(proxied)) as http:
        assert http.get(f"{proxied.https_url}/_emulator/health").status_code == 200
        by_address = str(proxied.https_url).replace("localhost", "127.0.0.1")
        assert http.get(f"{by_address}/_emulator/health").status_code == 200


def test_the_ca_is_no_secret(proxied: Running) -> None:
    assert proxied.ca_file is not None
    text = Path(proxied.ca_file).read_text()
    assert text.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in text
