"""What the health of the installation is made of: the running one is asked here, and `doctor.health` judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from mailroom.doctor.health.desk import HealthDesk
from mailroom.doctor.health.looking import HOUSE, Examination, Examined, Health, Subject
from mailroom.wiring.health import accounts, destinations, incoming, installation, programs, servers
from mailroom.wiring.health.send_as import send_as
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
    subjects = [Subject(kind, name) for kind, (objects, _) in KINDS.items() for name in sorted(objects(parts))]
    found = []
    for each in subjects:
        with suppress(ConfigError):  # it has just been removed
            found.append(examination(parts, each))
    return found


def examination(parts: Parts, subject: Subject) -> Examination:
    """Of one object. Raises ConfigError if there is none."""
    objects, make = KINDS.get(subject.kind, (None, None))
    if objects is None or make is None:
        raise ConfigError(f"the health of {subject.kind!r} is not looked at; there are: {', '.join(KINDS)}")
    missing = f"there is no {subject}; `mailroom export` shows what there is"
    if subject.name not in objects(parts):
        raise ConfigError(missing)
    try:
        return make(parts, subject.name)
    except KeyError:  # removed in between
        raise ConfigError(missing) from None


async def health(parts: Parts, tell: Callable[[Examined], None] = lambda each: None) -> Health:
    """Look at everything; `tell` hears of each object as soon as it is done. The look is kept, as the last one. Raises Busy."""
    found: Health | None = None
    async for each in health_desk(parts).look():
        if isinstance(each, Health):
            found = each
        else:
            tell(each)
    assert found is not None, "a look ends with the whole"
    return found


def health_desk(parts: Parts) -> HealthDesk:
    return HealthDesk(
        examinations=lambda: _now(parts),
        ask=lambda address, application: send_as(parts, address, application=application),
        diagnoses=parts.store.diagnoses,
        clock=utc_now,
    )


def _now(parts: Parts) -> list[Examination]:
    parts.directory.look()
    return all_examinations(parts)
