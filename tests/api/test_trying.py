"""Tests of incoming servers and destinations by a program: each step, and what failed."""

from __future__ import annotations

import socket

from tests.api.conftest import Api, problem


def nobody() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_mailbox_is_looked_at_step_by_step_until_one_fails(api: Api) -> None:
    door = {"host": "127.0.0.1", "port": nobody(), "security": "none", "user": "mary"}
    api["objects"].put("/incoming/of/mary", json={"imap": door, "active": False})
    answer = api["objects"].post("/incoming/of/mary/test").json()
    assert answer["ok"] is False
    assert [(each["step"], each["ok"]) for each in answer["steps"]] == [("resolve", True), ("connect", False)]
    assert "takes no connections" in answer["steps"][-1]["said"]
    assert api["objects"].delete("/incoming/of/mary").status_code == 204


def test_the_mx_listener_says_that_it_is_off_and_how_to_open_it(api: Api) -> None:
    answer = api["objects"].post("/incoming/mx/test").json()
    assert (answer["ok"], [each["step"] for each in answer["steps"]]) == (False, ["listener"])
    assert "enabled = true" in answer["steps"][0]["said"]


def test_a_destination_is_called_and_what_has_nothing_to_try_says_so(api: Api) -> None:
    target = {"url": f"http://127.0.0.1:{nobody()}", "database": "x", "user": "y"}
    api["objects"].put("/destinations/erp", json={"odoo": target, "active": False})
    answer = api["objects"].post("/destinations/erp/test").json()
    assert (answer["ok"], [each["step"] for each in answer["steps"]]) == (False, ["key"])
    assert "mailroom destination key erp" in answer["steps"][0]["said"]
    assert api["objects"].delete("/destinations/erp").status_code == 204
    assert "nothing to try" in problem(api["objects"].post("/destinations/desk/test"), 422)


def test_what_there_is_not_or_may_not_be_tried_is_refused(api: Api) -> None:
    assert "GET /v1/incoming lists" in problem(api["objects"].post("/incoming/none/test"), 404)
    assert "GET /v1/destinations lists" in problem(api["objects"].post("/destinations/none/test"), 404)
    assert "objects:write" in problem(api["reader"].post("/incoming/mx/test"), 403)
