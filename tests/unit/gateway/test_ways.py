"""Which lane goes by which server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.objects import Account, GraphRoute, OutgoingServer, SinkRoute, SmarthostRoute, Suppression
from mailroom.ports import Lane
from mailroom.settings import Settings
from mailroom.transports.smarthost import Smarthost
from mailroom.wiring.parts import Parts, open_parts
from mailroom.wiring.ways import Ways
from mailroom_core.errors import ConfigError
from mailroom_core.flow import Response
from mailroom_core.model import LaneName

OUT = Lane(LaneName("smarthost:out"), 1)
BY_SMARTHOST = OutgoingServer(name="out", route=SmarthostRoute(host="127.0.0.1"))
BY_GRAPH = OutgoingServer(name="out", route=GraphRoute(account="office"))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = open_parts(Settings(data=tmp_path))
    yield parts
    parts.close()


def change(parts: Parts, *objects: Account | OutgoingServer | Suppression) -> None:
    """As another process does it."""
    parts.store.apply(objects, [], by="test")


def test_a_change_that_another_process_made_is_known_when_it_is_needed(parts: Parts) -> None:
    change(parts, BY_SMARTHOST)
    assert isinstance(Ways(parts)(OUT, "out").transport, Smarthost)


@pytest.mark.anyio
async def test_mail_that_waits_for_the_route_of_before_never_leaves_by_the_new_one(parts: Parts) -> None:
    ways = Ways(parts)
    change(parts, BY_SMARTHOST)
    ways(OUT, "out")
    change(parts, Account(name="office", mailbox="mary@example.com"), BY_GRAPH)
    parts.directory.look()
    with pytest.raises(ConfigError, match="by now it has another"):
        ways(OUT, "out")
    change(parts, BY_SMARTHOST)
    assert isinstance(ways(OUT, "out").transport, Smarthost)
    await ways.close()


@pytest.mark.anyio
async def test_what_changes_elsewhere_ends_no_pause_and_forgets_nothing_that_is_under_way(parts: Parts) -> None:
    """Each bounce that suppresses an address is a change of the objects."""
    server = replace(BY_SMARTHOST, per_minute=1)
    change(parts, server, OutgoingServer(name="other", route=SinkRoute()))
    ways = Ways(parts)
    first = ways(OUT, "out").pace
    first.start(1)
    change(parts, Suppression(address="dead@example.org", reason="no such mailbox"))
    parts.directory.look()
    assert ways(OUT, "out").pace.pause(1) > timedelta()
    first.end(1)
    assert ways(OUT, "out").pace.pause(1) > timedelta(seconds=50)
    first.answered(Response(429, {"retry-after": "300"}))
    for lane in (OUT, Lane(OUT.name, 2)):
        assert ways(lane, "out").pace.pause(1) > timedelta(seconds=290), "obeyed also with the next lease"
    change(parts, replace(server, per_minute=1000))
    parts.directory.look()
    assert ways(Lane(OUT.name, 2), "out").pace.pause(1) > timedelta(seconds=290), "and by another limit of ours"
    await ways.close()


@pytest.mark.anyio
async def test_lanes_of_a_tenant_share_what_is_left_of_its_limit_and_give_it_back_at_the_end(parts: Parts) -> None:
    one, two = (Account(name=name, tenant="t", mailbox=f"{name}@example.com", external_recipients_per_day=200) for name in ("one", "two"))
    by_smtp = OutgoingServer(name="smtp", route=SmarthostRoute(host="127.0.0.1", account="two"))
    by_graph = OutgoingServer(name="graph", route=GraphRoute(account="one"))
    change(parts, one, two, by_graph, by_smtp, BY_SMARTHOST)
    ways = Ways(parts)
    budget = ways(Lane(LaneName("graph:one:one@example.com"), 1), "graph").budget
    assert budget is not None
    assert ways(Lane(LaneName("smarthost:smtp"), 1), "smtp").budget is budget
    assert ways(OUT, "out").budget is None
    assert await budget.afford(3, timedelta(minutes=5)) == timedelta()
    budget.spend(3)
    assert parts.store.budgets.taken("tenant:t") == 10
    change(parts, replace(one, external_recipients_per_day=100))
    parts.directory.look()
    ways(Lane(LaneName("graph:one:one@example.com"), 1), "graph")
    assert budget.rule.limit == 100
    await ways.close()
    assert parts.store.budgets.taken("tenant:t") == 3
    said = CliRunner().invoke(main, ["--data", str(parts.settings.data), "status"], catch_exceptions=False).output
    assert "External recipients of tenant:t: 3 of 100 a day are taken." in said
