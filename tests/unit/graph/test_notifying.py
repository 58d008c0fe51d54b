"""What Graph posts: the handshake, and notifications that nobody believes unless they prove themselves."""

from __future__ import annotations

import json

import pytest

from mailroom_core.providers.graph.notifying import (
    MISSED,
    MOST,
    MOST_BODY,
    MOST_TOKEN,
    REAUTHORIZE,
    REMOVED,
    Notice,
    Notices,
    handshake,
    read,
)


def state_of(owner: str) -> str:
    return f"{owner}.{owner.encode().hex()}"


def posted(*value: object) -> bytes:
    return json.dumps({"value": list(value)}).encode()


def test_the_token_comes_back_as_harmless_text() -> None:
    assert handshake("Validation: for subscription 1 + 1") == "Validation: for subscription 1 + 1"
    assert handshake("<script>alert('x')</script>") == "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;"


def test_a_token_of_any_length_is_none_of_graph_s() -> None:
    assert handshake("x" * MOST_TOKEN)
    assert handshake("x" * (MOST_TOKEN + 1)) is None


def test_a_notification_with_our_state_says_whose_it_is_and_what_it_is_about() -> None:
    body = posted(
        {"clientState": state_of("sales"), "subscriptionId": "S1", "changeType": "created"},
        {"clientState": state_of("a.b"), "subscriptionId": "S2", "lifecycleEvent": MISSED},
    )
    assert read(body, state_of) == Notices((Notice("sales", "S1", ""), Notice("a.b", "S2", "missed")), 0)


@pytest.mark.parametrize(("event", "ends"), [("", False), (MISSED, False), (REAUTHORIZE, True), (REMOVED, True), ("new", False)])
def test_two_events_say_that_nothing_is_told_any_more(event: str, ends: bool) -> None:
    assert Notice("sales", "S1", event).ends is ends


@pytest.mark.parametrize("state", ["", "sales", "sales.", "sales.wrong", ".73", "\ud800.x", None, 7, {"a": 1}])
def test_what_proves_nothing_is_counted_and_ignored(state: object) -> None:
    assert read(posted({"clientState": state}, {}), state_of) == Notices((), 2)


@pytest.mark.parametrize("body", [b"", b"[]", b"no json", b'{"value": 1}', b'{"value": [1, null]}', b"[" * 200_000, b" " * (MOST_BODY + 1)])
def test_whatever_is_posted_is_no_error(body: bytes) -> None:
    assert read(body, state_of) == Notices((), 0)


def test_of_a_flood_only_the_beginning_is_looked_at() -> None:
    found = read(posted(*[{"clientState": state_of("s")}] * (MOST + 5)), state_of)
    assert len(found.proven) == MOST
