from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.api.conftest import ANNA, Api, problem


def test_who_has_changed_what_is_told(api: Api) -> None:
    address = "audited@customer.example"
    api["objects"].put(f"/suppressions/{address}", json={"reason": "asked for it"})
    api["objects"].delete(f"/suppressions/{address}")
    page = api["objects"].get("/audit", params={"kind": "suppression", "name": address, "limit": 1}).json()
    (removed,) = page["items"]
    assert (removed["by"], removed["what"], removed["before"]) == ("token:objects", "remove", "asked for it")
    rest = api["objects"].get("/audit", params={"kind": "suppression", "name": address, "cursor": page["next"]}).json()
    assert ([each["what"] for each in rest["items"]], rest["next"]) == (["add"], "")


def test_the_same_stands_on_the_command_line(api: Api) -> None:
    api.gateway.run("suppression", "add", "typed@customer.example", "--reason", "by hand")
    (row,) = json.loads(api.gateway.run("audit", "--name", "typed@customer.example", "--json"))
    assert row["by"].startswith("cli:")
    assert (row["what"], row["after"]) == ("add", "by hand")
    assert "typed@customer.example" in api.gateway.run("audit", "--kind", "suppression", "--limit", "1")


def test_what_a_token_does_to_mail_is_told(api: Api) -> None:
    number = api.send(to=[ANNA], send_at=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    api["erp"].post(f"/messages/{number}/cancel")
    (row,) = api["objects"].get("/audit", params={"kind": "mail", "name": number}).json()["items"]
    assert (row["by"], row["what"], row["after"]) == ("token:erp", "cancel", "1 delivery")


def test_a_token_without_the_scope_learns_nothing(api: Api) -> None:
    assert "objects:read" in problem(api["erp"].get("/audit"), 403)


def test_a_cursor_that_is_none_is_refused_and_a_large_one_is_the_beginning(api: Api) -> None:
    problem(api["objects"].get("/audit", params={"cursor": "x"}), 422)
    assert api["objects"].get("/audit", params={"cursor": "9" * 20, "limit": 1}).json()["items"]
