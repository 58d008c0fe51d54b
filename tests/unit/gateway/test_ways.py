"""Which lane goes by which server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailroom.objects import Account, GraphRoute, OutgoingServer, SmarthostRoute
from mailroom.ports import Lane
from mailroom.settings import Settings
from mailroom.transports.smarthost import Smarthost
from mailroom.wiring.parts import Parts, open_parts
from mailroom.wiring.ways import Ways
from mailroom_core.errors import ConfigError
from mailroom_core.model import LaneName

OUT = Lane(LaneName("smarthost:out"), 1)
BY_SMARTHOST = OutgoingServer(name="out", route=SmarthostRoute(host="127.0.0.1"))
BY_GRAPH = OutgoingServer(name="out", route=GraphRoute(account="office"))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = open_parts(Settings(data=tmp_path))
    yield parts
    parts.close()


def change(parts: Parts, *objects: Account | OutgoingServer) -> None:
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
