"""Accounts, servers, applications, alias domains and suppressions, and who may touch them."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest

from mailroom.settings import Settings
from mailroom.wiring.parts import open_parts
from tests.api.conftest import MARY, Api, eventually, problem


def test_every_kind_is_put_listed_read_and_deleted(api: Api) -> None:
    things: dict[str, dict[str, Any]] = {
        "accounts": {"mailbox": "office@contoso.example", "client_id": "x"},
        "servers": {
            "priority": 90,
            "from_filter": ["nowhere.example"],
            "smarthost": {"host": "smtp.example", "security": "tls", "port": 465},
        },
        "alias-domains": {"default_from": "hello"},
        "applications": {"senders": ["nowhere.example"], "networks": ["10.9.8.0/24"]},
        "webhooks": {"url": "https://nowhere.example/hook", "events": ["sent", "failed"], "active": False},
    }
    for kind, table in things.items():
        made = api["objects"].put(f"/{kind}/thing one/2", json=table)
        assert made.status_code == 200, made.text
        got = api["objects"].get(f"/{kind}/thing one/2").json()
        assert got["name"] == "thing one/2"
        for key, value in table.items():
            assert got[key] == value if not isinstance(value, dict) else value.items() <= got[key].items()
        assert got in api["objects"].get(f"/{kind}").json()
        assert api["objects"].delete(f"/{kind}/thing one/2").status_code == 204
        problem(api["objects"].get(f"/{kind}/thing one/2"), 404)
        problem(api["objects"].delete(f"/{kind}/thing one/2"), 404)


@pytest.mark.parametrize(
    ("path", "table", "told"),
    [
        ("servers/x", {}, "graph, smarthost, sink"),
        ("servers/x", {"sink": {}, "graph": {"account": "a"}}, "it has 2"),
        ("servers/x", {"graph": {"account": "nobody"}}, "which does not exist"),
        ("servers/x", {"smarthost": {"host": "h", "port": 99999}}, "port"),
        ("servers/x", {"smarthost": {"host": "h\nx"}}, "control character"),
        ("servers/x", {"smarthost": "h"}, "no table"),
        ("applications/x", {"networks": ["everywhere"]}, "no network"),
        ("applications/x", {"senders": ["a b"]}, "no address"),
        ("applications/x", {"key": "f00d"}, "no setting key"),
        ("applications/x", {"kind": "urgent"}, "transactional or bulk"),
        ("applications/x", {"per_minute": 10**30}, "per_minute"),
        ("applications/x", {"alias_domain": "no.example"}, "does not exist"),
        ("accounts/%20", {}, "needs a name"),
        ("accounts/x", {"colour": "red"}, "no setting colour"),
        ("accounts/x", {"provider": "yahoo"}, "microsoft"),
        ("suppressions/nobody", {}, "no address"),
        ("webhooks/x", {}, "url"),
        ("webhooks/x", {"url": "ftp://shop.example/"}, "write https://host/path"),
        ("webhooks/x", {"url": "https://shop.example:port/"}, "write https://host/path"),
        ("webhooks/x", {"url": "https://"}, "write https://host/path"),
        ("webhooks/x", {"url": "https://user:word@shop.example/"}, "leave them out"),
        ("webhooks/x", {"url": "https://shop.example/#part"}, "leave them out"),
        ("webhooks/x", {"url": "https://shop.example/", "events": []}, "name at least one"),
        ("webhooks/x", {"url": "https://shop.example/", "events": ["opened"]}, "account.needs_attention"),
        ("webhooks/x", {"url": "https://shop.example/", "application": "nobody"}, "does not exist"),
        ("webhooks/x", {"url": "http://shop.example/"}, "use https://"),
        ("webhooks/x", {"url": "https://127.0.0.1/"}, "webhooks.private_networks"),
        ("webhooks/x", {"url": "https://[::ffff:10.0.0.1]/"}, "webhooks.private_networks"),
        ("webhooks/x", {"url": "https://localhost:8020/v1/messages"}, "webhooks.private_networks"),
    ],
)
def test_what_can_not_be_meant_is_refused(api: Api, path: str, table: dict[str, Any], told: str) -> None:
    assert told in problem(api["objects"].put(f"/{path}", json=table), 422)


def test_what_is_still_needed_stays(api: Api) -> None:
    api["objects"].put("/accounts/needed", json={})
    api["objects"].put("/servers/needs", json={"graph": {"account": "needed"}, "from_filter": ["nowhere.example"]})
    assert "names the account" in problem(api["objects"].delete("/accounts/needed"), 409)
    assert api["objects"].delete("/servers/needs").status_code == 204
    assert api["objects"].delete("/accounts/needed").status_code == 204


def test_a_credential_is_shown_once_and_survives_a_change(api: Api) -> None:
    api["objects"].put("/applications/printer", json={"senders": ["contoso.example"]})
    shown = api["objects"].post("/applications/printer/credential").json()
    assert api["objects"].put("/applications/printer", json={"senders": ["*"]}).json()["credential"] is True
    assert shown["password"] not in api["objects"].get("/applications").text

    def signs_in() -> bool:
        with smtplib.SMTP(api.gateway.host, api.gateway.port, timeout=10) as smtp:
            smtp.starttls()
            try:
                smtp.login(shown["user"], shown["password"])
            except smtplib.SMTPAuthenticationError:
                return False
            return True

    assert eventually(signs_in)
    assert api["objects"].delete("/applications/printer").status_code == 204


def test_mail_to_a_suppressed_address_fails_visibly(api: Api) -> None:
    put = api["objects"].put("/suppressions/Gone@customer.example", json={"reason": "asked to"})
    assert put.json() == {"address": "gone@customer.example", "reason": "asked to", "source": "person"}
    number = api.send(to=["gone@customer.example"])
    assert api["reader"].get(f"/messages/{number}").json()["deliveries"][0]["state"] == "failed"
    assert put.json() in api["objects"].get("/suppressions").json()
    assert api["objects"].get("/suppressions/gone@customer.example").json() == put.json()
    assert api["objects"].delete("/suppressions/gone@customer.example").status_code == 204
    problem(api["objects"].delete("/suppressions/gone@customer.example"), 404)


@pytest.mark.parametrize(
    ("name", "table", "field"),
    [
        ("nowhere", {"sink": {"directory": "/etc/cron.d"}}, "sink: directory"),
        ("special", {"sink": {"directory": "/etc/cron.d"}}, "sink: directory"),
        ("nowhere", {"smarthost": {"host": "mx.example", "ca_file": "/etc/shadow"}}, "smarthost: ca_file"),
        ("nowhere", {"smarthost": {"host": "mx.example", "client_key": "/etc/shadow"}}, "smarthost: client_key"),
        ("special", {"smarthost": {"host": "mx.example", "client_certificate": "/etc/shadow"}}, "smarthost: client_certificate"),
    ],
)
def test_nobody_chooses_a_file_of_the_machine_from_elsewhere(api: Api, name: str, table: dict[str, Any], field: str) -> None:
    assert f"{field}: a file or folder of the machine" in problem(api["objects"].put(f"/servers/{name}", json=table), 422)


def test_a_new_server_is_used_at_once(api: Api) -> None:
    table = api["objects"].get("/servers/special").json()
    del table["name"]
    table["from_filter"] = ["special@contoso.example"]
    assert api["objects"].put("/servers/special", json=table).status_code == 200, "its folder stays what it was"
    number = api.send(sender="special@contoso.example")
    assert api["reader"].get(f"/messages/{number}").json()["deliveries"][0]["server"] == "special"
    api.arrived(number)
    api["objects"].delete("/servers/special")
    assert MARY in api["reader"].get(f"/messages/{api.send()}").text


def test_a_password_is_kept_for_its_host_alone(api: Api) -> None:
    table = {"from_filter": ["nowhere.example"], "smarthost": {"host": "one.example", "user": "mary"}}
    secret = api.gateway.data / "mailroom.db"
    assert api["objects"].put("/servers/relay", json=table).status_code == 200
    assert api["objects"].post("/servers/relay/password", json={"password": "secret-4711"}).status_code == 204
    assert b"secret-4711" not in secret.read_bytes()

    def kept() -> bool:
        parts = open_parts(Settings(data=api.gateway.data))
        try:
            return parts.vault.open("server:relay") == {"password": "secret-4711"}
        finally:
            parts.close()

    api["objects"].put("/servers/relay", json={**table, "priority": 7})
    assert kept()
    api["objects"].put("/servers/relay", json={**table, "smarthost": {"host": "two.example", "user": "mary"}})
    assert not kept()
    assert api["objects"].delete("/servers/relay").status_code == 204
    assert "no smarthost" in problem(api["objects"].post("/servers/sink/password", json={"password": "x"}), 422)
    assert "x\r" not in problem(api["objects"].post("/servers/sink/password", json={"password": "x\r"}), 422)


def test_a_password_of_a_mailbox_is_kept_for_its_host_alone(api: Api) -> None:
    inbox = {"host": "one.invalid", "user": "mary"}
    assert api["objects"].put("/incoming/box", json={"imap": inbox, "active": False}).status_code == 200
    assert api["objects"].post("/incoming/box/password", json={"password": "secret-4712"}).status_code == 204
    assert "secret-4712" not in api["objects"].get("/incoming/box").text

    def kept() -> bool:
        parts = open_parts(Settings(data=api.gateway.data))
        try:
            return parts.vault.open("incoming:box") == {"password": "secret-4712"}
        finally:
            parts.close()

    api["objects"].put("/incoming/box", json={"imap": {**inbox, "folder": "Bills"}, "active": False})
    assert kept()
    api["objects"].put("/incoming/box", json={"pop": {**inbox, "host": "two.invalid"}, "after": "delete", "active": False})
    assert not kept()
    assert "POP3 has no read" in problem(api["objects"].put("/incoming/box", json={"pop": inbox}), 422)
    assert "say who signs in" in problem(api["objects"].put("/incoming/box", json={"imap": {"host": "one.invalid"}}), 422)
    assert "private addresses" in problem(api["objects"].put("/incoming/box", json={"imap": {**inbox, "security": "none"}}), 422)
    assert api["objects"].delete("/incoming/box").status_code == 204


def test_what_a_sign_in_has_found_out_about_an_account_stays(api: Api) -> None:
    for table, expected in (({"client_id": "x", "read_write": False}, False), ({"client_id": "y"}, False), ({"read_write": True}, True)):
        assert api["objects"].put("/accounts/found out", json=table).json()["read_write"] is expected


def test_an_account_that_moves_to_another_host_leaves_its_secrets_behind(api: Api) -> None:
    table = {"client_id": "x", "mailbox": "office@contoso.example"}
    assert api["objects"].put("/accounts/moving", json=table).status_code == 200
    parts = open_parts(Settings(data=api.gateway.data))
    try:
        for secret in ("app:moving", "account:moving"):
            parts.vault.seal(secret, {"secret": "s"})
        assert api["objects"].put("/accounts/moving", json={**table, "shared": False}).status_code == 200
        assert parts.vault.open("app:moving") == {"secret": "s"}
        assert api["objects"].put("/accounts/moving", json={**table, "login_url": "https://evil.example"}).status_code == 200
        assert parts.vault.open("app:moving") is None
        assert parts.vault.open("account:moving") is None
        parts.vault.seal("app:moving", {"secret": "s"})
        assert api["objects"].delete("/accounts/moving").status_code == 204
        assert parts.vault.open("app:moving") is None
    finally:
        parts.close()
        api["objects"].delete("/accounts/moving")


def test_a_sign_in_needs_an_address_to_come_back_to_and_somebody_who_signs_in(api: Api) -> None:
    problem(api["objects"].post("/accounts/nobody/signin"), 404)
    api["objects"].put("/accounts/robot", json={"client_id": "x", "grant": "application"})
    api["objects"].put("/accounts/person", json={"client_id": "x"})
    assert "app-only" in problem(api["objects"].post("/accounts/robot/signin"), 409)
    assert "public_url" in problem(api["objects"].post("/accounts/person/signin"), 409)
    problem(api["reader"].post("/accounts/person/signin"), 403)
    for name in ("robot", "person"):
        api["objects"].delete(f"/accounts/{name}")
