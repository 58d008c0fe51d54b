"""Secrets at rest: the database alone opens nothing."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from driver.vault import FILE, VARIABLE, Vault, load

from mailroom_core.errors import VaultError

KEY = bytes(range(32))


def test_what_was_sealed_is_opened_and_says_nothing_by_itself() -> None:
    vault = Vault(KEY)
    sealed = vault.seal("client secret", "s3cret")
    assert vault.open("client secret", sealed) == "s3cret"
    assert "s3cret" not in sealed
    assert vault.seal("client secret", "s3cret") != sealed


def test_a_sealed_text_is_worth_nothing_elsewhere() -> None:
    sealed = Vault(KEY).seal("access token of account 1", "token")
    for vault, name in ((Vault(KEY), "access token of account 2"), (Vault(bytes(32)), "access token of account 1")):
        with pytest.raises(VaultError, match="can't be opened"):
            vault.open(name, sealed)


@pytest.mark.parametrize("rubbish", ["", "sealed1:", "sealed1:AAAA", "clear text", "sealed1:ä"])
def test_rubbish_is_told_and_not_raised_as_something_else(rubbish: str) -> None:
    with pytest.raises(VaultError):
        Vault(KEY).open("client secret", rubbish)


def test_the_key_is_made_once_and_for_us_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    sealed = load(str(tmp_path)).seal("x", "kept")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert load(str(tmp_path)).open("x", sealed) == "kept"
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    load(str(tmp_path))
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        load(str(tmp_path))


def test_the_environment_goes_before_the_configuration_and_that_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, other = base64.b64encode(KEY).decode(), base64.b64encode(bytes(32)).decode()
    monkeypatch.setenv(VARIABLE, given)
    assert Vault(KEY).open("x", load(str(tmp_path), other).seal("x", "plain")) == "plain"
    monkeypatch.delenv(VARIABLE)
    assert Vault(bytes(32)).open("x", load(str(tmp_path), other).seal("x", "plain")) == "plain"
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 16).decode()])
def test_what_is_no_key_is_told_with_how_to_make_one(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(VaultError, match="openssl rand"):
        load(str(tmp_path))
