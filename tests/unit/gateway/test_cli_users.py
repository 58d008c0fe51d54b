from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailroom.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAILROOM_PUBLIC_URL", "https://mail.example.com")
    return lambda *words: CliRunner().invoke(main, ["--data", str(tmp_path / "data"), "user", *words], catch_exceptions=False)


def test_the_link_for_the_first_administrator_is_in_a_file_for_its_owner_alone_and_not_shown(run: Any, tmp_path: Path) -> None:
    said = run("setup-link")
    file = tmp_path / "data" / "setup-link"
    assert said.exit_code == 0, said.output
    assert str(file) in said.output
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_text()
    assert re.fullmatch(r"https://mail\.example\.com/setup/[\w-]{43}\n", first)
    assert first.strip().rpartition("/")[2] not in said.output
    run("setup-link")
    assert file.read_text() != first


def test_people_are_added_listed_changed_and_removed(run: Any) -> None:
    assert "Nobody yet" in run("list").output
    added = run("add", "Anna@Example.com", "--role", "operator")
    assert re.match(r"https://mail\.example\.com/welcome/[\w-]{43}\n", added.stdout)
    assert "a user anna@example.com already" in run("add", "anna@example.com").output
    assert "no e-mail address" in run("add", "anna").output
    assert run("role", "anna@example.com", "viewer").exit_code == 0
    (row,) = json.loads(run("list", "--json").stdout)
    assert (row["name"], row["role"], row["state"], row["second_factor"]) == ("anna@example.com", "viewer", "invited", "no")
    assert "Nobody is signed in" in run("sessions").output
    assert "0 sessions have ended" in run("sessions", "anna@example.com", "--end").output
    assert "say whose" in run("sessions", "--end").output
    assert re.match(r"https://mail\.example\.com/welcome/", run("reset", "anna@example.com", "--second-factor").stdout)
    assert run("remove", "anna@example.com").exit_code == 0
    assert "there is no user anna@example.com" in run("remove", "anna@example.com").output


def test_the_last_administrator_stays(run: Any) -> None:
    run("add", "mary@example.com", "--role", "admin")
    for words in (("remove", "mary@example.com"), ("role", "mary@example.com", "viewer")):
        answer = run(*words)
        assert answer.exit_code == 1
        assert "last active administrator" in answer.output
    assert "there is an administrator already" in run("setup-link").output
