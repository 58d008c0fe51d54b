"""Webhooks by way of the API; whether they are told is for `tests/walk/test_webhooks.py`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, eventually, problem

URL = "https://nobody.invalid/hook"


@pytest.fixture
def hook(api: Api) -> Iterator[str]:
    """A webhook whose target nobody knows, so that everything fails."""
    assert api["objects"].put("/webhooks/shop", json={"url": URL, "events": ["accepted"]}).status_code == 200
    yield "/webhooks/shop"
    api["objects"].delete("/webhooks/shop")


def test_a_secret_is_shown_once_and_the_former_one_ends(api: Api, hook: str) -> None:
    first = api["objects"].post(f"{hook}/secret").json()
    assert first["secret"].startswith("whsec_")
    assert first["former_until"] is None
    second = api["objects"].post(f"{hook}/secret").json()
    assert second["secret"] != first["secret"]
    assert timedelta(hours=23) < datetime.fromisoformat(second["former_until"]) - datetime.now(UTC) < timedelta(hours=25)
    for answer in (api["objects"].get(hook), api["objects"].get("/webhooks")):
        assert "whsec_" not in answer.text


def test_the_test_says_why_nothing_came_back(api: Api, hook: str) -> None:
    answer = api["objects"].post(f"{hook}/test").json()
    assert (answer["delivered"], answer["status"]) == (False, 0)
    assert "has no secret" in answer["answer"]
    api["objects"].post(f"{hook}/secret")
    answer = api["objects"].post(f"{hook}/test").json()
    assert "name server" in answer["answer"]


def test_what_was_told_is_listed_read_and_replayed(api: Api, hook: str) -> None:
    api["objects"].post(f"{hook}/secret")
    number = api.send()

    def tried() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = api["objects"].get(f"{hook}/notices").json()["items"]
        return [each for each in items if each["message"] == number and each["tries"]]

    assert eventually(lambda: bool(tried()))
    (notice,) = tried()
    assert (notice["event"], notice["state"]) == ("accepted", "waiting")
    story = api["objects"].get(f"{hook}/notices/{notice['id']}").json()
    assert (story["tries"][0]["status"], story["notice"]["id"]) == (0, notice["id"])
    assert number in story["body"]
    health = api["objects"].get(f"{hook}/health").json()
    assert health["waiting"] >= 1
    assert health["failing_since"] is not None
    assert api["objects"].post(f"{hook}/notices/{notice['id']}/replay").json() == {"replayed": 1}
    assert api["objects"].post(f"{hook}/replay", json={"since": "2030-01-01T00:00:00Z"}).json() == {"replayed": 0}
    assert api["objects"].post(f"{hook}/replay", json={}).json()["replayed"] <= 1
    metrics = api[""].get(f"{api.gateway.web}/metrics").text
    assert 'mailroom_webhook_notices{state="waiting",webhook="shop"}' in metrics
    assert 'mailroom_webhook_failing_seconds{webhook="shop"}' in metrics


def test_pages_of_notices_go_on_where_the_last_one_ended(api: Api, hook: str) -> None:
    sent = [api.send() for _ in range(3)]
    assert eventually(lambda: len(api["objects"].get(f"{hook}/notices").json()["items"]) == 3)
    seen, cursor = [], ""
    while True:
        page = api["objects"].get(f"{hook}/notices", params={"limit": 2, "after": cursor}).json()
        seen += [each["message"] for each in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert seen == sent[::-1]
    assert api["objects"].get(f"{hook}/notices", params={"state": "given up"}).json() == {"items": [], "next": ""}
    assert api["objects"].get(f"{hook}/notices", params={"after": "9" * 19}).status_code == 200


@pytest.mark.parametrize("number", ["06xqfhxnc2400", "zzzzzzzzzzzzz", "no-id"])
def test_a_notice_that_there_is_not_is_a_404(api: Api, hook: str, number: str) -> None:
    assert "was told nothing" in problem(api["objects"].get(f"{hook}/notices/{number}"), 404)
    problem(api["objects"].post(f"{hook}/notices/{number}/replay"), 404)


def test_a_webhook_that_there_is_not_is_a_404(api: Api) -> None:
    for path in ("secret", "test", "replay"):
        assert "lists those" in problem(api["objects"].post(f"/webhooks/nobody/{path}", json={}), 404)
    for path in ("health", "notices"):
        problem(api["objects"].get(f"/webhooks/nobody/{path}"), 404)


def test_without_the_scope_nobody_touches_a_webhook(api: Api, hook: str) -> None:
    for path in ("secret", "test", "replay"):
        problem(api["erp"].post(f"{hook}/{path}", json={}), 403)
    problem(api["erp"].get(f"{hook}/notices"), 403)


def test_what_is_told_is_described(api: Api) -> None:
    described = api[""].get("/openapi.json").json()
    assert set(described["webhooks"]) == {"mail", "account", "received", "domain", "test"}
    body = described["webhooks"]["mail"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/MailEvent"}
    assert set(described["components"]["schemas"]["MailData"]["required"]) >= {"id", "recipient", "state", "reply", "tags"}
