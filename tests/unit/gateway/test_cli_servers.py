"""Mail services by their names, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from mailroom.cli import main
from mailroom.cli.context import Context
from mailroom.objects import Security, SmarthostRoute
from mailroom_core.providers.presets import PRESETS


def run(data: Path, *words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["--data", str(data), "server", *words], input=stdin, catch_exceptions=False)


def kept(data: Path, name: str) -> tuple[SmarthostRoute, dict[str, str] | None]:
    with Context(None, data).parts() as parts:
        route = parts.directory().servers[name].route
        assert isinstance(route, SmarthostRoute)
        return route, parts.vault.open(f"server:{name}")


def test_the_services_are_listed_with_what_to_enter(tmp_path: Path) -> None:
    listed = json.loads(run(tmp_path, "presets", "--json").stdout)
    assert [each["preset"] for each in listed] == [preset.key for preset in PRESETS]
    assert all(each["user"] and each["password"] and each["source"] for each in listed)
    assert "smtp-relay.brevo.com" in run(tmp_path, "presets").stdout


def test_a_service_is_added_by_its_name_and_says_which_senders_must_be_verified(tmp_path: Path) -> None:
    domain = tmp_path / "objects.toml"
    domain.write_text('[alias_domain."example.com"]\n')
    CliRunner().invoke(main, ["--data", str(tmp_path), "apply", str(domain)], catch_exceptions=False)
    done = run(tmp_path, "add", "mail", "--preset", "ses", "--region", "eu-central-1", "--user", "AKIA", stdin="the-password\n")
    assert done.exit_code == 0, done.output
    assert "SMTP password, shown once" in done.output
    assert "verified at Amazon SES" in done.output
    assert "notifications@example.com, bounce@example.com, catchall@example.com" in done.output
    route, secret = kept(tmp_path, "mail")
    assert (route.host, route.port, route.security) == ("email-smtp.eu-central-1.amazonaws.com", 587, Security.STARTTLS)
    assert (route.user, secret) == ("AKIA", {"password": "the-password"})


def test_one_token_is_entered_once_and_a_fixed_user_not_at_all(tmp_path: Path) -> None:
    assert run(tmp_path, "add", "post", "--preset", "postmark", stdin="token-1\n").exit_code == 0
    route, secret = kept(tmp_path, "post")
    assert (route.user, secret) == ("token-1", {"password": "token-1"})
    assert run(tmp_path, "add", "grid", "--preset", "sendgrid", stdin="SG.x\n").exit_code == 0
    route, secret = kept(tmp_path, "grid")
    assert (route.user, secret) == ("apikey", {"password": "SG.x"})


def test_what_is_missing_is_asked_for_in_the_words_of_the_service(tmp_path: Path) -> None:
    refused = run(tmp_path, "add", "jet", "--preset", "mailjet")
    assert refused.exit_code == 1
    assert "say who signs in with --user; for Mailjet it is: API key" in refused.output
    assert "there are us, eu" in run(tmp_path, "add", "gun", "--preset", "mailgun", "--region", "moon", "--user", "x").output
    assert "--host" in run(tmp_path, "add", "own", "--preset", "smtp").output


def test_any_server_may_know_us_by_our_address(tmp_path: Path) -> None:
    assert run(tmp_path, "add", "own", "--preset", "smtp", "--host", "relay.example", "--port", "25").exit_code == 0
    route, secret = kept(tmp_path, "own")
    assert (route.host, route.port, route.user, secret) == ("relay.example", 25, "", None)


def test_an_account_signs_in_instead_of_a_password(tmp_path: Path) -> None:
    objects = tmp_path / "objects.toml"
    objects.write_text('[account.jane]\nprovider = "google"\nmailbox = "jane@example.com"\n')
    CliRunner().invoke(main, ["--data", str(tmp_path), "apply", str(objects)], catch_exceptions=False)
    done = run(tmp_path, "add", "gmail", "--preset", "gmail", "--account", "jane")
    assert done.exit_code == 0, done.output
    route, secret = kept(tmp_path, "gmail")
    assert (route.account, route.user, route.port, secret) == ("jane", "", 465, None)


def test_what_no_object_file_may_hold_is_not_added_by_a_command_either(tmp_path: Path) -> None:
    """Else what `export` writes is nothing that `apply` takes."""
    refused = run(tmp_path, "add-smarthost", "relay", "--host", "smtp.example.com:587")
    assert (refused.exit_code, "and its port beside it" in refused.output) == (1, True)
    assert "ports are 1 to 65535" in run(tmp_path, "add-smarthost", "relay", "--host", "smtp.example.com", "--port", "99999").output
    for name, said in (("followers", "Mailroom writes itself"), ("forward:sales", "Mailroom writes itself"), (" ", "needs a name")):
        refused = CliRunner().invoke(main, ["--data", str(tmp_path), "app", "add", name, "--sender", "example.com"])
        assert (refused.exit_code, said in refused.output) == (1, True), refused.output
    refused = CliRunner().invoke(main, ["--data", str(tmp_path), "app", "add", "erp", "--sender", "not an address"])
    assert (refused.exit_code, "no address, no domain" in refused.output) == (1, True)
    refused = CliRunner().invoke(main, ["--data", str(tmp_path), "app", "add", "erp", "--sender", "*", "--alias-domain", "example.org"])
    assert (refused.exit_code, "example.org" in refused.output) == (1, True)
    assert CliRunner().invoke(main, ["--data", str(tmp_path), "export"]).stdout == ""


def test_an_application_that_a_webhook_tells_of_is_not_removed_before_it(tmp_path: Path) -> None:
    """Else the webhook is told nothing more, and what `export` writes is nothing that `apply` takes."""
    objects = tmp_path / "objects.toml"
    objects.write_text('[application.erp]\n[webhook.erp]\nurl = "https://erp.example.com/hook"\napplication = "erp"\n')
    CliRunner().invoke(main, ["--data", str(tmp_path), "apply", str(objects)], catch_exceptions=False)
    refused = CliRunner().invoke(main, ["--data", str(tmp_path), "app", "remove", "erp"])
    assert (refused.exit_code, "the webhook 'erp' names the application 'erp'" in refused.output) == (1, True), refused.output
    CliRunner().invoke(main, ["--data", str(tmp_path), "webhook", "remove", "erp"], catch_exceptions=False)
    assert CliRunner().invoke(main, ["--data", str(tmp_path), "app", "remove", "erp"]).output == "erp is gone.\n"
