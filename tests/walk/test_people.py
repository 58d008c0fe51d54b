"""People and the real process: the link in the file, the sign-in, the proxy before it, and what is left on the disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demo.processes import TENANT, Emulator, Gateway

MARY, PASSWORD = "mary@contoso.example", "four horses in a kitchen"
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Gateway] = []

    def go(**environment: str) -> Gateway:
        gateway = Gateway(tmp_path / "gateway", environment)
        gateway.start()
        running.append(gateway)
        return gateway

    yield go
    for gateway in running:
        gateway.stop()


def browser(gateway: Gateway, **headers: str) -> httpx2.Client:
    return httpx2.Client(base_url=gateway.web, headers=headers, timeout=30, trust_env=False)


def post(client: httpx2.Client, path: str, page: str = "", **fields: str) -> httpx2.Response:
    found = CSRF.search(client.get(page or path).text)
    assert found
    return client.post(path, data={"csrf": found[1], **fields})


def set_up(gateway: Gateway, client: httpx2.Client) -> str:
    link = (gateway.data / "setup-link").read_text().strip()
    assert link.startswith(f"{gateway.web}/setup/")
    answer = post(client, link.removeprefix(gateway.web), name=MARY, password=PASSWORD, again=PASSWORD)
    assert answer.status_code == 303, answer.text
    return link


def logged(gateway: Gateway, event: str) -> list[dict[str, Any]]:
    lines = [line for line in gateway.output.read_text().splitlines() if line.startswith("{")]
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def test_the_first_administrator_and_what_is_left_behind(start: Start) -> None:
    gateway = start()
    file = gateway.data / "setup-link"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry["file"] for entry in logged(gateway, "set_up_needed")] == [str(file)]
    with browser(gateway) as client:
        link = set_up(gateway, client)
        assert client.get("/me").status_code == 200
        session = client.cookies["mailroom-session"]
    assert not file.exists()
    seen = gateway.output.read_bytes() + b"".join(path.read_bytes() for path in gateway.data.rglob("*") if path.is_file())
    for secret in (link.rpartition("/")[2], session, PASSWORD):
        assert secret.encode() not in seen
    assert MARY.encode() in seen
    rows = json.loads(gateway.run("user", "sessions", "--json"))
    assert [(row["name"], row["address"]) for row in rows] == [(MARY, "127.0.0.1")]
    with browser(gateway, cookie=f"mailroom-session={session}") as client:
        assert client.get("/me").status_code == 200
        gateway.run("user", "sessions", MARY, "--end")
        assert client.get("/me").status_code == 303


def test_a_link_that_nobody_has_used_is_still_good_after_another_start(start: Start) -> None:
    first = start(MAILROOM_PUBLIC_URL="http://mail.example.com")
    link = (first.data / "setup-link").read_text()
    assert link.startswith("http://mail.example.com/setup/")
    first.stop()
    first.start()
    assert (first.data / "setup-link").read_text() == link
    with browser(first) as client:
        path = link.strip().removeprefix("http://mail.example.com")
        assert post(client, path, name=MARY, password=PASSWORD, again=PASSWORD).status_code == 303
    first.stop()
    first.start()
    assert not (first.data / "setup-link").exists()
    assert len(logged(first, "set_up_needed")) == 2


def test_a_proxy_is_believed_only_if_it_is_named(start: Start) -> None:
    gateway = start()
    told = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    with browser(gateway, **told) as client:
        set_up(gateway, client)
    assert [entry["client"] for entry in logged(gateway, "signed_in")] == ["127.0.0.1"]
    gateway.stop()
    gateway.environment["MAILROOM_WEB_TRUSTED_PROXIES"] = "127.0.0.1"
    gateway.start()
    told["X-Forwarded-For"] = "198.51.100.66, 203.0.113.7"
    with browser(gateway, **told) as client:
        assert post(client, "/signin", name=MARY, password=PASSWORD).status_code == 303
    assert [entry["client"] for entry in logged(gateway, "signed_in")] == ["127.0.0.1", "203.0.113.7"], (
        "what the client itself wrote counts nowhere"
    )


def test_who_lies_about_the_address_does_not_escape_the_limits(start: Start) -> None:
    gateway = start()
    with browser(gateway) as client:
        set_up(gateway, client)
    statuses = []
    for number in range(12):
        with browser(gateway, **{"X-Forwarded-For": f"203.0.113.{number}"}) as client:
            statuses.append(post(client, "/signin", name=MARY, password="wrong").status_code)
    assert statuses == [401] * 10 + [429] * 2


def test_a_console_that_another_name_points_at_stays_closed(start: Start) -> None:
    gateway = start()
    with browser(gateway, host="evil.example") as client:
        assert client.get("/signin").status_code == 421
        assert client.get("/", headers={"X-Forwarded-Host": "127.0.0.1"}).headers.get("location", "") != "http://evil.example/"
    with browser(gateway) as client:
        assert client.get("/signin", headers={"X-Forwarded-Host": "evil.example"}).status_code == 200


def test_a_tenants_people_sign_in_with_microsoft(start: Start, tmp_path: Path) -> None:
    """Through the emulator, whose ID tokens look as Microsoft's do."""
    emulator = Emulator(tmp_path / "emulator")
    try:
        back = "http://127.0.0.1/signin/answer"
        app = {"client_id": "console", "secret": "the secret", "redirect_uris": [back], "name": "Mailroom"}
        emulator.ask("POST", "/apps", json=app)
        secret = tmp_path / "signin.secret"
        secret.write_text("the secret\n")
        gateway = start(
            MAILROOM_SIGNIN_ISSUER=f"{emulator.url}/{TENANT}/v2.0",
            MAILROOM_SIGNIN_CLIENT_ID="console",
            MAILROOM_SIGNIN_CLIENT_SECRET_FILE=str(secret),
            MAILROOM_SIGNIN_NAME="Microsoft",
            MAILROOM_SIGNIN_ADDRESS_CLAIM="preferred_username",
            MAILROOM_SIGNIN_DOMAINS="contoso.example",
            MAILROOM_SIGNIN_EVERYBODY="operator",
        )
        with browser(gateway) as client, httpx2.Client(timeout=30, trust_env=False) as microsoft:
            set_up(gateway, client)
            client.cookies.clear()
            assert "Sign in with Microsoft" in client.get("/signin").text
            away = client.get("/signin/provider?next=/me").headers["location"]
            answer = microsoft.get(f"{away}&login_hint=tom@contoso.example", headers={"x-emulator-auto": "1"})
            arrived = client.get(answer.headers["location"])
            assert (arrived.status_code, arrived.headers.get("location")) == (303, "/me"), arrived.text
            assert "tom@contoso.example, operator" in client.get("/me").text
            assert client.get(answer.headers["location"]).status_code == 401
        (row,) = [each for each in gateway.ask("user", "list") if each["name"] == "tom@contoso.example"]
        assert (row["role"], row["signs_in_by"]) == ("operator", ["provider"])
    finally:
        emulator.stop()
