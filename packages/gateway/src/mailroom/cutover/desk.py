"""The cut-over, for whoever steers it: what a report proposes, what is made of it, how far it is, and back again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from mailroom import tables
from mailroom.changing import ObjectDesk
from mailroom.cutover.report import Client, Report
from mailroom.objects import OUR_APPLICATIONS, Application, Directory, Object
from mailroom.observe import events
from mailroom.ports import Clock, Mover, Store
from mailroom_core.errors import ConfigError
from mailroom_core.policy.addresses import normalize

OFF = date(2026, 12, 31)
"""Microsoft turns SMTP AUTH by password off by default at the end of December 2026; an administrator may turn it on again, the final
date is to be told in the second half of 2027 (message centre MC786329, changed on 27 January 2026)."""


class Step(Enum):
    """What a preview says about one address."""

    NEW = "new"
    """It gets an application of its own."""
    EXISTING = "existing"
    """An application names this very address already."""
    LISTED = "listed"
    """It is on the list; only its numbers change."""
    MODERN = "modern"
    """It signs in with OAuth alone: nothing has to be done."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would become of one address of a report."""

    client: Client
    step: Step
    application: str
    """The name of its application."""


@dataclass(frozen=True, slots=True)
class Progress:
    movers: tuple[Mover, ...]
    """Who is still to move first, most mail first."""
    deadline: str

    @property
    def done(self) -> int:
        return sum(each.done_at is not None for each in self.movers)


@dataclass(frozen=True, slots=True)
class Undone:
    removed: tuple[str, ...]
    """Addresses."""
    kept: Mapping[str, str]
    """Address -> why it stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoverDesk:
    """Made by `wiring`. Blocking."""

    store: Store
    objects: ObjectDesk
    directory: Callable[[], Directory]
    clock: Clock

    def preview(self, report: Report) -> list[Proposal]:
        """Nothing is changed."""
        self.objects.look()
        directory = self.directory()
        listed = {each.address: each.application for each in self.store.cutover.all()}
        taken = {*OUR_APPLICATIONS, *directory.applications} | {name.lower() for name in directory.applications}
        found = list[Proposal]()
        for client in report.clients:
            if known := listed.get(client.address):
                found.append(Proposal(client, Step.LISTED, known))
            elif existing := _application_of(directory, client.address):
                found.append(Proposal(client, Step.MODERN if client.modern else Step.EXISTING, existing))
            else:
                name = _free_name(client.address, taken)
                taken.add(name)
                found.append(Proposal(client, Step.MODERN if client.modern else Step.NEW, name))
        return found

    def take(self, report: Report, addresses: Collection[str] | None = None, *, by: str) -> Progress:
        """Put these addresses of the report on the list, each with an application; None is all that sign in by password.

        Those that are listed get their new numbers. Raises ConfigError.
        """
        wanted = None if addresses is None else {str(normalize(each)) for each in addresses}
        if unknown := sorted((wanted or set()) - {each.address for each in report.clients}):
            raise ConfigError(f"the report does not name {', '.join(unknown[:5])}")
        chosen = [each for each in self.preview(report) if _is_chosen(each, wanted)]
        made: list[Object] = []
        for each in chosen:
            if each.step in (Step.NEW, Step.MODERN) and each.application not in self.directory().applications:
                made.append(tables.read("application", each.application, {"senders": [each.client.address]}))
        if made:
            self.store.apply(made, [], by=by)
        now, names = self.clock(), {each.name for each in made if isinstance(each, Application)}
        self.store.cutover.enlist([_mover(each, now, made=each.application in names) for each in chosen], by=by)
        return self.progress()

    def progress(self) -> Progress:
        """How far it is, at this moment."""
        self.objects.look()
        for each in self.store.cutover.look():
            events.cutover_done(each.address, each.application)
        movers = sorted(self.store.cutover.all(), key=lambda each: (each.done_at is not None, -(each.mails or 0), each.address))
        return Progress(tuple(movers), deadline(self.clock().date()))

    def mover(self, address: str) -> tuple[Mover, Application | None]:
        """One address, and its application if that is still there. Raises ConfigError."""
        wanted = normalize(address)
        found = next((each for each in self.progress().movers if each.address == wanted), None)
        if found is None:
            raise ConfigError(f"{address[:254]!r} is not on the list; see: mailroom cutover list")
        return found, self.directory().applications.get(found.application)

    def new_password(self, address: str, *, by: str) -> tuple[Application, str]:
        """For its application, to be shown this once; the one of before stops working. Raises ConfigError."""
        mover, application = self.mover(address)
        if application is None:
            raise ConfigError(f"the application {mover.application!r} was removed; take {mover.address} off the list and on it again")
        if not mover.made and application.key:
            text = "was there before, and has a password that its program uses; make another one with the page Applications if it is lost"
            raise ConfigError(f"the application {application.name!r} {text}")
        return application, self.objects.new_credential(application, by=by)

    def undo(self, addresses: Collection[str] | None = None, *, by: str) -> Undone:
        """Take addresses off the list, and remove the applications that were made for them and never used; None is all of these.

        Who has sent a mail stays, and so does an application that something else needs.
        """
        wanted = None if addresses is None else {str(normalize(each)) for each in addresses}
        movers = [each for each in self.progress().movers if wanted is None or each.address in wanted]
        kept: dict[str, str] = dict.fromkeys((wanted or set()) - {mover.address for mover in movers}, "it is not on the list")
        removed = list[str]()
        for each in movers:
            if each.done_at is not None:
                kept[each.address] = "its mail comes through Mailroom"
            elif (why := self._remove(each, movers, by)) != "":
                kept[each.address] = why
            else:
                removed.append(each.address)
        self.store.cutover.drop(removed, by=by)
        return Undone(tuple(removed), kept)

    def _remove(self, mover: Mover, movers: Sequence[Mover], by: str) -> str:
        """The application that was made for it; why that can't be, or nothing."""
        if not mover.made or mover.application not in self.directory().applications:
            return ""
        if any(each.application == mover.application and each is not mover for each in movers):
            return ""
        tokens = [each.name for each in self.directory().tokens.values() if each.application == mover.application]
        if tokens:
            return f"the token {tokens[0]!r} sends as its application {mover.application!r}; remove the token first"
        try:
            self.objects.remove("application", mover.application, by=by)
        except ConfigError as problem:
            return str(problem)
        return ""


def deadline(today: date) -> str:
    """What time there is, in a sentence."""
    text = "an administrator may switch it on again for a while, and tenants made after that never have it"
    days = (OFF - today).days
    if days < 0:
        return f"Microsoft has switched SMTP AUTH by password off by default at the end of December 2026: {text}"
    left = f"in {days} days" if days > 1 else "tomorrow" if days else "today"
    return f"Microsoft switches SMTP AUTH by password off by default at the end of December 2026, {left}: {text}"


def _is_chosen(proposal: Proposal, wanted: set[str] | None) -> bool:
    if proposal.step is Step.LISTED:
        return True
    return proposal.step is not Step.MODERN if wanted is None else proposal.client.address in wanted


def _application_of(directory: Directory, address: str) -> str:
    """One that may send as this address and names it."""
    names = ((name, {str(normalize(sender)) for sender in each.senders}) for name, each in sorted(directory.applications.items()))
    return next((name for name, senders in names if address in senders), "")


def _free_name(address: str, taken: Collection[str]) -> str:
    """`scanner` for scanner@example.com; with its domain, or a number, if there is such an application."""
    local, _, domain = address.rpartition("@")
    plain = re.sub(r"[^\w.+-]+", "-", local).strip("-.")[:60] or "application"
    numbered = (f"{plain}-{number}" for number in range(2, 10_000))
    return next(name for name in (plain, f"{plain}-{domain.partition('.')[0]}", *numbered) if name not in taken)


def _mover(proposal: Proposal, now: datetime, *, made: bool) -> Mover:
    client = proposal.client
    return Mover(
        address=client.address,
        application=proposal.application,
        made=made,
        mails=client.mails,
        tls=client.tls_words,
        protocols=", ".join(client.protocols),
        reported_at=now,
        listed_at=now,
    )
