"""Graph as a transport: what it makes of an attempt's way, of several recipients, and of the pace, over a scripted mailbox."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from mailroom.lanes import LanePace
from mailroom.objects import OnUnsure, SinkRoute, SmarthostRoute
from mailroom.ports import Transport
from mailroom.transports.graph import Graph
from mailroom.transports.graph_alone import MOST
from mailroom.transports.http import Http, Pace
from mailroom.transports.sink import Sink
from mailroom.transports.smarthost import Smarthost
from mailroom_core.errors import VaultError
from mailroom_core.flow import Response
from mailroom_core.model import Deferred, DeliveryId, Failed, Held, Outcome, Sent, Unknown
from mailroom_core.policy.pace import Limits, Unit, Window
from mailroom_core.providers.graph.limits import MAILBOX
from mailroom_core.providers.graph.mailbox import Mailbox
from tests.contract.transports.jobs import job

pytestmark = pytest.mark.anyio

Answers = Callable[[httpx2.Request], httpx2.Response]


@dataclass
class Tenant:
    """Answers by hand, and remembers what was asked and noted."""

    answers: Answers
    asked: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    token: Callable[[str], Awaitable[str]] | None = None
    pace: Pace | None = None

    def graph(self, *, read_write: bool, on_unsure: OnUnsure = OnUnsure.HOLD) -> Graph:
        http = Http(httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer)), self.token, self.pace)
        return Graph(Mailbox.of("https://graph.test"), http, account="office", read_write=read_write, on_unsure=on_unsure)

    async def remember(self, facts: Mapping[str, str]) -> None:
        self.facts.update(facts)
        self.asked.append(f"noted {' '.join(sorted(facts))}")

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(f"{request.method} {request.url.path.removeprefix('/v1.0/me/')}")
        return self.answers(request)


def nobody(request: httpx2.Request) -> httpx2.Response:
    raise AssertionError(f"nobody should ask for {request.url}")


async def resolved(transport: Transport, **facts: str) -> Outcome:
    async def remember(facts: Mapping[str, str]) -> None:
        raise AssertionError(facts)

    (outcome,) = (await transport.resolve(job(facts=facts), remember)).values()
    return outcome


# ---- the way of an attempt


async def test_what_went_in_one_request_is_not_sent_again_because_the_account_may_look_by_now() -> None:
    tenant = Tenant(nobody)
    assert tenant.graph(read_write=False).way == "once"
    assert isinstance(await resolved(tenant.graph(read_write=True), way="once"), Held)
    assert isinstance(await resolved(tenant.graph(read_write=True, on_unsure=OnUnsure.RETRY), way="once"), Deferred)


async def test_what_went_by_draft_is_looked_for() -> None:
    tenant = Tenant(lambda request: httpx2.Response(200, json={"id": "AA", "isDraft": False}))
    assert tenant.graph(read_write=True).way == "draft"
    assert isinstance(await resolved(tenant.graph(read_write=True), way="draft", draft_id="AA", ready="yes"), Sent)
    assert tenant.asked == ["GET messages/AA"]


async def test_what_went_by_draft_is_never_sent_again_unseen_when_the_account_may_not_look_any_more() -> None:
    graph = Tenant(nobody).graph(read_write=False, on_unsure=OnUnsure.RETRY)
    outcome = await resolved(graph, way="draft", draft_id="AA", ready="yes")
    assert isinstance(outcome, Held)
    assert not outcome.lane


@pytest.mark.parametrize("way", ["draft", "once", ""])
@pytest.mark.parametrize("other", ["smarthost", "sink"])
async def test_after_a_change_of_the_route_a_person_decides_about_what_graph_may_have_sent(way: str, other: str) -> None:
    transports: dict[str, Transport] = {
        "smarthost": Smarthost("relay", SmarthostRoute(host="127.0.0.1"), helo="gateway.example.com"),
        "sink": Sink(SinkRoute()),
    }
    assert transports[other].way == other
    assert isinstance(await resolved(transports[other], way=way), Held)
    assert isinstance(await resolved(transports[other], way=other), Deferred)


async def test_after_a_change_of_the_route_a_person_decides_about_what_a_smarthost_may_have_sent() -> None:
    graph = Tenant(nobody).graph(read_write=True, on_unsure=OnUnsure.RETRY)
    assert isinstance(await resolved(graph, way="smarthost"), Held)


# ---- several recipients

GOOD, OTHER, BAD = "good@example.net", "other@example.net", "bad@example.net"


class Choosy:
    """A mailbox that refuses every mail with `BAD` among its recipients, when it is made or when it is sent."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.drafts: dict[str, bytes] = {}
        self.sent: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/v1.0/me/")
        if request.method == "DELETE":
            return httpx2.Response(204)
        mime = self.drafts[path.split("/")[1]] if path.endswith("/send") else b64decode(request.content)
        if BAD.encode() in mime and path.endswith(self.at):
            return httpx2.Response(400, json={"error": {"code": "ErrorInvalidRecipients", "message": "no"}})
        if path == "messages":
            name = f"draft{len(self.drafts)}"
            self.drafts[name] = mime
            return httpx2.Response(201, json={"id": name, "internetMessageId": f"<{name}@graph.test>", "conversationId": "c"})
        self.sent.append(",".join(address for address in (GOOD, OTHER, BAD) if address.encode() in mime))
        return httpx2.Response(202)


@pytest.mark.parametrize(("at", "read_write"), [("messages", True), ("/send", True), ("sendMail", False)])
async def test_one_bad_recipient_stops_none_of_the_others(at: str, read_write: bool) -> None:
    choosy = Choosy(at)
    tenant = Tenant(choosy)
    asked = job(GOOD, BAD, OTHER)
    outcomes = await tenant.graph(read_write=read_write).attempt(asked, tenant.remember)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Sent, Failed, Sent]
    assert choosy.sent == [GOOD, OTHER]


async def test_of_each_that_is_tried_alone_the_draft_is_noted_before_it_is_sent() -> None:
    choosy = Choosy("messages")
    tenant = Tenant(choosy)
    asked = job(BAD, GOOD, facts={"way": "draft"})
    await tenant.graph(read_write=True).attempt(asked, tenant.remember)
    noted = "noted 1.conversation_id 1.draft_id 1.internet_message_id 1.ready"
    assert tenant.asked == [
        "POST messages",
        "noted alone",
        "POST messages",
        "noted 1.turn",
        "POST messages",
        noted,
        "POST messages/draft0/send",
    ]
    assert b"x-mailroom-attempt: 0000000000000001-1" in b" ".join(choosy.drafts["draft0"].split())
    facts = replace(asked.attempt, facts={"way": "draft", **tenant.facts}).facts_of(DeliveryId(2))
    assert facts["internet_message_id"] == "<draft0@graph.test>"
    assert facts["way"] == "draft"


async def test_each_that_is_tried_alone_counts_as_a_mail_and_waits_for_its_turn() -> None:
    """The attempt has counted as one, which is that of the first."""
    pace = LanePace(lambda: datetime.now(UTC), mails=Limits((Window(Unit.MESSAGES, 3, timedelta(minutes=1)),), 1))
    choosy = Choosy("sendMail")
    tenant = Tenant(choosy, pace=pace)
    asked = job(GOOD, BAD, OTHER, "last@example.net")
    pace.start(4)
    outcomes = await tenant.graph(read_write=False).attempt(asked, tenant.remember)
    pace.end(4)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Sent, Failed, Sent, Deferred]
    assert choosy.sent == [GOOD, OTHER]
    assert {name for name in tenant.facts if name.endswith("turn")} == {"1.turn", "2.turn"}
    assert pace.pause(1) > timedelta(seconds=50)


async def test_an_attempt_that_ended_between_recipients_is_looked_at_recipient_by_recipient() -> None:
    def answers(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("messages/AA"):
            return httpx2.Response(200, json={"id": "AA", "isDraft": False})
        if request.url.path.endswith("messages/BB/send"):
            return httpx2.Response(202)
        if request.url.path.endswith("messages/BB"):
            return httpx2.Response(200, json={"id": "BB", "isDraft": True})
        return httpx2.Response(200, json={"value": []})

    facts = {"way": "draft", "alone": "yes", "draft_id": "ZZ", "ready": "yes"}
    facts |= {"0.draft_id": "AA", "0.ready": "yes", "1.draft_id": "BB", "1.ready": "yes"}
    tenant = Tenant(answers)
    asked = job(GOOD, OTHER, BAD, facts=facts)
    outcomes = await tenant.graph(read_write=True).resolve(asked, tenant.remember)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Sent, Sent, Deferred]


async def test_a_draft_that_a_look_finds_refused_for_one_recipient_fails_and_suppresses_none_of_the_others() -> None:
    """It was committed and never sent, as after a crash in between."""
    choosy = Choosy("/send")
    choosy.drafts["AA"] = f"{GOOD} {BAD} {OTHER}".encode()

    def answers(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"id": "AA", "isDraft": True}) if request.method == "GET" else choosy(request)

    tenant = Tenant(answers)
    asked = job(GOOD, BAD, OTHER, facts={"way": "draft", "draft_id": "AA", "ready": "yes"})
    outcomes = await tenant.graph(read_write=True).resolve(asked, tenant.remember)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Deferred] * 3
    assert tenant.asked[-1] == "DELETE messages/AA"
    outcomes = await tenant.graph(read_write=True).attempt(job(GOOD, BAD, OTHER), tenant.remember)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Sent, Failed, Sent]


async def test_of_very_many_recipients_some_wait_for_the_next_attempt() -> None:
    tenant = Tenant(Choosy("messages"))
    asked = job(BAD, *(f"r{number}@example.net" for number in range(60)))
    outcomes = await tenant.graph(read_write=True).attempt(asked, tenant.remember)
    kinds = [type(outcomes[delivery]) for delivery in asked.recipients]
    assert kinds == [Failed, *[Sent] * (MOST - 1), *[Deferred] * (61 - MOST)]


async def test_what_stops_the_mailbox_stops_it_for_those_who_have_not_had_their_turn() -> None:
    choosy = Choosy("sendMail")

    def answers(request: httpx2.Request) -> httpx2.Response:
        mime = b64decode(request.content)
        return httpx2.Response(429) if OTHER.encode() in mime and BAD.encode() not in mime else choosy(request)

    tenant = Tenant(answers)
    asked = job(BAD, OTHER, GOOD)
    outcomes = await tenant.graph(read_write=False).attempt(asked, tenant.remember)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Failed, Deferred, Deferred]
    assert choosy.sent == []


async def test_a_token_that_ends_between_recipients_leaves_what_was_sent_as_sent() -> None:
    choosy = Choosy("sendMail")
    tenant = Tenant(choosy)

    async def token(refused: str) -> str:
        if choosy.sent:
            raise VaultError("Microsoft is busy", transient=True)
        return "secret"

    tenant.token = token
    asked = job(GOOD, OTHER, BAD)
    outcomes = await tenant.graph(read_write=False).attempt(asked, tenant.remember)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Sent, Deferred, Deferred]


async def test_what_can_be_nobodys_address_never_reaches_graph() -> None:
    choosy = Choosy("messages")
    tenant = Tenant(choosy)
    asked = job("joe@[300", GOOD, "two words@example.net")
    outcomes = await tenant.graph(read_write=True).attempt(asked, tenant.remember)
    assert [type(outcomes[delivery]) for delivery in asked.recipients] == [Failed, Sent, Failed]
    assert choosy.sent == [GOOD]
    alone = job("joe@[300")
    (outcome,) = (await Tenant(nobody).graph(read_write=True).attempt(alone, tenant.remember)).values()
    assert isinstance(outcome, Failed)
    assert outcome.bad_address


# ---- the pace


def full() -> LanePace:
    """A mailbox that wants no request for an hour."""
    pace = LanePace(lambda: datetime.now(UTC), mails=MAILBOX, requests=MAILBOX)
    pace.answered(Response(429, {"retry-after": "3600"}))
    return pace


@pytest.mark.parametrize("read_write", [True, False])
async def test_what_waited_in_vain_for_its_turn_was_not_sent_and_is_tried_again(read_write: bool) -> None:
    tenant = Tenant(nobody, pace=full())
    (outcome,) = (await tenant.graph(read_write=read_write).attempt(job(GOOD), tenant.remember)).values()
    assert isinstance(outcome, Deferred)


async def test_a_draft_whose_turn_to_be_sent_does_not_come_is_left_to_the_looks_and_not_made_anew() -> None:
    def answers(request: httpx2.Request) -> httpx2.Response:
        pace.answered(Response(429, {"retry-after": "3600"}))
        return httpx2.Response(201, json={"id": "AA"})

    pace = LanePace(lambda: datetime.now(UTC), mails=MAILBOX, requests=MAILBOX)
    tenant = Tenant(answers, pace=pace)
    (outcome,) = (await tenant.graph(read_write=True).attempt(job(GOOD), tenant.remember)).values()
    assert isinstance(outcome, Unknown)
    assert (outcome.looked, outcome.waits) == (False, True)
    assert "no request in time" in outcome.why
    assert tenant.facts["ready"] == "yes"


async def test_a_draft_that_is_refused_after_it_was_throttled_does_not_stay_behind() -> None:
    said = [httpx2.Response(429), httpx2.Response(400, json={"error": {"code": "ErrorSendAsDenied"}})]

    def answers(request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            return httpx2.Response(204)
        return said.pop(0) if request.url.path.endswith("/send") else httpx2.Response(201, json={"id": "AA"})

    tenant = Tenant(answers)
    (outcome,) = (await tenant.graph(read_write=True).attempt(job(GOOD), tenant.remember)).values()
    assert isinstance(outcome, Failed)
    assert tenant.asked[-3:] == ["POST messages/AA/send", "POST messages/AA/send", "DELETE messages/AA"]


async def test_a_request_to_stop_ends_the_wait_before_anything_was_sent() -> None:
    pace = full()
    tenant = Tenant(nobody, pace=pace)
    asked = job(GOOD, time_limit=timedelta(hours=9))
    attempt = asyncio.create_task(tenant.graph(read_write=False).attempt(asked, tenant.remember))
    await asyncio.wait({attempt}, timeout=0.05)
    assert not attempt.done()
    pace.stop()
    (outcome,) = (await asyncio.wait_for(attempt, 5)).values()
    assert isinstance(outcome, Deferred)


async def test_a_draft_that_a_look_sends_again_counts_in_the_pace() -> None:
    def answers(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(202 if request.method == "POST" else 200, json={"id": "AA", "isDraft": True})

    pace = LanePace(lambda: datetime.now(UTC), mails=MAILBOX, requests=MAILBOX)
    tenant = Tenant(answers, pace=pace)
    asked = job(GOOD, OTHER, facts={"way": "draft", "draft_id": "AA", "ready": "yes"})
    outcomes = await tenant.graph(read_write=True).resolve(asked, tenant.remember)
    assert {type(outcome) for outcome in outcomes.values()} == {Sent}
    assert tenant.asked == ["GET messages/AA", "noted sent_again", "POST messages/AA/send"]
    assert not pace.pause(9_998)
    assert pace.pause(9_999)
