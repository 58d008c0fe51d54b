"""nginx before the web address, with the very lines of docs/deploy.md."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import httpx2
import pytest

from demo.processes import Gateway
from mailroom.listen.tls import self_signed

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="the package nginx-light is missing")

DEPLOY = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
MARY, PASSWORD = "mary@contoso.example", "four horses in a kitchen"
ELSEWHERE = "127.0.0.2"
"""Where the browser is: on Linux all of 127.0.0.0/8 is this machine."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def configuration(folder: Path, port: int, gateway: str) -> str:
    (server,) = re.findall(r"^```nginx\n(.*?)^```", DEPLOY, re.MULTILINE | re.DOTALL)
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "server_name mail.example.com;": "server_name localhost;",
        "/etc/letsencrypt/live/mail.example.com/fullchain.pem": str(folder / "tls.crt"),
        "/etc/letsencrypt/live/mail.example.com/privkey.pem": str(folder / "tls.key"),
        "http://127.0.0.1:8020": gateway,
    }
    for line, ours in changes.items():
        assert line in server
        server = server.replace(line, ours)
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\nhttp {{ access_log off; {places}\n{server}}}\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    port = free_port()
    url = f"https://localhost:{port}"
    gateway = Gateway(folder / "gateway", {"MAILROOM_PUBLIC_URL": url, "MAILROOM_WEB_TRUSTED_PROXIES": "127.0.0.1"})
    gateway.start()
    files = self_signed(folder, ["localhost"], now=datetime.now(timezone.utc))
    (folder / "nginx.conf").write_text(configuration(folder, port, gateway.web))
    assert NGINX
    with subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]) as nginx:
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until and nginx.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield gateway, url, ssl.create_default_context(cafile=str(files.certificate))
        finally:
            nginx.terminate()
            gateway.stop()


def browser(url: str, trust: ssl.SSLContext, **headers: str) -> httpx2.Client:
    transport = httpx2.HTTPTransport(verify=trust, local_address=ELSEWHERE)
    return httpx2.Client(base_url=url, transport=transport, headers=headers, timeout=30)


def test_people_sign_in_through_the_proxy(site: tuple[Gateway, str, ssl.SSLContext]) -> None:
    gateway, url, trust = site
    link = (gateway.data / "setup-link").read_text().strip()
    assert link.startswith(f"{url}/setup/")
    with browser(url, trust, **{"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}) as client:
        found = CSRF.search(client.get(link).text)
        assert found
        answer = client.post(link, data={"csrf": found[1], "name": MARY, "password": PASSWORD, "again": PASSWORD})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        (cookie,) = [each for each in answer.headers.get_list("set-cookie") if "session=" in each]
        assert cookie.startswith("__Host-mailroom-session=")
        assert "; Secure" in cookie
        assert client.get("/me").status_code == 200
    (session,) = gateway.ask("user", "sessions")
    assert session["address"] == ELSEWHERE, "what the browser wrote into X-Forwarded-For counts nowhere"
    lines = [json.loads(line) for line in gateway.output.read_text().splitlines() if line.startswith("{")]
    assert [line["client"] for line in lines if line["event"] == "signed_in"] == [ELSEWHERE]


def test_what_is_for_supervisors_stays_inside(site: tuple[Gateway, str, ssl.SSLContext]) -> None:
    gateway, url, trust = site
    with browser(url, trust) as client:
        assert [client.get(path).status_code for path in ("/metrics", "/ready", "/health")] == [404] * 3
        assert client.get("/v1/docs").status_code == 200
    with httpx2.Client(base_url=gateway.web, trust_env=False) as inside:
        assert inside.get("/health").status_code == 200


def test_a_large_mail_goes_through_or_is_told_why_not(site: tuple[Gateway, str, ssl.SSLContext]) -> None:
    gateway, url, trust = site
    gateway.run("server", "add-sink", "nowhere")
    gateway.run("app", "add", "erp", "--sender", "contoso.example")
    token = gateway.run("token", "add", "erp", "--scope", "messages:send", "--application", "erp").strip()
    mail = f"From: {MARY}\r\nTo: a@x.example\r\nSubject: large\r\n\r\n".encode() + (b"x" * 76 + b"\r\n") * 130_000

    def post(path: str, bearer: str) -> httpx2.Response:
        headers = {"Content-Type": "message/rfc822", "Authorization": f"Bearer {bearer}"}
        with browser(url, trust) as client:  # each time a new one: nginx may close where it has promised to go on
            return client.post(path, content=mail, headers=headers, params={"sender": MARY, "recipient": "a@x.example"})

    assert [post("/v1/messages", "of-nobody").status_code for _ in range(20)] == [401] * 20
    assert post("/v1/nothing", token).status_code == 404
    until = time.monotonic() + 20
    while (answer := post("/v1/messages", token)).status_code == 401 and time.monotonic() < until:
        time.sleep(0.2)  # the gateway notices a new token within a second
    assert answer.status_code == 202, answer.text
