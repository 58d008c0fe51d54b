"""An incoming server is looked into as by its test, and nothing is changed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from mailroom.doctor.health.incoming import IncomingFacts, judge
from mailroom.doctor.health.looking import Examination, Examined, Subject
from mailroom.doctor.trial import Step
from mailroom.mailboxes import lane_of
from mailroom.objects import GraphInbox, IncomingServer
from mailroom.wiring.health.accounts import host_of, turn_of
from mailroom.wiring.health.servers import first_of, held_of
from mailroom.wiring.incoming import incoming_trial
from mailroom.wiring.parts import Parts, utc_now


def examination(parts: Parts, name: str) -> Examination:
    server = parts.directory().incoming[name]
    turn = turn_of(server.source.account) if isinstance(server.source, GraphInbox) else ""
    return Examination(Subject("incoming", name), lambda: _examine(parts, server), turn=turn)


async def _examine(parts: Parts, server: IncomingServer) -> Examined:
    steps: list[Step] = []
    if server.active:
        async with aclosing(incoming_trial(parts, server.name, changing=False)) as trial:  # type: ignore[type-var]  # a generator
            async for step in trial:
                steps.append(step)
    return judge(await asyncio.to_thread(_facts, parts, server, steps), utc_now())


def _facts(parts: Parts, server: IncomingServer, steps: list[Step]) -> IncomingFacts:
    """Blocking."""
    directory, lane = parts.directory(), lane_of(parts.directory(), server)
    watched = next((each for each in parts.store.watch.all() if each.name == server.name), None)
    own = [] if first_of(directory, lane) else [each for each in parts.store.lanes() if each.name == lane]
    account = directory.accounts.get(server.source.account)
    source = server.source
    return IncomingFacts(
        server=server,
        host=(host_of(account) if account else "") if isinstance(source, GraphInbox) else f"{source.host}:{source.port}",
        steps=tuple(steps),
        looked_at=watched.looked_at if watched else None,
        due_at=watched.due_at if watched else None,
        trouble=watched.trouble if watched else "",
        failing_since=watched.failing_since if watched else None,
        told_until=watched.subscribed_until if watched else None,
        held=held_of(own),
    )
