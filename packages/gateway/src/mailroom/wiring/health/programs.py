"""Applications, alias domains and webhooks: all that is asked of them lies here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TypeVar

from mailroom.doctor.health.looking import Examination, Examined, Subject
from mailroom.doctor.health.programs import (
    ApplicationFacts,
    Carried,
    DomainFacts,
    WebhookFacts,
    judge_application,
    judge_domain,
    judge_webhook,
)
from mailroom.objects import Application, Directory, Scope
from mailroom.way_out import explained, notification_address
from mailroom.wiring.parts import Parts
from mailroom_core.errors import ConfigError, Refused
from mailroom_core.policy.addresses import domain_of

ANYBODY = "anybody"
T = TypeVar("T")


def application(parts: Parts, name: str) -> Examination:
    async def examine() -> Examined:
        directory = parts.directory()
        found = _still(directory.applications, "application", name)
        tokens = tuple(sorted(each.name for each in directory.tokens.values() if each.application == name and Scope.SEND in each.scopes))
        return judge_application(ApplicationFacts(application=found, carried=_carried(directory, found), tokens=tokens))

    return Examination(Subject("application", name), examine)


def _still(objects: Mapping[str, T], kind: str, name: str) -> T:
    """Raises ConfigError: a look takes seconds, and objects go meanwhile."""
    if name not in objects:
        raise ConfigError(f"the {kind} {name} was removed while others were looked at")
    return objects[name]


def _carried(directory: Directory, application: Application) -> tuple[Carried, ...]:
    """Of its addresses, and of somebody at each of its domains; `*` stands for our own domains."""
    wanted: list[str] = []
    for sender in application.senders:
        if sender == "*":
            wanted += [f"{ANYBODY}@{each}" for each in sorted(directory.alias_domains)] or [f"{ANYBODY}@example.com"]
        else:
            wanted.append(sender if "@" in sender.lstrip("@") else f"{ANYBODY}@{sender.strip().lstrip('@')}")
    return tuple(carried(directory, each, application.name) for each in dict.fromkeys(wanted))


def carried(directory: Directory, sender: str, application: str = "") -> Carried:
    """By the routing alone; nobody is asked."""
    try:
        choice = explained(directory, sender, application=application).choice
    except (ConfigError, Refused, ValueError) as problem:
        return Carried(sender, "", problem.text if isinstance(problem, Refused) else str(problem))
    return Carried(sender, choice.server, f"as {choice.from_address}")


def alias_domain(parts: Parts, name: str) -> Examination:
    return Examination(Subject("alias_domain", name), lambda: asyncio.to_thread(_domain, parts, name))


def _domain(parts: Parts, name: str) -> Examined:
    directory = parts.directory()
    domain = _still(directory.alias_domains, "alias domain", name)
    address = notification_address(domain)
    looks = parts.store.diagnoses.looks()
    return judge_domain(
        DomainFacts(
            domain=domain,
            notification=carried(directory, address) if address else None,
            expects=_expects(directory, name),
            comes_by=comes_by(parts),
            looked=_looked(looks[name].body) if name in looks else "",
        )
    )


def _expects(directory: Directory, domain: str) -> tuple[str, ...]:
    aliases = [f"the alias {each.name}" for each in directory.aliases.values() if each.active and domain_of(each.name) == domain]
    answers = [
        f"answers to {each.name}"
        for each in directory.applications.values()
        if each.active and each.answers and each.alias_domain == domain
    ]
    return tuple(sorted((*aliases, *answers)))


def comes_by(parts: Parts) -> tuple[str, ...]:
    """How mail comes in at all; those that are fetched by their names."""
    directory = parts.directory()
    incoming = sorted(each.name for each in directory.incoming.values() if each.active)
    tokens = sorted(f"the token {each.name}" for each in directory.tokens.values() if Scope.INBOUND_WRITE in each.scopes)
    return (*incoming, *(["the MX listener"] if parts.settings.mx.enabled else []), *tokens)


def _looked(body: str) -> str:
    harms = [each["harm"] for each in json.loads(body)["findings"]]
    if not harms:
        return "nothing was found that is wrong"
    return f"{len(harms)} {'finding' if len(harms) == 1 else 'findings'}, {harms.count('harmful')} harmful; see: mailroom doctor DOMAIN"


def webhook(parts: Parts, name: str) -> Examination:
    async def examine() -> Examined:
        found = _still(parts.directory().webhooks, "webhook", name)
        health = (await asyncio.to_thread(parts.notices.health)).get(name)
        if health is None:
            return judge_webhook(WebhookFacts(webhook=found))
        return judge_webhook(
            WebhookFacts(webhook=found, waiting=health.waiting, given_up=health.given_up, failing_since=health.failing_since)
        )

    return Examination(Subject("webhook", name), examine)
