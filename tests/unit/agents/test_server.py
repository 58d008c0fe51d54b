"""The tools without a process: a gateway that is scripted, and the official client in memory."""

from __future__ import annotations

import asyncio
import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from click.testing import CliRunner
from mcp import Client
from mcp_types import CallToolResult

from mailroom.agents.gateway import MOST_ANSWER, MOST_MAIL, Gateway
from mailroom.agents.server import make_server
from mailroom.agents.tools import CHANGING, CONTENT, READING, Symptom
from mailroom.cli import main
from mailroom.doctor.symptoms.questions import QUESTIONS

Answer = Callable[[httpx2.Request], httpx2.Response]


class Scripted:
    """A gateway that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: Answer = lambda request: httpx2.Response(200, json={})) -> None:
        self.asked = list[httpx2.Request]()
        self._answer = answer

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return self._answer(request)

    def gateway(self) -> Gateway:
        return Gateway("http://gateway.test/", "mrt_token", transport=httpx2.MockTransport(self._handle))


def ask(scripted: Scripted, tool: str, allowed: tuple[str, ...] = (), *, content: bool = False, **given: Any) -> CallToolResult:
    async def call() -> CallToolResult:
        async with scripted.gateway() as gateway, Client(make_server(gateway, allowed, content=content)) as client:
            return await client.call_tool(tool, given)

    return asyncio.run(call())


def text(result: CallToolResult) -> str:
    return "".join(each.text for each in result.content if each.type == "text")


def names(allowed: tuple[str, ...] = (), *, content: bool = False) -> dict[str, bool | None]:
    async def asked() -> dict[str, bool | None]:
        async with Scripted().gateway() as gateway, Client(make_server(gateway, allowed, content=content)) as client:
            listed = (await client.list_tools()).tools
            return {each.name: each.annotations.read_only_hint if each.annotations else None for each in listed}

    return asyncio.run(asked())


def test_by_default_there_are_tools_that_read_and_no_others() -> None:
    assert names() == dict.fromkeys(READING, True)
    assert names(("retry",), content=True) == {**dict.fromkeys((*READING, *CONTENT), True), "retry": False}


def test_each_call_carries_the_token_and_the_name_of_the_tool() -> None:
    scripted = Scripted()
    ask(scripted, "find_mail", text="anna", state=["held", "failed"], limit=5)
    (asked,) = scripted.asked
    assert asked.headers["authorization"] == "Bearer mrt_token"
    assert asked.headers["mailroom-tool"] == "find_mail"
    assert str(asked.url) == "http://gateway.test/v1/messages?text=anna&state=held&state=failed&limit=5"


@pytest.mark.parametrize(
    ("tool", "given", "wanted"),
    [
        ("status", {}, "GET /v1/status"),
        ("doctor_domain", {"domain": "contoso.example"}, "GET /v1/doctor/contoso.example"),
        ("doctor_installation", {}, "GET /v1/doctor/installation"),
        ("doctor_ask", {"question": "queued", "message": "06xqfhxnc2400"}, "GET /v1/doctor/questions/queued?message=06xqfhxnc2400"),
        ("send_as", {"address": "sales@b.example"}, "GET /v1/doctor/send-as?address=sales%40b.example"),
        ("doctor_odoo", {"destination": "our erp"}, "GET /v1/doctor/odoo/our%20erp"),
        ("doctor_last_looks", {}, "GET /v1/doctor"),
        ("explain_route", {"address": "mary@contoso.example"}, "GET /v1/explain?address=mary%40contoso.example&bulk=false"),
        ("explain_error", {"text": "550 5.7.60"}, "POST /v1/doctor/explain"),
        ("audit_log", {"by": "token:x", "limit": 3}, "GET /v1/audit?by=token%3Ax&limit=3"),
        ("cutover", {}, "GET /v1/cutover"),
        ("retry", {"id": "06xqfhxnc2400"}, "POST /v1/messages/06xqfhxnc2400/retry"),
        ("send_now", {"id": "06xqfhxnc2400"}, "POST /v1/messages/06xqfhxnc2400/send-now"),
        ("cancel", {"id": "06xqfhxnc2400"}, "POST /v1/messages/06xqfhxnc2400/cancel"),
        ("hold", {"id": "06xqfhxnc2400"}, "POST /v1/messages/06xqfhxnc2400/hold"),
        ("ignore", {"id": "06xqfhxnc2400"}, "POST /v1/messages/06xqfhxnc2400/ignore"),
        ("suppress", {"address": "a@b.example", "reason": "asked for it"}, "PUT /v1/suppressions/a@b.example"),
        ("unsuppress", {"address": "a@b.example"}, "DELETE /v1/suppressions/a@b.example"),
    ],
)
def test_every_tool_asks_the_api(tool: str, given: dict[str, Any], wanted: str) -> None:
    scripted = Scripted(lambda request: httpx2.Response(204) if request.method == "DELETE" else httpx2.Response(200, json={}))
    result = ask(scripted, tool, CHANGING, **given)
    assert not result.is_error, text(result)
    method, _, path = wanted.partition(" ")
    assert (scripted.asked[0].method, scripted.asked[0].url.raw_path.decode()) == (method, path)


def test_the_questions_that_a_tool_may_ask_are_those_that_there_are() -> None:
    assert set(get_args(Symptom)) == {each.slug for each in QUESTIONS}


def test_a_tool_asks_nothing_but_its_own_path() -> None:
    scripted = Scripted()
    assert ask(scripted, "retry", CHANGING, id="../../objects").is_error
    assert ask(scripted, "doctor_domain", CHANGING, domain="a/../audit").is_error
    for away in ("..", ".", "a b", "a\\b"):
        assert ask(scripted, "doctor_domain", CHANGING, domain=away).is_error
    assert ask(scripted, "unsuppress", CHANGING, address="..").is_error
    assert scripted.asked == []


def test_lists_are_given_page_by_page() -> None:
    events = [{"name": str(number)} for number in range(120)]
    scripted = Scripted(lambda request: httpx2.Response(200, json={"events": events}))
    told = json.loads(text(ask(scripted, "mail_story", id="06xqfhxnc2400", offset=100)))["data"]
    assert (len(told["events"]), told["events_total"], told["next"]) == (20, 120, None)
    scripted = Scripted(lambda request: httpx2.Response(200, json=events))
    told = json.loads(text(ask(scripted, "list_objects", kind="servers")))["data"]
    assert (len(told["items"]), told["total"], told["next"]) == (50, 120, 50)


def test_refusals_and_silence_are_told_in_words() -> None:
    problem = {"detail": "The token 'agent' may not do this", "errors": [{"where": "limit", "what": "too large"}]}
    result = ask(Scripted(lambda request: httpx2.Response(403, json=problem)), "status")
    assert result.is_error
    assert "The token 'agent' may not do this; limit: too large" in text(result)
    assert "not as a Mailroom gateway's" in text(ask(Scripted(lambda request: httpx2.Response(502, text="<html>")), "status"))

    def silent(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    assert "gave no answer (refused)" in text(ask(Scripted(silent), "status"))
    huge = Scripted(lambda request: httpx2.Response(200, content=b"x" * (MOST_ANSWER + 1)))
    assert "too large" in text(ask(huge, "status"))


def test_of_a_large_mail_only_the_beginning_is_read() -> None:
    raw = b"Subject: x\r\n\r\n" + b"word " * MOST_MAIL
    told = text(ask(Scripted(lambda request: httpx2.Response(200, content=raw)), "read_mail", content=True, id="06xqfhxnc2400"))
    assert json.loads(told.partition("\n")[0])["read_whole"] is False


def test_a_tool_that_can_not_be_allowed_and_a_missing_package_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = CliRunner().invoke(main, ["mcp", "--allow", "retry,format_disk"])
    assert "there is no tool format_disk that could be allowed" in unknown.output
    missing = CliRunner().invoke(main, ["mcp", "--token-file", str(tmp_path / "none")])
    assert "has no token" in missing.output
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "mailroom.agents.server":
            raise ModuleNotFoundError("No module named 'mcp'", name="mcp")
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "mailroom-gateway[mcp]" in CliRunner().invoke(main, ["mcp"]).output
