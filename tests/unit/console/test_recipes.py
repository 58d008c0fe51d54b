"""What a program is told to enter."""

from __future__ import annotations

from mailroom.console.recipes import Entrance, recipes

PUBLIC = Entrance(host="mail.example.com", port=587, tls="starttls")
OWN = Entrance(host="127.0.0.1", port=2525, tls="starttls", own_certificate="/data/tls.crt")


def told(at: Entrance, *senders: str) -> dict[str, str]:
    return {recipe.title: recipe.text for recipe in recipes(at, "the erp", "secret", senders)}


def test_a_certificate_of_our_own_is_trusted_by_those_who_check() -> None:
    texts = told(OWN, "example.com")
    assert "tls_trust_file /data/tls.crt" in texts["cron and other programs on a server"]
    assert "'cafile' => '/data/tls.crt'" in texts["PHP"]
    assert "TLS (STARTTLS), encryption only" in texts["Odoo"]


def test_a_certificate_that_everybody_trusts_is_checked() -> None:
    texts = told(PUBLIC, "example.com")
    assert "trust" not in texts["cron and other programs on a server"]
    assert "cafile" not in texts["PHP"]
    assert "TLS (STARTTLS), encryption and validation" in texts["Odoo"]


def test_the_sender_of_the_examples_is_one_that_the_application_may_use() -> None:
    assert "from mail@example.com\nset_from_header on" in told(PUBLIC, "example.com")["cron and other programs on a server"]
    assert "--from shop@example.com " in told(PUBLIC, "shop@example.com", "example.org")["Try it now"]
    assert "--from mail@your-domain.example " in told(PUBLIC, "*")["Try it now"]


def test_a_name_with_a_space_is_one_word_of_the_command() -> None:
    assert "swaks --server 127.0.0.1:2525 -tls --auth-user 'the erp' --auth-password secret " in told(OWN, "*")["Try it now"]
