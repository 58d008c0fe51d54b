"""Process settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
import pytest

from mailroom.cli import main
from mailroom.settings import ELSEWHERE, PREFIX, Settings, load
from mailroom.vault import keys
from mailroom_core.errors import ConfigError


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mailroom.toml"
    path.write_text(text)
    return path


def test_without_a_file_everything_has_a_default_and_listens_on_loopback() -> None:
    settings = load(None, {})
    assert settings == Settings()
    assert {listener.host for listener in settings.listener} | {settings.web.host} == {"127.0.0.1"}


def test_units_are_read() -> None:
    settings = load(None, {"MAILROOM_QUEUE_LIFETIME": "36h", "MAILROOM_SMTP_MAX_SIZE": "35MiB"})
    assert settings.queue.lifetime == timedelta(hours=36)
    assert settings.smtp.max_size == 35 * 1024**2


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, 'data = "/from/file"\n[web]\nport = 1\n')
    settings = load(path, {"MAILROOM_WEB_PORT": "2"})
    assert (str(settings.data), settings.web.port) == ("/from/file", 2)


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    path = file(
        tmp_path, '[web]\nport = 99999\nwidth = 3\n[[listener]]\nport = 25\n[[listener]]\ntls = "sometimes"\n[queue]\nlifetime = 5\n'
    )
    with pytest.raises(ConfigError) as problem:
        load(path, {})
    lines = str(problem.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "3", "9", "7"]
    assert "no such setting" in lines[1]
    assert '"5d"' in lines[2]


def test_a_mistake_in_the_environment_names_the_variable_and_no_line(tmp_path: Path) -> None:
    path = file(tmp_path, "[web]\nport = 1\n")
    with pytest.raises(ConfigError) as problem:
        load(path, {"MAILROOM_WEB_PORT": "many", "MAILROOM_QUEUE_LIFETIME": "5", "MAILROOM_QUEUE_LOOKS": "5s, soon"})
    lines = str(problem.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["MAILROOM_WEB_PORT", "MAILROOM_QUEUE_LIFETIME", "MAILROOM_QUEUE_LOOKS"]


def test_a_variable_with_a_typo_is_told_with_the_others_and_what_was_probably_meant() -> None:
    with pytest.raises(ConfigError) as problem:
        load(None, {"MAILROOM_WEB_PROT": "1", "MAILROOM_COLOUR": "red", "MAILROOM_LISTENER_PORT": "25", "MAILROOM_WEB_PORT": "many"})
    told = dict(line.split(": ", 1) for line in str(problem.value).splitlines())
    assert set(told) == {"MAILROOM_WEB_PROT", "MAILROOM_COLOUR", "MAILROOM_LISTENER_PORT", "MAILROOM_WEB_PORT"}
    assert "perhaps MAILROOM_WEB_PORT is meant" in told["MAILROOM_WEB_PROT"]
    assert "docs/settings.md" in told["MAILROOM_COLOUR"]
    assert "[[listener]]" in told["MAILROOM_LISTENER_PORT"]


def _variables_of(command: click.Command) -> set[str]:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    own = {str(each.envvar) for each in command.params if each.envvar and str(each.envvar).startswith(PREFIX)}
    return own.union(*(_variables_of(each) for each in below))


def test_the_variables_of_commands_and_of_the_vault_are_no_typos() -> None:
    of_mail_servers = {"SENDER"}  # what Postfix and Exim tell mailroom pipe
    assert {*_variables_of(main), keys.VARIABLE} - of_mail_servers == ELSEWHERE
    assert load(None, dict.fromkeys(ELSEWHERE, "something")) == Settings()


def test_what_kubernetes_sets_beside_a_service_of_our_name_is_no_typo() -> None:
    given = {
        "MAILROOM_SERVICE_HOST": "10.0.0.1",
        "MAILROOM_SERVICE_PORT": "2525",
        "MAILROOM_SERVICE_PORT_SMTP": "2525",
        "MAILROOM_PORT": "tcp://10.0.0.1:2525",
        "MAILROOM_PORT_2525_TCP": "tcp://10.0.0.1:2525",
        "MAILROOM_PORT_2525_TCP_ADDR": "10.0.0.1",
    }
    assert load(None, given) == Settings()


@pytest.mark.parametrize("name", ["SMTP", "LISTENER"])
def test_a_whole_section_in_one_variable_is_explained(name: str) -> None:
    with pytest.raises(ConfigError) as problem:
        load(None, {f"MAILROOM_{name}": "1", "MAILROOM_SMTP_HOSTNAME": "mx.example.com"})
    assert str(problem.value).startswith(f"MAILROOM_{name}: ")
    assert f"[{name.lower()}]" in str(problem.value)
    assert "instance" not in str(problem.value)


def test_a_section_that_is_a_number_in_the_file_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mailroom\.toml:1: smtp: is a section"):
        load(file(tmp_path, "smtp = 1\n"), {"MAILROOM_SMTP_HOSTNAME": "mx.example.com"})


@pytest.mark.parametrize("text", ["[web", "port = ", "\x00"])
def test_what_is_no_toml_is_a_mistake_with_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(file(tmp_path, text), {})


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize("wrong", ["mail.example.com", "https://mail.example.com/path", "ftp://x", "https://user@x"])
def test_a_public_url_is_the_address_of_a_site(wrong: str) -> None:
    with pytest.raises(ConfigError, match="no address of a site"):
        load(None, {"MAILROOM_PUBLIC_URL": wrong})


def test_a_slash_at_the_end_of_the_public_url_does_not_matter() -> None:
    assert load(None, {"MAILROOM_PUBLIC_URL": "https://mail.example.com/"}).public_url == "https://mail.example.com"


def test_an_identity_provider_is_set_by_the_environment_and_its_secret_is_not_shown() -> None:
    issuer = {"MAILROOM_SIGNIN_ISSUER": "https://id.example", "MAILROOM_SIGNIN_CLIENT_SECRET": "canary"}
    with pytest.raises(ConfigError, match="client_id is needed"):
        load(None, issuer)
    given = {**issuer, "MAILROOM_SIGNIN_CLIENT_ID": "x", "MAILROOM_SIGNIN_ROLES": "Mail = admins=admin, Help=viewer"}
    settings = load(None, given)
    assert {group: role.value for group, role in settings.signin.roles.items()} == {"Mail = admins": "admin", "Help": "viewer"}
    assert "canary" not in repr(settings)
    with pytest.raises(ConfigError, match="no address of a provider"):
        load(None, {**given, "MAILROOM_SIGNIN_ISSUER": "http://id.example"})
    with pytest.raises(ConfigError, match="admin"):
        load(None, {**given, "MAILROOM_SIGNIN_ROLES": "Help=king"})
