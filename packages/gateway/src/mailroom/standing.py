"""How the house stands at one moment, for whoever watches it: the command line and the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailroom.budget import rule_of, rules_of
from mailroom.doctor.health.desk import NAME as INSTALLATION
from mailroom.lanes import done_at
from mailroom.objects import Directory, OutgoingServer, SinkRoute
from mailroom.ports import LaneStatus, Store
from mailroom.vault.expiry import Expiry
from mailroom_core.model import LaneName, State

MANY = 10_000
"""Nobody needs to know how many more."""

ServersOf = Callable[[LaneName], Sequence[OutgoingServer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStanding:
    name: str
    waiting: int
    next: datetime | None
    """When the next mail is due."""
    done: datetime | None
    """When the last one that waits now will have left; None while nobody can tell."""
    held: str
    """Why it waits for a person; empty if it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingStanding:
    name: str
    looked_at: datetime | None
    """When a look was last finished."""
    next: datetime
    told_until: datetime | None
    """The provider tells us of new mail until then."""
    trouble: str
    """Why it can't fetch; empty if it can."""
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """External recipients in any 24 hours, of a tenant or an account."""

    name: str
    limit: int
    taken: int
    """As slices count: a little more than what has left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLook:
    """What the doctor has found at the installation."""

    at: datetime
    harmful: bool
    findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    way_out: bool
    """Whether there is an outgoing server in use; without one, every mail is refused."""
    deliveries: Mapping[State, int]
    lanes: tuple[LaneStanding, ...]
    incoming: tuple[IncomingStanding, ...]
    quarantine: int
    """Mail that came in and waits for a person; MANY at most."""
    budgets: tuple[Budget, ...]
    ending: tuple[Expiry, ...]
    """Secrets, certificates and sign-ins that end within 30 days, or have ended."""
    health: LastLook | None
    """None: nobody has looked yet."""


def standing(store: Store, directory: Directory, servers_of: ServersOf, ends: Sequence[Expiry], now: datetime) -> Standing:
    """Blocking."""
    lanes = store.lanes()
    held = {lane.name: lane.held for lane in lanes if lane.held}
    return Standing(
        way_out=any(server.active for server in directory.servers.values()),
        deliveries=store.counts(),
        lanes=tuple(_lane(store, servers_of, lane, now) for lane in lanes),
        incoming=tuple(
            IncomingStanding(
                name=each.name,
                looked_at=each.looked_at,
                next=each.due_at,
                told_until=each.subscribed_until,
                trouble=held.get(each.lane, "") or each.trouble,
                failing_since=each.failing_since,
            )
            for each in store.watch.all()
        ),
        quarantine=store.how_many(State.HELD, came_in=True, limit=MANY),
        budgets=tuple(Budget(name=rule.name, limit=rule.limit, taken=store.budgets.taken(rule.name)) for rule in rules_of(directory)),
        ending=tuple(each for each in ends if each.is_soon(now)),
        health=_health(store),
    )


def _health(store: Store) -> LastLook | None:
    kept = store.diagnoses.looks().get(INSTALLATION)
    if kept is None:
        return None
    body = json.loads(kept.body)
    return LastLook(at=kept.at, harmful=bool(body["harmful"]), findings=len(body["findings"]))


def budgets_of(store: Store, directory: Directory, servers: Sequence[OutgoingServer]) -> list[Budget]:
    """The limits of the tenants whose accounts these servers use. Blocking."""
    names = [server.route.account for server in servers if not isinstance(server.route, SinkRoute)]
    rules = (rule_of(directory, account) for name in names if (account := directory.accounts.get(name)))
    known = {rule.name: rule for rule in rules if rule}
    return [Budget(name=rule.name, limit=rule.limit, taken=store.budgets.taken(rule.name)) for rule in known.values()]


def _lane(store: Store, servers_of: ServersOf, lane: LaneStatus, now: datetime) -> LaneStanding:
    server = next(iter(servers_of(lane.name)), None)
    done = done_at(store, server, lane.name, lane.waiting, now) if server and not lane.held else None
    return LaneStanding(name=lane.name, waiting=lane.waiting, next=lane.due_at, done=done, held=lane.held)
