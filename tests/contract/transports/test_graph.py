"""Graph as a transport: what it makes of an attempt's way, of several recipients, and of the pace, over a scripted mailbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2
import pytest

from mailroom.objects import OnUnsure, SinkRoute, SmarthostRoute
from mailroom.ports import Transport
from mailroom.transports.graph import Graph
from mailroom.transports.http import Http
from mailroom.transports.sink import Sink
from mailroom.transports.smarthost import Smarthost
from mailroom_core.model import Deferred, Held, Outcome, Sent
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

    def graph(self, *, read_write: bool, on_unsure: OnUnsure = OnUnsure.HOLD) -> Graph:
        http = Http(httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer)))
        return Graph(Mailbox.of("https://graph.test"), http, read_write=read_write, on_unsure=on_unsure)

    async def remember(self, facts: Mapping[str, str]) -> None:
        self.facts.update(facts)

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
