"""A mail as MIME with its envelope in the query takes a shorter way through the API; nobody may see a difference."""

from __future__ import annotations

import pytest

from tests.api.conftest import ANNA, MARY, Api

MIME = {"Content-Type": "message/rfc822"}
MAIL = f"From: {MARY}\nTo: {ANNA}\nSubject: Offer\n\nHello\n".encode()
STRAIGHT = {"sender": MARY, "recipient": [ANNA]}
CHANGES = {"id", "date", "content-length", "ratelimit"}


@pytest.mark.parametrize(
    ("token", "query", "headers", "body", "status"),
    [
        ("erp", {}, {}, MAIL, 202),
        ("erp", {"recipient": [ANNA, "bob@partner.example", ANNA]}, {}, MAIL, 202),
        ("erp", {"sender": "<>"}, {}, MAIL, 202),
        ("erp", {}, {"X-Envelope-From": "", "X-Envelope-To": "x@y.example"}, MAIL, 202),
        ("", {}, {}, MAIL, 401),
        ("erp", {}, {"Authorization": "Bearer wrong"}, MAIL, 401),
        ("erp", {}, {"Authorization": "Basic wrong"}, MAIL, 401),
        ("erp", {}, {"Authorization": "Bearer"}, MAIL, 401),
        ("reader", {}, {}, MAIL, 403),
        ("erp", {"sender": "eve@shop.example"}, {}, MAIL, 403),
        ("erp", {"sender": "x" * 321}, {}, MAIL, 422),
        ("erp", {"sender": "no address"}, {}, MAIL, 422),
        ("erp", {"recipient": ["no address"]}, {}, MAIL, 422),
        ("erp", {"recipient": ["a@b.example\r\nRCPT TO:<c@d.example>"]}, {}, MAIL, 422),
        ("erp", {"recipient": [""]}, {}, MAIL, 422),
        ("erp", {}, {}, b"", 422),
        ("erp", {}, {}, b"Subject: x\n\n\0", 422),
        ("erp", {}, {"Content-Type": "text/plain"}, MAIL, 415),
    ],
)
def test_both_ways_answer_alike(
    api: Api, token: str, query: dict[str, str | list[str]], headers: dict[str, str], body: bytes, status: int
) -> None:
    straight, thorough = (
        api[token].post("/messages", params={**STRAIGHT, **query, **more}, headers={**MIME, **headers}, content=body)
        for more in ({}, {"kind": "transactional"})
    )
    assert straight.status_code == thorough.status_code == status, straight.text
    assert straight.headers.keys() == thorough.headers.keys()
    for name in straight.headers.keys() - CHANGES:
        assert straight.headers[name] == thorough.headers[name], name
    assert {**straight.json(), "id": ""} == {**thorough.json(), "id": ""}


def test_what_came_straight_leaves_as_it_was(api: Api) -> None:
    answer = api["erp"].post("/messages", params=STRAIGHT, headers=MIME, content=MAIL)
    assert api.arrived(answer.json()["id"]).endswith(MAIL.replace(b"\n", b"\r\n"))
