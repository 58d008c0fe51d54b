"""Objects, what was found out about them, and how many are looked at side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Unchecked, Verdict
from mailroom.doctor.trial import Step
from mailroom.observe import events
from mailroom.observe.faults import place_of
from mailroom.vault.expiry import Expiry
from mailroom_core.errors import MailroomError

AT_ONCE = 8
PATIENCE = timedelta(seconds=20)
"""For one object."""
NEAR = 0.8
"""The part of a limit from which on it is near."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was looked at: a kind of object as in the object file, and its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.name}".rstrip()


HOUSE = Subject("installation", "")


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a limit is used."""

    what: str
    used: int
    limit: int
    source: str = "counted here"

    @property
    def is_near(self) -> bool:
        return self.used >= self.limit * NEAR

    def __str__(self) -> str:
        return f"{self.what}: {self.used} of {self.limit}"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is true, and no finding."""

    name: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found out about one object."""

    subject: Subject
    look: Look
    facts: tuple[Fact, ...] = ()
    ends: tuple[Expiry, ...] = ()
    usage: tuple[Usage, ...] = ()
    took: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Examination:
    """One object to look at. `examine` raises MailroomError for what keeps it from looking."""

    subject: Subject
    examine: Callable[[], Awaitable[Examined]]
    turn: str = ""
    """Those with the same word come one after the other: they ask the same mailboxes, whose limits sending needs."""

    async def look(self, patience: timedelta = PATIENCE) -> Examined:
        """With an end, whatever happens."""
        began = time.monotonic()
        limit = asyncio.timeout(patience.total_seconds())
        try:
            async with limit:
                found = await self.examine()
        except TimeoutError as problem:
            seconds = f"{patience.total_seconds():g} seconds"
            found = not_looked(self.subject, f"cut off: no end after {seconds}" if limit.expired() else str(problem) or "no answer in time")
        except (MailroomError, OSError) as problem:
            found = not_looked(self.subject, str(problem))
        except Exception as problem:  # noqa: BLE001  # one broken look hides no other
            events.request_broke(f"the look at {self.subject}: {place_of(problem)}")
            found = not_looked(self.subject, "the look itself broke, which is a mistake of ours; the log of the gateway says more")
        return replace(found, took=timedelta(seconds=time.monotonic() - began))


@dataclass(frozen=True, slots=True)
class Health:
    """A look at the whole installation."""

    at: datetime
    took: timedelta
    examined: tuple[Examined, ...]
    """In the order of the examinations."""

    @property
    def findings(self) -> tuple[tuple[Subject, Finding], ...]:
        """Worst first."""
        order = list(Harm)
        found = [(each.subject, finding) for each in self.examined for finding in each.look.findings]
        return tuple(sorted(found, key=lambda each: order.index(each[1].harm)))

    @property
    def unchecked(self) -> tuple[tuple[Subject, Unchecked], ...]:
        return tuple((each.subject, open_) for each in self.examined for open_ in each.look.unchecked)

    @property
    def ends(self) -> tuple[Expiry, ...]:
        """The nearest first."""
        return tuple(sorted((end for each in self.examined for end in each.ends), key=lambda end: end.at))

    @property
    def harmful(self) -> bool:
        return any(finding.harm is Harm.HARMFUL for _, finding in self.findings)


async def examined(all_: Sequence[Examination], *, at_once: int = AT_ONCE, patience: timedelta = PATIENCE) -> AsyncIterator[Examined]:
    """Each as soon as it is done."""
    places = asyncio.Semaphore(at_once)
    turns = {each.turn: asyncio.Lock() for each in all_ if each.turn}

    async def in_turn(each: Examination) -> Examined:
        async with turns.get(each.turn) or nullcontext(), places:
            return await each.look(patience)

    tasks = [asyncio.create_task(in_turn(each)) for each in all_]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def not_looked(subject: Subject, why: str) -> Examined:
    """Nothing is known about it."""
    return Examined(subject=subject, look=Look(Check(str(subject), Verdict.UNCHECKED, why), (), (Unchecked(str(subject), why),)))


def unused(subject: Subject, text: str, *facts: Fact) -> Examined:
    return Examined(subject=subject, look=Look(Check(str(subject), Verdict.UNUSED, text)), facts=facts)


def judged(
    subject: Subject,
    good: str,
    findings: Iterable[Finding] = (),
    unchecked: Iterable[Unchecked] = (),
    *,
    evidence: Iterable[Evidence] = (),
    facts: Iterable[Fact] = (),
    ends: Iterable[Expiry] = (),
    usage: Iterable[Usage] = (),
) -> Examined:
    """The verdict follows from findings and what is unchecked; `good` is the sentence if there is neither."""
    found, open_ = tuple(findings), tuple(unchecked)
    verdict = Verdict.FOUND if found else Verdict.UNCHECKED if open_ else Verdict.GOOD
    text = found[0].title if found else f"{open_[0].what}: {open_[0].why}" if open_ else good
    look = Look(Check(str(subject), verdict, text, tuple(evidence)), found, open_)
    return Examined(subject=subject, look=look, facts=tuple(facts), ends=tuple(ends), usage=tuple(usage))


def shown(steps: Iterable[Step], source: str = "") -> tuple[Evidence, ...]:
    """The steps of a trial as evidence."""
    return tuple(Evidence(each.name, each.said, source) for each in steps)
