"""Notifications of a provider: anybody can send one, and only those that prove themselves have a mailbox looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mailroom.api import notify
from mailroom.incoming import NOTIFY_PATH
from mailroom_core.errors import StoreError


def state_of(name: str) -> str:
    return f"{name}.{sha256(name.encode()).hexdigest()}"


@pytest.fixture
def looked() -> list[list[str]]:
    return []


@pytest.fixture
def client(looked: list[list[str]]) -> TestClient:
    return TestClient(
        Starlette(routes=notify.routes(lambda names, ended: looked.append([*names, *(f"{name} ended" for name in ended)]), state_of))
    )


def post(client: TestClient, *states: object, **more: Any) -> int:
    body = json.dumps({"value": [{"clientState": state, **more} for state in states]})
    return client.post(NOTIFY_PATH, content=body.encode()).status_code


def test_the_handshake_gets_its_token_back_as_harmless_text(client: TestClient) -> None:
    answer = client.post(NOTIFY_PATH, params={"validationToken": "<b>Validation: é"})
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, "&lt;b&gt;Validation: é", "text/plain; charset=utf-8")
    assert client.post(NOTIFY_PATH, params={"validationToken": "x" * 2001}).status_code == 400


def test_a_flood_of_notifications_is_one_look_at_each_server(client: TestClient, looked: list[list[str]]) -> None:
    assert post(client, *[state_of("sales"), state_of("a.b")] * 400) == 202
    assert looked == [["a.b", "sales"]]


def test_a_lifecycle_event_is_a_reason_to_look(client: TestClient, looked: list[list[str]]) -> None:
    assert post(client, state_of("sales"), lifecycleEvent="missed") == 202
    assert looked == [["sales"]]


@pytest.mark.parametrize("event", ["reauthorizationRequired", "subscriptionRemoved"])
def test_where_microsoft_tells_no_more_it_is_asked_anew(client: TestClient, looked: list[list[str]], event: str) -> None:
    assert post(client, state_of("sales"), lifecycleEvent=event) == 202
    assert looked == [["sales", "sales ended"]]


@pytest.mark.parametrize("state", ["", ".", "sales", "sales.", "sales.wrong", "other", None, 7, ["sales"], "\ud800.x"])
def test_a_wrong_state_proves_nothing(client: TestClient, looked: list[list[str]], state: object) -> None:
    if state == "other":
        state = f"other.{state_of('sales').rpartition('.')[2]}"
    assert post(client, state) == 202
    assert looked == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"value": 1}', b'{"value": [1, null]}', b"[" * 100_000, b"x" * 300_000])
def test_any_bytes_are_answered_quickly_and_looked_at_no_further(client: TestClient, looked: list[list[str]], body: bytes) -> None:
    assert client.post(NOTIFY_PATH, content=body).status_code == 202
    assert looked == []


def test_while_the_database_is_in_trouble_graph_is_asked_to_try_again() -> None:
    def fail(names: Sequence[str], ended: Sequence[str]) -> None:
        raise StoreError("busy")

    client = TestClient(Starlette(routes=notify.routes(fail, state_of)))
    assert post(client, state_of("sales")) == 503
