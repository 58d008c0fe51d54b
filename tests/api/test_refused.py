"""Bad input: tokens, scopes, header injection, bodies. Everything is refused with a problem document, and nothing is a 500."""

from __future__ import annotations

import base64
import json
from subprocess import CalledProcessError
from typing import Any

import httpx2
import pytest

from tests.api.conftest import ANNA, MARY, Api, problem

MAIL = {"from": MARY, "to": [ANNA], "text": "x"}
MIME = {"Content-Type": "message/rfc822", "X-Envelope-From": MARY, "X-Envelope-To": ANNA}
INJECTIONS = ["x\r\nBcc: evil@x.example", "x\nBcc: evil@x.example", "x\rBcc: evil@x.example", "x\0y"]
FILE = {"filename": "a", "content": base64.b64encode(b"x").decode()}


# ---- tokens


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer mrt_forged"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer é".encode()}]
)
def test_without_a_known_token_nothing_is_told(api: Api, header: dict[str, Any]) -> None:
    answer = api[""].get("/messages", headers=header)
    assert "mailroom token add" in problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_in_the_address_is_none(api: Api) -> None:
    problem(api[""].get("/messages", params={"token": api.tokens["reader"], "access_token": api.tokens["reader"]}), 401)


def test_an_expired_token_says_so(api: Api) -> None:
    token = api.add_token("short", "messages:read", more=("--expires", "1ms"))
    answer = _patient(api, token, 401, "expired")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert next(each for each in api.gateway.ask("token", "list") if each["name"] == "short")["state"] == "expired"


def test_a_removed_token_ends(api: Api) -> None:
    token = api.add_token("gone", "messages:read")
    _patient(api, token, 200, "items")
    api.gateway.run("token", "remove", "gone")
    _patient(api, token, 401, "not known")


def _patient(api: Api, token: str, status: int, word: str) -> httpx2.Response:
    """The gateway looks at changed tokens once a second."""
    from tests.api.conftest import eventually

    def asked() -> httpx2.Response | None:
        answer = api[""].get("/messages", headers={"Authorization": f"Bearer {token}"})
        return answer if answer.status_code == status and word in answer.text else None

    answer = eventually(asked)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("token", "method", "path"),
    [
        ("reader", "POST", "/messages"),
        ("reader", "POST", "/messages/batch"),
        ("reader", "POST", "/messages/0000000000000/retry"),
        ("reader", "POST", "/actions"),
        ("reader", "GET", "/servers"),
        ("erp", "GET", "/applications"),
        ("erp", "PUT", "/suppressions/a@x.example"),
        ("objects", "GET", "/messages"),
        ("objects", "GET", "/messages/0000000000000/raw"),
    ],
)
def test_a_token_does_only_what_its_scopes_say(api: Api, token: str, method: str, path: str) -> None:
    answer = api[token].request(method, path, json={"action": "retry"} if method != "GET" else None)
    assert "needs the scope" in problem(answer, 403)


def test_a_token_that_sends_needs_an_application(api: Api) -> None:
    with pytest.raises(CalledProcessError) as refused:
        api.gateway.run("token", "add", "x", "--scope", "messages:send")
    assert "--application" in refused.value.stderr
    with pytest.raises(CalledProcessError):
        api.gateway.run("token", "add", "x", "--scope", "objects:write", "--application", "erp")


def test_a_token_has_a_rate(api: Api) -> None:
    token = api.add_token("slow", "messages:read", more=("--per-minute", "3"))
    answer = _patient(api, token, 200, "items")
    assert answer.headers["ratelimit-policy"] == '"minute";q=3;w=60'
    seen = [api[""].get("/messages", headers={"Authorization": f"Bearer {token}"}) for _ in range(3)]
    assert [each.status_code for each in seen] == [200, 200, 429]
    assert seen[0].headers["ratelimit"].startswith('"minute";r=1;t=')
    assert int(seen[2].headers["retry-after"]) <= 60
    assert "go on in" in problem(seen[2], 429)


def test_no_token_and_no_subject_is_in_the_log_or_the_data(api: Api) -> None:
    api.send(subject="canary-subject-4711")
    written = api.gateway.output.read_text()
    assert "canary-subject-4711" not in written
    for token in api.tokens.values():
        assert token not in written
        for file in api.gateway.data.rglob("*"):
            assert not file.is_file() or token.encode() not in file.read_bytes()


# ---- header injection


@pytest.mark.parametrize("bad", INJECTIONS)
@pytest.mark.parametrize(
    "field",
    [
        "from",
        "to",
        "cc",
        "bcc",
        "reply_to",
        "subject",
        "from.name",
        "to.name",
        "to.email",
        "filename",
        "content_type",
        "cid",
        "header",
        "name",
        "tag",
        "key",
    ],
)
def test_no_field_can_become_another_header(api: Api, field: str, bad: str) -> None:
    lists = {name: {name: [bad]} for name in ("to", "cc", "bcc", "reply_to")}
    fields: dict[str, dict[str, Any]] = {
        **lists,
        "from": {"from": f"Mary <{MARY}> {bad}"},
        "subject": {"subject": bad},
        "from.name": {"from": {"email": MARY, "name": bad}},
        "to.name": {"to": [{"email": ANNA, "name": bad}]},
        "to.email": {"to": [{"email": f"{bad}@x.example"}]},
        "filename": {"attachments": [{**FILE, "filename": bad}]},
        "content_type": {"attachments": [{**FILE, "content_type": f"text/{bad}"}]},
        "cid": {"html": "x", "inline": [{"cid": bad, "content": FILE["content"]}]},
        "header": {"headers": {"X-Thing": bad}},
        "name": {"headers": {f"X-{bad}": "x"}},
        "tag": {"tags": [bad]},
        "key": {"idempotency_key": bad},
    }
    problem(api["erp"].post("/messages", json={**MAIL, **fields[field]}), 422)


@pytest.mark.parametrize(
    "name", ["From", "Bcc", "to", "Content-Type", "MIME-Version", "Received", "Return-Path", "Sender", "DKIM-Signature", "Date", ""]
)
def test_only_harmless_headers_can_be_set(api: Api, name: str) -> None:
    assert "can't be set here" in problem(api["erp"].post("/messages", json={**MAIL, "headers": {name: "x"}}), 422)


@pytest.mark.parametrize(
    "address", ["nobody", "a@b@c", "@x.example", "a@", "é@x.example", "a@x..example", "<>", "", "a@x.example, b@x.example"]
)
def test_what_is_no_address_is_refused(api: Api, address: str) -> None:
    problem(api["erp"].post("/messages", json={**MAIL, "to": [address]}), 422)
    if address:
        problem(
            api["erp"].post("/messages", content=b"Subject: x\r\n\r\nx", headers={**MIME}, params={"sender": MARY, "recipient": address}),
            422,
        )


# ---- bodies


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"from":"\\ud800"}', b"[" * 100_000, b'{"a":' * 50_000, b"1e999"]
)
@pytest.mark.parametrize("path", ["/messages", "/messages/batch", "/actions"])
def test_malformed_json_is_refused(api: Api, path: str, body: bytes) -> None:
    token = "actor" if path == "/actions" else "erp"
    answer = api[token].post(path, content=body, headers={"Content-Type": "application/json"})
    problem(answer, 400 if answer.status_code == 400 else 422)


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"no head at all\r\n", b"X" * 300_000, b"From: mary@contoso.example\r\nbroken line\r\nBcc: x\r\n\r\nx"]
)
def test_malformed_mime_is_refused_or_harmless(api: Api, body: bytes) -> None:
    answer = api["erp"].post("/messages", content=body, headers=MIME)
    if answer.status_code != 202:
        problem(answer, 422)


def test_a_mail_that_is_too_large_is_refused_at_once_and_on_the_way(api: Api) -> None:
    api.gateway.run("app", "add", "tiny", "--sender", "contoso.example")
    problem(api["objects"].put("/applications/tiny", json={"max_size": -1}), 422)
    assert api["objects"].put("/applications/tiny", json={"max_size": 300_000}).status_code == 200
    token = api.add_token("tiny", "messages:send", application="tiny")
    headers = {**MIME, "Authorization": f"Bearer {token}"}
    _patient_send(api, headers)
    assert "300000" in problem(api[""].post("/messages", content=b"x" * 300_001, headers=headers), 413)
    assert "300000" in problem(api[""].post("/messages", content=iter([b"x\n" * 100_000, b"x\n" * 100_000]), headers=headers), 413)
    large = json.dumps({**MAIL, "text": "x" * 400_000})
    assert "300000" in problem(api[""].post("/messages", content=large, headers={**headers, "Content-Type": "application/json"}), 413)
    assert not list((api.gateway.data / "spool").iterdir())


def _patient_send(api: Api, headers: dict[str, str]) -> None:
    from tests.api.conftest import eventually

    assert eventually(lambda: api[""].post("/messages", content=b"From: mary@contoso.example\r\n\r\nx", headers=headers).status_code == 202)


def test_json_has_a_limit_of_its_own(api: Api) -> None:
    json_type = {"Content-Type": "application/json"}
    assert "message/rfc822" in problem(api["erp"].post("/messages", content=b" " * 16_777_217, headers=json_type), 413)
    assert "send less" in problem(api["actor"].post("/actions", content=iter([b" " * 600_000] * 2), headers=json_type), 413)


@pytest.mark.parametrize("media", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_another_type_of_body_is_refused(api: Api, media: str) -> None:
    assert "message/rfc822" in problem(api["erp"].post("/messages", content=b"x", headers={"Content-Type": media}), 415)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"text": None},
        {"inline": [{"cid": "x", "content": ""}]},
        {"attachments": [{**FILE, "content": "?"}]},
        {"attachments": [{**FILE, "content_type": "multipart/mixed"}]},
        {"attachments": [{**FILE, "content_type": "message/rfc822"}]},
        {"colour": "red"},
        {"send_at": "tomorrow"},
        {"send_at": "2026-11-20T12:00:00"},
        {"send_at": "9999-01-01T00:00:00Z"},
        {"kind": "urgent"},
        {"tags": ["a b"]},
        {"tags": ["x"] * 11},
        {"headers": {"X-A": "1", "x-a": "2"}},
        {"headers": {"Message-ID": "no id"}},
        {"to": [f"r{number}@x.example" for number in range(1001)]},
        {"text": "a\0b"},
    ],
)
def test_a_mail_that_can_not_be_meant_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    problem(api["erp"].post("/messages", json={**MAIL, **wrong}), 422)


@pytest.mark.parametrize(
    "query", [{"text": "\0"}, {"limit": 0}, {"limit": 10**9}, {"cursor": "x"}, {"state": "lost"}, {"since": "yesterday"}, {"colour": "red"}]
)
def test_a_search_that_can_not_be_meant_is_refused(api: Api, query: dict[str, Any]) -> None:
    problem(api["reader"].get("/messages", params=query), 422)


@pytest.mark.parametrize(
    "query", [{"cursor": "9" * 20}, {"since": "0001-01-01T00:00:00Z"}, {"until": "9999-12-31T23:59:59Z"}, {"text": "\\%_'\""}]
)
def test_the_ends_of_the_world_are_searched_too(api: Api, query: dict[str, Any]) -> None:
    assert api["reader"].get("/messages", params=query).status_code == 200


def test_other_sites_get_nothing(api: Api) -> None:
    answer = api["reader"].get("/messages", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    problem(api["reader"].options("/messages", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}), 405)
    assert "/v1/docs" in problem(api["reader"].get("/nothing"), 404)


def test_the_description_loads_nothing_and_names_every_way(api: Api) -> None:
    page = api[""].get("/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not [word for word in ("http:", "https:", "src=", "<script", "@import") if word in page.text]
    for path in api[""].get("/openapi.json").json()["paths"]:
        assert path in page.text
    assert len(page.content) < 150_000
