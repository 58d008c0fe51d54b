"""The control API, the seed and the command."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from mailroom_emulator.seed import SeedError, load
from tests.emulator.client import Tenant, mime, until

MARY = "mary@contoso.example"


def test_health_names_the_tenant(tenant: Tenant) -> None:
    assert tenant.control("GET", "/health")["domain"] == "contoso.example"


def test_an_account_can_be_added_given_rights_and_removed(tenant: Tenant) -> None:
    rights = {"sales@contoso.example": ["FullAccess", "SendAs"]}
    made = tenant.control("POST", "/accounts", {"upn": "new@contoso.example", "rights": rights})
    assert made["rights"] == rights
    new = tenant.user("new@contoso.example")
    assert new.at("sales@contoso.example").send_mime(mime(sender="sales@contoso.example")).status_code == 202
    tenant.control("POST", "/accounts/new@contoso.example/rights", {"sales@contoso.example": []})
    assert new.at("sales@contoso.example").send_mime(mime(sender="sales@contoso.example")).status_code == 403
    tenant.control("DELETE", "/accounts/new@contoso.example")
    assert new("GET", "").status_code == 401


def test_an_application_can_be_added(tenant: Tenant) -> None:
    row = {"client_id": "Odoo", "secret": "s", "redirect_uris": ["https://odoo.example/cb"], "audience": "AzureADMultipleOrgs"}
    assert tenant.control("POST", "/apps", row)["public"] is False
    answer = tenant.authorize(client_id="odoo", redirect_uri="https://odoo.example/cb")
    assert answer.headers["location"].startswith("https://odoo.example/cb?code=")


def test_revoking_can_kill_access_tokens_too(tenant: Tenant) -> None:
    mary = tenant.user()
    assert mary("GET", "").status_code == 200
    tenant.control("POST", f"/accounts/{MARY}/revoke")
    assert mary("GET", "").status_code == 200
    tenant.control("POST", f"/accounts/{MARY}/revoke", {"access_tokens": True})
    assert mary("GET", "").status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/switches", {"colour": "red"}),
        ("/switches", {"message_id": "lost"}),
        ("/switches", {"throttling": 1}),
        ("/switches", {"sent_lag_seconds": -1}),
        ("/accounts", {"upn": "nobody"}),
        ("/accounts", {"upn": "a@b", "colour": "red"}),
        ("/apps", {"client_id": "x", "roles": ["Mail.Everything"]}),
        ("/accounts/nobody@contoso.example/revoke", {}),
    ],
)
def test_mistakes_are_explained(tenant: Tenant, path: str, body: dict[str, object]) -> None:
    answer = tenant.http.post(f"{tenant.url}/_emulator{path}", json=body)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 15


def test_a_reset_forgets_everything(tenant: Tenant) -> None:
    mary = tenant.user()
    mary.send_mime(mime())
    tenant.switch(throttling=False)
    tenant.fault({"kind": "change_ids"})
    tenant.control("POST", "/clock", {"freeze": "2030-01-01T00:00:00Z"})
    tenant.control("POST", "/reset")
    assert tenant.outside() == []
    assert tenant.folder(MARY, "sentitems") == []
    assert tenant.control("GET", "/faults") == []
    assert tenant.control("GET", "/clock")["frozen"] is False
    assert all(s["value"] == s["default"] for s in tenant.control("GET", "/switches"))


def test_a_frozen_clock_stands_until_it_is_moved(tenant: Tenant) -> None:
    tenant.control("POST", "/clock", {"freeze": "2030-01-01T00:00:00Z"})
    assert tenant.control("POST", "/clock", {"advance": 30})["now"] == "2030-01-01T00:00:30+00:00"
    assert tenant.control("GET", "/clock")["now"] == "2030-01-01T00:00:30+00:00"
    assert tenant.control("POST", "/clock", {"freeze": False})["now"].startswith("2030-01-01T00:00:30")


SEED = """
[tenant]
id = "22222222-2222-2222-2222-222222222222"
domain = "fabrikam.example"

[[accounts]]
upn = "ann@fabrikam.example"
aliases = ["a@fabrikam.example"]

[[apps]]
client_id = "gateway"
secret = "s"
roles = ["Mail.Send"]

[switches]
message_id = "replaced_on_send"
"""


def test_the_command_serves_a_seeded_tenant(tmp_path: Path) -> None:
    seed, ready = tmp_path / "seed.toml", tmp_path / "ready.json"
    seed.write_text(SEED)
    command = [sys.executable, "-c", "from mailroom_emulator.cli import main; main()", "--port", "0"]
    process = subprocess.Popen([*command, "--seed", str(seed), "--ready-file", str(ready), "--data", str(tmp_path / "data")])
    try:
        until(ready.exists)
        url = json.loads(ready.read_text())["url"]
        assert httpx2.get(f"{url}/_emulator/health").json()["domain"] == "fabrikam.example"
        token = httpx2.post(
            f"{url}/fabrikam.example/oauth2/v2.0/token",
            data={
                "client_id": "gateway",
                "client_secret": "s",
                "grant_type": "client_credentials",
                "scope": "https://graph.microsoft.com/.default",
            },
        )
        assert token.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("text", ["[[accounts]]\nupn = 1", "colour = 1", "not toml", "[[apps]]\nclient_id='x'\nroles=['Fly']"])
def test_a_mistaken_seed_names_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed.toml"
    path.write_text(text)
    with pytest.raises(SeedError, match=r"seed\.toml"):
        load(path)
