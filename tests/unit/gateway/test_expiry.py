"""What ends by itself is told in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.cli.context import Context
from mailroom.objects import Account, Directory, GrantType, OutgoingServer, Provider, SmarthostRoute
from mailroom.vault.expiry import expiries, of_account
from mailroom_core.oauth.grants import Grant
from tests.contract.transports.certificates import Authority

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OFFICE = Account(name="office")


@pytest.mark.parametrize(("provider", "days"), [(Provider.MICROSOFT, 90), (Provider.GOOGLE, 182)])
def test_a_sign_in_ends_when_nobody_uses_it(provider: Provider, days: int) -> None:
    kept = {"refresh_token": "r", "used_at": NOW.isoformat()}
    (end,) = of_account(Account(name="a", provider=provider), {}, kept)
    assert (end.what, end.at) == ("sign-in", NOW + timedelta(days=days))
    assert not end.is_soon(end.at - timedelta(days=31))
    assert end.is_soon(end.at - timedelta(days=30))
    assert "ends in 30 days" in end.told(end.at - timedelta(days=30))
    assert "has ended" in end.told(end.at + timedelta(days=1))


def test_what_the_provider_says_of_the_end_goes_before() -> None:
    week = (NOW + timedelta(days=7)).isoformat()
    (end,) = of_account(OFFICE, {}, {"refresh_token": "r", "used_at": NOW.isoformat(), "ends_at": week})
    assert end.at == NOW + timedelta(days=7)


def test_app_only_has_no_sign_in_that_could_end_but_a_secret_does() -> None:
    app = Account(name="my app", grant=GrantType.APPLICATION)
    (end,) = of_account(app, {"secret": "s", "expires_on": "2027-05-01"}, {"refresh_token": "", "used_at": NOW.isoformat()})
    assert (end.what, end.at) == ("client secret", datetime(2027, 5, 1, tzinfo=UTC))
    assert "mailroom connect 'my app' --secret" in end.advice


def test_certificates_say_themselves_when_they_end(tmp_path: Path) -> None:
    file = Authority.make(tmp_path).issue("gateway.example")
    directory = Directory(1)
    directory.accounts["app"] = Account(name="app", grant=GrantType.APPLICATION)
    directory.servers["relay"] = OutgoingServer(name="relay", route=SmarthostRoute(host="r", client_certificate=str(file)))
    directory.servers["gone"] = OutgoingServer(name="gone", route=SmarthostRoute(host="r", client_certificate=str(tmp_path / "none")))
    found = expiries(directory, lambda name: {"certificate": file.read_text()} if name == "app:app" else None)
    assert [(each.owner, each.what) for each in found] == [("app", "certificate"), ("relay", "certificate")]
    assert all(each.is_soon(datetime.now(UTC)) for each in found)


def test_status_warns_of_what_ends_soon(tmp_path: Path) -> None:
    with Context(None, tmp_path).parts() as parts:
        parts.store.apply([Account(name="office", client_id="c")], [], by="test")
        parts.vault.seal("app:office", {"secret": "s", "expires_on": (datetime.now(UTC) + timedelta(days=9, hours=1)).date().isoformat()})
        parts.vault.keep("office", Grant("token", timedelta(hours=1), "refresh"))
    said = CliRunner().invoke(main, ["--data", str(tmp_path), "status"], catch_exceptions=False).output
    assert "The client secret of office ends in " in said
    assert "mailroom connect office --secret --secret-expires DATE" in said
    assert "sign-in" not in said
