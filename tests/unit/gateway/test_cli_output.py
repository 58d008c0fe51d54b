"""What the command line prints: tables, times, counts and mistakes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from mailroom import serve
from mailroom.cli import main
from mailroom.cli.context import Context, counted, show
from mailroom.cli.running import counters
from mailroom.settings import Settings
from mailroom.store.lock import WriteLock
from mailroom.wiring.parts import open_parts
from mailroom_core.errors import ConfigError
from mailroom_core.model import LaneName

ROW = {
    "id": "06xqfhxnc2400",
    "accepted": datetime(2026, 11, 20, 22, 0, 1, tzinfo=timezone(timedelta(hours=2))),
    "from": "mary.of.the.long.address@example.com",
    "to": "somebody@else.example",
    "subject": "A subject of forty characters, no more  ",
    "state": "queued",
    "next": datetime(2026, 11, 20, 20, 1, 1, tzinfo=UTC),
    "reply": "451 4.7.1 A reply that goes on and on and would fill several lines of any terminal that people use",
}


def printed(row: dict[str, Any], **environment: str) -> str:
    @click.command()
    def command() -> None:
        show([row], as_json=False, empty="", spare=("accepted", "from", "subject"))

    return click.unstyle(CliRunner().invoke(command, env=environment, catch_exceptions=False).stdout)


def run(data: Path, *words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["--data", str(data), *words], input=given, catch_exceptions=False)


def test_in_a_pipe_each_row_is_one_whole_line() -> None:
    lines = printed(ROW, COLUMNS="80").splitlines()
    assert len(lines) == 2
    assert all(str(ROW[name]).strip() in lines[1] for name in ("id", "from", "to", "subject", "reply"))
    assert lines[1] == lines[1].rstrip()


def test_in_a_narrow_terminal_the_id_stays_whole_and_the_reply_is_cut() -> None:
    lines = printed(ROW, COLUMNS="80", FORCE_COLOR="1").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("06xqfhxnc2400 ")
    assert "somebody@else.example" in lines[1]
    assert lines[1].rstrip().endswith("…")
    assert max(map(len, lines)) <= 80


def test_times_are_utc_and_say_so() -> None:
    header, line = printed(ROW).splitlines()
    assert "ACCEPTED (UTC)" in header
    assert "20 Nov 20:00:01" in line


def test_a_name_between_colons_is_no_picture() -> None:
    assert "graph:office:mary@example.com" in printed({"lane": "graph:office:mary@example.com", "held": "[bold]"})


@pytest.mark.parametrize(("number", "text"), [(0, "0 deliveries"), (1, "1 delivery"), (2, "2 deliveries")])
def test_one_is_counted_as_one(number: int, text: str) -> None:
    assert counted(number, "delivery", "deliveries") == text


def test_all_mistakes_are_told_in_one_style(tmp_path: Path) -> None:
    ours = run(tmp_path, "--config", str(tmp_path / "nowhere.toml"), "status")
    clicks = run(tmp_path, "app", "remove", "nobody")
    assert (ours.exit_code, clicks.exit_code) == (1, 1)
    assert ours.stderr.startswith("Error: ")
    assert clicks.stderr.startswith("Error: ")


def test_an_id_with_a_wrong_letter_is_explained(tmp_path: Path) -> None:
    shown = run(tmp_path, "queue", "show", "06xqfhxnc240u")
    assert (shown.exit_code, "is not an id" in shown.stderr) == (1, True)


# ---- applications and servers ---------------------------------------------------------------------------------------


def test_an_application_without_a_password_says_who_comes_in_as_it(tmp_path: Path) -> None:
    added = run(tmp_path, "app", "add", "printer", "--no-password", "--network", "192.168.1.20", "--sender", "mary@example.com")
    assert "192.168.1.20/32" in added.stdout
    assert "anybody" not in added.output
    assert "nobody can submit" in run(tmp_path, "app", "add", "nothing", "--no-password", "--sender", "example.com").stdout


def test_an_application_without_a_sender_says_that_it_may_send_as_anybody(tmp_path: Path) -> None:
    assert "may send as anybody" in run(tmp_path, "app", "add", "odoo").stderr


def test_an_empty_password_changes_nothing(tmp_path: Path) -> None:
    words = ("server", "add-smarthost", "relay", "--host", "relay.example", "--user", "mary")
    assert run(tmp_path, *words, given="\n").exit_code == 1
    assert json.loads(run(tmp_path, "server", "list", "--json").stdout) == []
    assert run(tmp_path, *words, given="secret\n").exit_code == 0
    assert run(tmp_path, "server", "password", "relay", given="\n").exit_code == 1
    parts = open_parts(Settings(data=tmp_path))
    try:
        assert parts.vault.open("server:relay") == {"password": "secret"}
    finally:
        parts.close()


def test_a_sink_may_serve_some_senders_only(tmp_path: Path) -> None:
    run(tmp_path, "server", "add-sink", "try", "--priority", "3", "--from-filter", "example.com")
    assert "priority = 3" in (exported := run(tmp_path, "export").stdout)
    assert 'from_filter = ["example.com"]' in exported


def test_what_is_unsure_may_be_retried_over_graph(tmp_path: Path) -> None:
    objects = tmp_path / "objects.toml"
    objects.write_text("[account.office]\n")
    run(tmp_path, "apply", str(objects))
    assert run(tmp_path, "server", "add-graph", "m365", "--account", "office", "--on-unsure", "retry").exit_code == 0
    assert 'on_unsure = "retry"' in run(tmp_path, "export").stdout


# ---- running --------------------------------------------------------------------------------------------------------


def test_data_and_metrics_are_for_the_owner_only(tmp_path: Path) -> None:
    folder = counters(tmp_path / "data", 7)
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent, tmp_path / "data")] == [0o700] * 3


def test_a_second_gateway_says_that_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(serve, "LOCK_WAIT", 0.0)
    with serve.one_gateway(tmp_path), pytest.raises(ConfigError, match="stop it first"), serve.one_gateway(tmp_path):
        pass
    assert capsys.readouterr().err.count("waiting up to 0 seconds") == 1


# ---- mail -----------------------------------------------------------------------------------------------------------


def test_mail_into_a_held_lane_says_at_once_why_it_waits(tmp_path: Path) -> None:
    run(tmp_path, "server", "add-sink", "out")
    send = ("send", "--from", "mary@example.com", "--to", "bob@else.example")
    run(tmp_path, *send, "--no-wait")
    with Context(None, tmp_path).parts() as parts:
        parts.store.hold_lane(LaneName("sink:out"), "a person is asked for")
    sent = run(tmp_path, *send)
    assert sent.exit_code == 1
    assert "a person is asked for" in sent.stdout
    assert "mailroom queue free sink:out" in sent.stdout
    assert "1 lane goes on." in run(tmp_path, "queue", "free", "sink:out").stdout


@pytest.mark.parametrize("words", [("status",), ("queue", "list"), ("queue", "show", "06xqfhxnc2400"), ("export",), ("app", "list")])
def test_a_command_that_only_looks_waits_for_nobody_who_writes(tmp_path: Path, words: tuple[str, ...]) -> None:
    run(tmp_path, "server", "add-sink", "out")
    lock = WriteLock(tmp_path / "mailroom.db")
    with ThreadPoolExecutor(1) as another, lock.held():
        looked = another.submit(run, tmp_path, *words).result(timeout=10)
    lock.close()
    assert looked.output


def test_apply_says_which_webhooks_have_no_secret_yet(tmp_path: Path) -> None:
    file = tmp_path / "objects.toml"
    file.write_text('[webhook."my shop"]\nurl = "https://shop.example/hook"\n')
    said = run(tmp_path, "apply", str(file)).stderr
    assert "mailroom webhook rotate 'my shop'" in said
    secret = run(tmp_path, "webhook", "rotate", "my shop").stdout.strip()
    assert secret.startswith("whsec_")
    assert "no secret" not in run(tmp_path, "apply", str(file)).stderr
    assert secret not in run(tmp_path, "export").stdout


OFFICE = '[account.office]\nclient_id = "x"\n'
RELAY = '[server.relay]\nsmarthost = { host = "relay.example", user = "u" }\n'
DESK = '[destination.desk]\nodoo = { url = "https://odoo.example", database = "d", user = "u" }\n'


@pytest.mark.parametrize(
    ("before", "after", "secrets"),
    [
        (OFFICE, OFFICE + 'login_url = "https://elsewhere.example"\n', ["account:office", "app:office"]),
        (OFFICE, OFFICE + 'graph_url = "https://elsewhere.example"\n', ["account:office", "app:office"]),
        (OFFICE, OFFICE + 'cloud = "china"\n', ["account:office", "app:office"]),
        (OFFICE, OFFICE + 'provider = "google"\n', ["account:office", "app:office"]),
        (OFFICE, OFFICE.replace('"x"', '"y"'), ["account:office", "app:office"]),
        (OFFICE, "", ["account:office", "app:office"]),
        (RELAY, RELAY.replace("relay.example", "elsewhere.example"), ["server:relay"]),
        (RELAY, "", ["server:relay"]),
        (DESK, DESK.replace("odoo.example", "elsewhere.example"), ["destination:desk"]),
    ],
)
def test_apply_leaves_the_secrets_of_another_place_behind(tmp_path: Path, before: str, after: str, secrets: list[str]) -> None:
    file = tmp_path / "objects.toml"
    file.write_text(before)
    run(tmp_path, "apply", str(file))
    parts = open_parts(Settings(data=tmp_path))
    try:
        for name in secrets:
            parts.vault.seal(name, {"secret": "s"})
        run(tmp_path, "apply", str(file))
        assert parts.store.secrets() == secrets
        file.write_text(after)
        run(tmp_path, "apply", str(file), "--dry-run")
        assert parts.store.secrets() == secrets
        said = run(tmp_path, "apply", str(file)).stderr
        assert parts.store.secrets() == []
        assert ("mailroom connect office" in said) is (before == OFFICE and after != "")
    finally:
        parts.close()


def test_a_server_that_is_removed_takes_its_password_along(tmp_path: Path) -> None:
    """Who comes under the same name with another host must not get it."""
    file = tmp_path / "objects.toml"
    file.write_text(RELAY)
    run(tmp_path, "apply", str(file))
    parts = open_parts(Settings(data=tmp_path))
    try:
        parts.vault.seal("server:relay", {"password": "p"})
        run(tmp_path, "server", "remove", "relay")
        assert parts.vault.open("server:relay") is None
    finally:
        parts.close()
