"""What the health of the installation is made of: the running one is asked here, and `doctor.health` judges."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from mailroom.doctor.health.looking import HOUSE, Examination, Examined, Health, Subject, examined
from mailroom.wiring.health import accounts, destinations, incoming, installation, programs, servers
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.errors import ConfigError

Make = Callable[[Parts, str], Examination]
"""For an object that is there."""

KINDS: Mapping[str, tuple[Callable[[Parts], Mapping[str, object]], Make]] = {
    HOUSE.kind: (lambda parts: {HOUSE.name: parts}, installation.examination),
    "account": (lambda parts: parts.directory().accounts, accounts.examination),
    "server": (lambda parts: parts.directory().servers, servers.examination),
    "incoming": (lambda parts: parts.directory().incoming, incoming.examination),
    "destination": (lambda parts: parts.directory().destinations, destinations.examination),
    "application": (lambda parts: parts.directory().applications, programs.application),
    "alias_domain": (lambda parts: parts.directory().alias_domains, programs.alias_domain),
    "webhook": (lambda parts: parts.directory().webhooks, programs.webhook),
}
"""For each kind of object, all of them by name, and how one is looked at; in the order in which people read them."""


def all_examinations(parts: Parts) -> list[Examination]:
    """Of everything that there is."""
    return [make(parts, name) for objects, make in KINDS.values() for name in sorted(objects(parts))]


def examination(parts: Parts, subject: Subject) -> Examination:
    """Of one object. Raises ConfigError if there is none."""
    objects, make = KINDS.get(subject.kind, (None, None))
    if objects is None or make is None:
        raise ConfigError(f"the health of {subject.kind!r} is not looked at; there are: {', '.join(KINDS)}")
    if subject.name not in objects(parts):
        raise ConfigError(f"there is no {subject}; `mailroom export` shows what there is")
    return make(parts, subject.name)


async def health(parts: Parts, tell: Callable[[Examined], None] = lambda each: None) -> Health:
    """Look at everything; `tell` hears of each object as soon as it is done."""
    began, now = time.monotonic(), utc_now()
    wanted = all_examinations(parts)
    found: dict[Subject, Examined] = {}
    async for each in examined(wanted):
        found[each.subject] = each
        tell(each)
    return Health(now, timedelta(seconds=time.monotonic() - began), tuple(found[each.subject] for each in wanted))
