"""A destination is tried as by its test, and is handed nothing: no mail, and no event either."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from mailroom.doctor.health.destinations import DestinationFacts, judge
from mailroom.doctor.health.looking import Examination, Examined, Subject
from mailroom.doctor.trial import Step
from mailroom.objects import Destination, Directory, DoctorTarget, InboxTarget, OdooApi, OdooTarget, WebhookTarget
from mailroom.transports.http import Http, client
from mailroom.vault.expiry import Expiry
from mailroom.vault.vault import nothing
from mailroom.wiring.handing import DESTINATION, destination_trial, login_of
from mailroom.wiring.health.servers import held_of
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.errors import ConfigError
from mailroom_core.flow import arun
from mailroom_core.providers.odoo.records import opened, read

_KEYS = "res.users.apikeys"


def examination(parts: Parts, name: str) -> Examination:
    destination = parts.directory().destinations[name]
    return Examination(Subject("destination", name), lambda: _examine(parts, destination))


async def _examine(parts: Parts, destination: Destination) -> Examined:
    steps: list[Step] = []
    target = destination.target
    if destination.active and not isinstance(target, InboxTarget | DoctorTarget):
        async with aclosing(destination_trial(parts, destination.name, calling_it=False)) as trial:  # type: ignore[type-var]  # a generator
            async for step in trial:
                steps.append(step)
    ends, keys = await _end_of_key(parts, destination) if all(each.ok for each in steps) else ((), "")
    lanes = [each for each in await asyncio.to_thread(parts.store.lanes) if each.name == f"{DESTINATION}{destination.name}"]
    facts = DestinationFacts(
        destination=destination,
        steps=tuple(steps),
        host=urlsplit(target.url).netloc if isinstance(target, OdooTarget | WebhookTarget) else "",
        held=held_of(lanes),
        waiting=sum(each.waiting for each in lanes),
        used_by=_used_by(parts.directory(), destination.name),
        ends=ends,
        keys=keys,
    )
    return judge(facts, utc_now())


async def _end_of_key(parts: Parts, destination: Destination) -> tuple[tuple[Expiry, ...], str]:
    """Odoo does not say which of the user's keys is ours: of several, the first that ends. Or why it is not known."""
    target = destination.target
    if not destination.active or not isinstance(target, OdooTarget) or target.api is OdooApi.ADD_ON:
        return (), ""
    try:
        async with client() as connection:
            http = Http(connection)
            session = await arun(opened(await login_of(parts, destination.name, target)), http, nothing)
            rows = await arun(read(session, _KEYS, [["user_id.login", "=", target.user]], ["name", "expiration_date"]), http, nothing)
    except ConfigError as problem:
        return (), f"Odoo does not say ({problem})"
    # It works, so it has not ended: those that have are others, or are about to be swept.
    dates = [moment for each in rows if (moment := _moment(each.get("expiration_date"))) is not None and moment > utc_now()]
    if not dates:
        return (), "never" if rows else "not known: a password, or a key that Odoo does not show"
    which = "API key" if len(rows) == 1 else f"first of {len(rows)} API keys of {target.user}"
    advice = f"Make a new one in Odoo (My Preferences, Security), then run: mailroom destination key {destination.name}"
    return (Expiry(destination.name, which, min(dates), advice, "Odoo"),), ""


def _moment(value: object) -> datetime | None:
    """As Odoo writes times: UTC, without saying so."""
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC) if value else None
    except ValueError:
        return None


def _used_by(directory: Directory, name: str) -> tuple[str, ...]:
    aliases = [f"alias {each.name}" for each in directory.aliases.values() if each.active and each.destination == name]
    incoming = [f"incoming {each.name}" for each in directory.incoming.values() if each.active and each.destination == name]
    answers = [f"answers to {each.name}" for each in directory.applications.values() if each.active and each.answers == name]
    return tuple(sorted((*aliases, *incoming, *answers)))
