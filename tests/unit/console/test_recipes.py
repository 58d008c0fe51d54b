"""What a program is told to enter."""

from __future__ import annotations

from pathlib import Path

from mailroom.console.recipes import Entrance, OldDoor, opening, recipes
from mailroom.settings import ListenerSettings, Settings
from mailroom.wiring.web import entrance_of

PUBLIC = Entrance(host="mail.example.com", port=587, tls="starttls")
OWN = Entrance(host="127.0.0.1", port=2525, tls="starttls", own_certificate="/data/tls.crt")


def told(at: Entrance, *senders: str, networks: tuple[str, ...] = ()) -> dict[str, str]:
    return {recipe.title: recipe.text for recipe in recipes(at, "the erp", "secret", senders, networks)}


def entrance(*listeners: ListenerSettings, url: str = "") -> Entrance:
    open_ones = listeners or (ListenerSettings(),)
    return entrance_of(Settings(data=Path("data"), public_url=url, listener=open_ones), [each.port or 40_000 for each in open_ones])


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


def test_a_port_that_others_reach_is_told_before_one_of_this_machine() -> None:
    inner, outer = ListenerSettings(), ListenerSettings(host="0.0.0.0", port=587)
    at = entrance(inner, outer, url="https://mailroom.example.com")
    assert (at.host, at.port, at.outside) == ("mailroom.example.com", 587, True)
    assert "Server: mailroom.example.com\nPort: 587" in told(at)["Printer or scanner"]
    assert entrance(ListenerSettings(host="10.0.0.5")).host == "10.0.0.5"
    assert entrance(outer, url="http://127.0.0.1:8020").host not in ("127.0.0.1", "0.0.0.0")


def test_while_no_port_is_open_a_printer_gets_the_lines_that_open_one() -> None:
    at = entrance()
    assert (at.host, at.outside) == ("127.0.0.1", False)
    assert entrance(ListenerSettings(port=0)).port == 40_000, "what was bound, not what was asked for"
    assert told(at)["Printer or scanner"] == opening(at) == '[[listener]]\nhost = "0.0.0.0"\nport = 2525'
    assert "127.0.0.1" in told(at)["Odoo"], "that may be on this machine"
    assert opening(entrance(ListenerSettings(host="localhost", port=465, tls="implicit"))).endswith('tls = "implicit"')


def test_a_device_that_is_known_by_its_network_has_a_port_of_its_own() -> None:
    network = ("192.168.1.20/32",)
    assert 'legacy = true\nnetworks = ["192.168.1.20/32"]' in told(PUBLIC, networks=network)["An old device"]
    old = ListenerSettings(host="192.168.1.2", port=2526, legacy=True, networks=network)
    at = entrance(ListenerSettings(), old)
    assert at.old == OldDoor(host="192.168.1.2", port=2526, networks=network)
    assert "Port: 2526\nEncryption: none" in told(at, networks=network)["Printer or scanner"]
    assert "An old device" not in told(at, networks=network)
