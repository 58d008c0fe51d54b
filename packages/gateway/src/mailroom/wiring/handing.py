"""The destinations: a transport for each, and what a test of one is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import assert_never

import httpx2

from mailroom import defaults
from mailroom.doctor.receiving import DoctorTransport
from mailroom.doctor.trial import Step
from mailroom.intake.onward import Forward, Return
from mailroom.objects import (
    Destination,
    DoctorTarget,
    ForwardTarget,
    GraphRoute,
    InboxTarget,
    OdooApi,
    OdooTarget,
    SinkRoute,
    Webhook,
    WebhookTarget,
)
from mailroom.ports import Transport
from mailroom.transports.guarded import Caller, NoAnswer, NotAllowed, Policy
from mailroom.transports.http import Http, client
from mailroom.transports.inbox import InboxTransport
from mailroom.transports.odoo import OdooTransport
from mailroom.vault.vault import nothing
from mailroom.webhooks import calling
from mailroom.webhooks.desk import secret_of
from mailroom.webhooks.handing import WebhookTransport
from mailroom.webhooks.links import Links
from mailroom.wiring.door import make_accept
from mailroom.wiring.intake import make_followers, make_onward
from mailroom.wiring.parts import Parts, credential_key, utc_now
from mailroom_core.errors import ConfigError, VaultError
from mailroom_core.flow import arun
from mailroom_core.model import show_id
from mailroom_core.providers.odoo import checking, pushing
from mailroom_core.providers.odoo.login import Login

DESTINATION = "destination:"
"""How the lane of a destination begins."""
PATIENCE = 240.0
"""Seconds that an Odoo may take for one mail. Who asks again while it still works on it would get two records."""


class Destinations:
    """Makes the transport of a destination; they share their connections."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._patient: httpx2.AsyncClient | None = None
        made, self._commit = make_accept(parts, lambda: None)
        self._followers = make_followers(parts, made, parts.settings.data / "copies")
        self._onward = make_onward(parts, made, parts.settings.data / "copies")
        self._caller: Caller | None = None

    def transport(self, destination: Destination) -> Transport:
        target = destination.target

        def values(recipients: Iterable[str]) -> defaults.Defaults:
            self._parts.directory.look()  # who has taken the mail may have heard of the alias before this process
            return defaults.of(self._parts.directory(), destination.name, recipients)

        match target:
            case InboxTarget():
                return InboxTransport(destination.name, self._parts.store, self._followers, values)
            case OdooTarget():
                self._patient = self._patient or client(patience=PATIENCE)
                login = add_on_login if target.api is OdooApi.ADD_ON else login_of
                return OdooTransport(
                    lambda: login(self._parts, destination.name, target),
                    Http(self._patient),
                    self._parts.store,
                    values,
                    add_on=target.api is OdooApi.ADD_ON,
                )
            case WebhookTarget(url=url):
                self._caller = self._caller or caller(self._parts)
                links = Links(credential_key(self._parts), self._parts.settings.public_url)
                called = self._caller.target(url, connections=4)
                return WebhookTransport(called, lambda: secret(self._parts, destination.name), self._parts.store, links, utc_now, values)
            case ForwardTarget(to=to):
                return Forward(destination.name, to, self._onward)
            case DoctorTarget():
                return DoctorTransport(self._parts.store.diagnoses, lambda: self._parts.directory().alias_domains)
            case _:
                assert_never(target)

    def returns(self) -> Transport:
        """Of bounces of what was forwarded."""
        return Return(self._onward)

    async def close(self) -> None:
        await self._commit.close()
        if self._patient is not None:
            await self._patient.aclose()
        if self._caller is not None:
            self._caller.close()


def caller(parts: Parts) -> Caller:
    return Caller(Policy(parts.settings.webhooks.private_networks))


async def secret(parts: Parts, name: str) -> dict[str, str]:
    """What calls of a destination are signed with. Raises VaultError if there is none."""
    kept = await asyncio.to_thread(parts.vault.open, secret_of(name))
    if kept is None or "secret" not in kept:
        raise VaultError(f"the destination {name!r} has no secret to sign with; run: mailroom destination secret {name}")
    return kept


async def login_of(parts: Parts, name: str, target: OdooTarget) -> Login:
    """Raises VaultError without a key."""
    kept = await asyncio.to_thread(parts.vault.open, secret_of(name))
    if kept is None or "key" not in kept:
        raise VaultError(f"the key of {target.user} for the destination {name!r} is missing; run: mailroom destination key {name}")
    return _login(target, kept["key"])


async def add_on_login(parts: Parts, name: str, target: OdooTarget) -> Login:
    """With the add-on's own key. Raises VaultError without one."""
    kept = await asyncio.to_thread(parts.vault.open, f"add-on:{name}")
    if kept is None or "key" not in kept:
        what = f"the add-on's key for the destination {name!r} is missing; make one in Odoo (General Settings, Microsoft Graph)"
        raise VaultError(f"{what}, then run: mailroom destination key {name} --add-on")
    return _login(target, kept["key"])


def _login(target: OdooTarget, key: str) -> Login:
    return Login(
        url=target.url,
        database=target.database,
        user=target.user,
        key=key,
        json2=target.api is not OdooApi.XML_RPC,
        model=target.model,
    )


def destination_trial(parts: Parts, name: str, *, calling_it: bool = True) -> AsyncIterator[Step]:
    """Try a destination without handing anything over. Raises ConfigError, at once, for what can't be tried.

    `calling_it`: a webhook is sent an event of the type `test`; else it is only connected to.
    """
    destination = parts.directory().destinations.get(name)
    if destination is None:
        raise ConfigError(f"there is no destination {name!r}; see: mailroom export")
    match destination.target:
        case InboxTarget():
            raise ConfigError(f"{name!r} is the built-in inbox: there is nothing to try")
        case OdooTarget(api=OdooApi.ADD_ON) as target:
            return _add_on(parts, name, target)
        case OdooTarget() as target:
            return _odoo(parts, name, target)
        case WebhookTarget() as target:
            return _webhook(parts, name, target) if calling_it else _reached(parts, name, target)
        case ForwardTarget() as target:
            return _forward(parts, target)
        case DoctorTarget():
            raise ConfigError(f"{name!r} is the doctor: there is nothing to try")
        case _:
            assert_never(destination.target)


async def _odoo(parts: Parts, name: str, target: OdooTarget) -> AsyncIterator[Step]:
    try:
        login = await login_of(parts, name, target)
    except VaultError as problem:
        yield Step("key", str(problem), ok=False)
        return
    async with client() as connection:
        http = Http(connection)
        found = await arun(checking.version(login), http, nothing)
        yield _step(found)
        if not found.ok:
            return
        found, user = await arun(checking.user(login), http, nothing)
        yield _step(found)
        if found.ok:
            yield _step(await arun(checking.rights(login, user), http, nothing))


async def _add_on(parts: Parts, name: str, target: OdooTarget) -> AsyncIterator[Step]:
    """The add-on alone: what else Odoo has may be closed to us."""
    try:
        login = await add_on_login(parts, name, target)
    except VaultError as problem:
        yield Step("key", str(problem), ok=False)
        return
    async with client() as connection:
        yield _step(await arun(pushing.reachable(login), Http(connection), nothing))


async def _forward(parts: Parts, target: ForwardTarget) -> AsyncIterator[Step]:
    """What can be seen without sending anything: under which sender it would leave, and by which server."""
    directory = parts.directory()
    domain = next(iter(directory.alias_domains.values()), None)
    if domain is None:
        yield Step("sender", "there is no alias domain, which every forwarded mail needs for its sender; add one", ok=False)
        return
    yield Step("sender", f"an address of {domain.name}, so that bounces come back here")
    kept = [each.name for each in directory.servers.values() if each.active and not isinstance(each.route, GraphRoute | SinkRoute)]
    others = [each for each in directory.servers.values() if each.active]
    yield Step(
        "server",
        f"{kept[0]} keeps that sender"
        if kept
        else "none keeps that sender: all mail leaves as the notification address"
        if others
        else "there is no outgoing server; add one",
        ok=bool(others),
    )
    yield Step("to", ", ".join(target.to))


async def _webhook(parts: Parts, name: str, target: WebhookTarget) -> AsyncIterator[Step]:
    """With an event of the type `test`."""
    try:
        signed = await secret(parts, name)
    except VaultError as problem:
        yield Step("secret", str(problem), ok=False)
        return
    calls = caller(parts)
    called = await calling.test(calls, Webhook(name=name, url=target.url), signed, show_id(parts.ids()), utc_now)
    calls.close()
    yield Step("call", f"{called.tried.status or 'no answer'} {called.tried.answer}".strip(), 200 <= called.tried.status < 300)


async def _reached(parts: Parts, name: str, target: WebhookTarget) -> AsyncIterator[Step]:
    """Without an event: a GET, and any answer is one."""
    try:
        await secret(parts, name)
    except VaultError as problem:
        yield Step("secret", str(problem), ok=False)
        return
    calls = caller(parts)
    called = calls.target(target.url)
    try:
        answer = await called.get({"User-Agent": calling.AGENT})
        yield Step("connect", f"answers; a GET, which it need not know, with {answer.status}")
    except (NotAllowed, NoAnswer) as problem:
        yield Step("connect", str(problem), ok=False)
    finally:
        await called.close()
        calls.close()


def _step(found: checking.Checked) -> Step:
    return Step(found.step, found.said, found.ok)
