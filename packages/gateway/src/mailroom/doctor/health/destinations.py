"""A destination: can mail be handed over there, and does any wait?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from urllib.parse import quote as encoded

from mailroom.doctor.findings import Finding, Harm, Repair
from mailroom.doctor.health.limits import of_ends
from mailroom.doctor.health.looking import Examined, Fact, Subject, judged, shown, unused
from mailroom.doctor.health.servers import Held, held
from mailroom.doctor.trial import Step
from mailroom.objects import Destination, ForwardTarget, OdooApi, OdooTarget, WebhookTarget
from mailroom.vault.expiry import Expiry


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFacts:
    """What was asked of a destination."""

    destination: Destination
    steps: tuple[Step, ...] = ()
    """Empty for those that are here."""
    host: str = ""
    held: tuple[Held, ...] = ()
    waiting: int = 0
    used_by: tuple[str, ...] = ()
    ends: tuple[Expiry, ...] = ()
    """The key of an Odoo."""
    keys: str = ""
    """Why it is not known when the key ends; empty: it is known, or there is none."""


def judge(facts: DestinationFacts, now: datetime) -> Examined:
    destination, subject = facts.destination, Subject("destination", facts.destination.name)
    if not destination.active:
        return unused(subject, "not active", Fact("waiting", str(facts.waiting)))
    findings = [*_steps(facts), *held(facts.held)]
    findings += of_ends(facts.ends, now, "Then Odoo takes no mail any more; it waits here.", _repairs(facts))
    return judged(
        subject,
        facts.steps[-1].said if facts.steps else "built in",
        findings,
        evidence=shown(facts.steps, facts.host),
        facts=_facts(facts),
        ends=facts.ends,
    )


def _steps(facts: DestinationFacts) -> Iterator[Finding]:
    failed = next((each for each in facts.steps if not each.ok), None)
    if failed is None:
        return
    secret = failed.name in ("key", "secret")
    yield Finding(
        code="no-key" if secret else "refused" if failed.name in ("user", "rights", "add-on") else "unreachable",
        harm=Harm.HARMFUL,
        title=f"No mail can be handed over to {facts.destination.name}",
        why="Mail for it waits here, and nobody there sees it.",
        todo=failed.said,
        evidence=shown(facts.steps, facts.host),
        repairs=_repairs(facts),
    )


def _repairs(facts: DestinationFacts) -> tuple[Repair, ...]:
    name, target = facts.destination.name, facts.destination.target
    page = Repair("change it", page=f"/destinations/of/{encoded(name)}")
    match target:
        case OdooTarget(api=OdooApi.ADD_ON):
            return Repair("enter another key", f"mailroom destination key {quote(name)} --add-on"), page
        case OdooTarget():
            return Repair("enter another key", f"mailroom destination key {quote(name)}"), page
        case WebhookTarget():
            return Repair("send it a test event", f"mailroom destination test {quote(name)}"), page
        case _:
            return (page,)


def _facts(facts: DestinationFacts) -> Iterator[Fact]:
    target = facts.destination.target
    if isinstance(target, OdooTarget):
        yield Fact("Odoo", f"{target.url}, database {target.database}, by {target.api.value}")
        if facts.keys:
            yield Fact("the key's end", facts.keys)
    if isinstance(target, ForwardTarget):
        yield Fact("to", ", ".join(target.to))
    yield Fact("used by", ", ".join(facts.used_by) or "nothing")
    yield Fact("waiting", str(facts.waiting))
