"""Which way out `mailroom connect` makes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailroom.cli import main, signin
from mailroom.cli.context import Context
from mailroom.objects import OutgoingServer
from mailroom.wiring import connecting
from mailroom_core.oauth.microsoft import Grant


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whoever is asked for signs in; what they may do is not the matter here."""
    grant = Grant("access", timedelta(hours=1), "refresh")

    async def unknown(*_: object) -> None: ...

    monkeypatch.setattr(signin, "sign_in", lambda parts, account, proof, **_: connecting.Signed(grant, account.mailbox))
    monkeypatch.setattr(connecting, "rights_of", unknown)
    return tmp_path


def run(data: Path, *words: str) -> str:
    done = CliRunner().invoke(main, ["--data", str(data), *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def connect(data: Path, name: str, *words: str) -> str:
    return run(data, "connect", name, "--client-id", "x", *words)


def servers(data: Path) -> dict[str, OutgoingServer]:
    with Context(None, data).parts() as parts:
        return dict(parts.directory().servers)


def test_the_first_way_out_serves_every_sender_and_the_next_one_its_mailbox_alone(data: Path) -> None:
    assert "serves every sender" in connect(data, "office", "--mailbox", "mary@example.com")
    assert "serves tom@example.com" in connect(data, "sales", "--mailbox", "tom@example.com")
    assert {name: server.from_filter for name, server in servers(data).items()} == {"office": (), "sales": ("tom@example.com",)}


def test_an_account_with_a_way_out_of_another_name_gets_no_second_one_when_it_is_connected_again(data: Path) -> None:
    connect(data, "office", "--mailbox", "mary@example.com", "--no-server")
    run(data, "server", "add-graph", "Microsoft 365", "--account", "office", "--from-filter", "example.com")
    connect(data, "office")
    assert list(servers(data)) == ["Microsoft 365"]


def test_beside_other_servers_an_account_without_a_mailbox_takes_nobodys_mail(data: Path) -> None:
    run(data, "server", "add-sink", "out")
    assert "No outgoing server was made" in connect(data, "office")
    assert list(servers(data)) == ["out"]


def test_an_account_is_disconnected_and_its_mail_waits(data: Path) -> None:
    connect(data, "office", "--mailbox", "mary@example.com", "--tenant", "example.com")
    said = run(data, "disconnect", "office")
    assert "office is disconnected" in said
    assert "myapps.microsoft.com" in said
    with Context(None, data).parts() as parts:
        assert parts.vault.open("account:office") is None
    unknown = CliRunner().invoke(main, ["--data", str(data), "disconnect", "nobody"])
    assert (unknown.exit_code, "there is no account" in unknown.output) == (1, True)
