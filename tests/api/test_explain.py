from __future__ import annotations

import json

from tests.api.conftest import MARY, Api, problem


def test_who_would_send_is_said_with_each_rule(api: Api) -> None:
    found = api["objects"].get("/explain", params={"address": MARY, "application": "erp"}).json()
    assert (found["server"], found["from_address"], found["rewritten"]) == ("sink", MARY, False)
    assert [step["server"] for step in found["steps"]] == ["", "", "sink"]
    (same,) = json.loads(api.gateway.run("server", "explain", MARY, "--json"))
    assert same["why"] == found["why"]
    assert "serves every sender" in api.gateway.run("server", "explain", MARY)


def test_what_would_be_refused_says_why(api: Api) -> None:
    assert "no address" in problem(api["objects"].get("/explain", params={"address": "mary"}), 422)
    assert "no application" in problem(api["objects"].get("/explain", params={"address": MARY, "application": "x"}), 422)
    assert "may not send as" in problem(api["objects"].get("/explain", params={"address": "a@b.example", "application": "erp"}), 409)
    assert "objects:read" in problem(api["erp"].get("/explain", params={"address": MARY}), 403)
