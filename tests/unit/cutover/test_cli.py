"""`mailroom cutover`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailroom.cli import main
from mailroom.cli.context import Context


@pytest.fixture
def report(tmp_path: Path) -> str:
    file = tmp_path / "report.csv"
    file.write_bytes(
        "Sender address,TLS 1.2,Messages sent\nscanner@contoso.example,100,9\nerp@contoso.example,100,7\nx,1,1\n".encode("utf-16")
    )
    return str(file)


def run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--data", str(data / "data"), "cutover", *words], catch_exceptions=False)


def test_from_the_report_to_the_settings_and_back(tmp_path: Path, report: str) -> None:
    assert "Nobody is on the list yet" in run(tmp_path, "list").output
    shown = run(tmp_path, "preview", report).output
    assert "new application scanner" in shown
    assert "left out: line 4: x" in shown
    assert json.loads(run(tmp_path, "preview", report, "--json").stdout)[0]["what_happens"] == "new"
    assert "0 of 2 done" in run(tmp_path, "add", report).output
    assert "December 2026" in run(tmp_path, "list").output
    made = run(tmp_path, "password", "scanner@contoso.example")
    password = made.stdout.splitlines()[0]
    assert f"Password: {password}" in made.output
    with Context(None, tmp_path / "data").parts() as parts:
        assert parts.directory().applications["scanner"].senders == ("scanner@contoso.example",)
    assert run(tmp_path, "undo").exit_code == 1
    assert "is not on the list" in run(tmp_path, "undo", "other@contoso.example").output
    assert "erp@contoso.example is off the list" in run(tmp_path, "undo", "erp@contoso.example").output
    assert "scanner@contoso.example is off the list" in run(tmp_path, "undo", "--all").output
    assert json.loads(run(tmp_path, "list", "--json").stdout) == []


def test_one_address_alone(tmp_path: Path, report: str) -> None:
    run(tmp_path, "add", report, "--address", "erp@contoso.example")
    (only,) = json.loads(run(tmp_path, "list", "--json").stdout)
    assert (only["address"], only["state"], only["application"]) == ("erp@contoso.example", "waits", "erp")


def test_of_a_listener_on_any_free_port_no_port_is_made_up(tmp_path: Path, report: str) -> None:
    config = tmp_path / "mailroom.toml"
    config.write_text('[[listener]]\nhost = "127.0.0.1"\nport = 0\n')
    run(tmp_path, "add", report)
    words = ["--config", str(config), "--data", str(tmp_path / "data"), "cutover", "password", "scanner@contoso.example"]
    made = CliRunner().invoke(main, words, catch_exceptions=False)
    assert "Port: any free one, which only the running gateway knows" in made.output
    assert "Port: 0" not in made.output
    assert f"Password: {made.stdout.splitlines()[0]}" in made.output
