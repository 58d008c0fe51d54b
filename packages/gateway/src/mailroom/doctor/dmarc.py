"""The DMARC record that applies to a domain, word for word, for people who have to mend it.

Which one it is, and how far the organisation reaches, `mailroom_core.policy.dmarc` knows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom.doctor.answers import Answer, Ask, Status, plain
from mailroom_core.policy import dmarc

_RECORD = re.compile(r"v\s*=\s*DMARC1\s*(;|$)")
_TAG = re.compile(r"\s*([a-z]+)\s*=\s*([^;]*?)\s*(?:;|$)", re.IGNORECASE)
POLICIES = ("none", "quarantine", "reject")
KNOWN = frozenset({"v", "p", "sp", "np", "adkim", "aspf", "fo", "rua", "ruf", "psd", "t"})
REMOVED = frozenset({"pct", "rf", "ri"})
"""Of RFC 7489; RFC 9989 ignores them."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One valid DMARC record."""

    domain: str
    text: str
    tags: Mapping[str, str]

    @property
    def p(self) -> str:
        """An invalid or missing policy counts as none (RFC 9989 4.7)."""
        return _policy(self.tags.get("p", ""), "none")

    @property
    def sp(self) -> str:
        return _policy(self.tags.get("sp", ""), self.p)

    @property
    def np(self) -> str:
        return _policy(self.tags.get("np", ""), self.sp)

    @property
    def testing(self) -> bool:
        return self.tags.get("t", "n").lower() == "y"

    @property
    def psd(self) -> str:
        return self.tags.get("psd", "u").lower()

    @property
    def strict_dkim(self) -> bool:
        return self.tags.get("adkim", "r").lower() == "s"

    @property
    def strict_spf(self) -> bool:
        return self.tags.get("aspf", "r").lower() == "s"

    @property
    def reports(self) -> tuple[str, ...]:
        """Addresses of aggregate reports."""
        return tuple(_mail(each) for each in self.tags.get("rua", "").split(",") if _mail(each))


def _policy(value: str, otherwise: str) -> str:
    return value.lower() if value.lower() in POLICIES else otherwise


def _mail(uri: str) -> str:
    scheme, _, address = uri.strip().partition(":")
    return address.split("!")[0].strip() if scheme.lower() == "mailto" and "@" in address else ""


@dataclass(frozen=True, slots=True)
class Dmarc:
    """What holds for one domain."""

    domain: str
    answers: tuple[Answer, ...]
    """Of the walk: the domain itself first, then upwards."""
    policies: tuple[Policy, ...]
    """The valid ones of them, in the same order."""
    organisation: str
    """The Organizational Domain."""
    holds: str
    """The domain whose record applies (RFC 9989 4.10.1); empty: none does."""
    lenient: str
    """What receivers are asked to do, one step milder while the record is being tested (RFC 9989 4.7, tag t)."""
    exists: bool = True
    """Whether the domain itself is in the DNS, which np asks for."""

    @property
    def unread(self) -> Answer | None:
        """The nearest name of the walk that could not be read, if what lies above it would decide."""
        for answer in self.answers:
            if not answer.known:
                return answer
            if answer.name == f"_dmarc.{self.domain}" and self.policy is not None and self.policy.domain == self.domain:
                return None
        return None

    @property
    def policy(self) -> Policy | None:
        """The record that applies."""
        return next((each for each in self.policies if each.domain == self.holds), None)

    @property
    def wish(self) -> str:
        """What receivers are asked to do with mail that fails: `none`, `quarantine` or `reject`; empty without a record."""
        policy = self.policy
        if policy is None:
            return ""
        return policy.p if policy.domain == self.domain else policy.sp if self.exists else policy.np

    @property
    def applied(self) -> str:
        """What receivers are asked to do in the end; empty without a record."""
        return self.lenient if self.policy is not None else ""


def steps(domain: str) -> list[str]:
    """The names of the walk, without `_dmarc.`: the domain, then at most seven above it (RFC 9989 4.10)."""
    labels = plain(domain).split(".")
    above = labels[1:] if len(labels) <= dmarc.MOST_LABELS else labels[-(dmarc.MOST_LABELS - 1) :]
    return [".".join(labels), *(".".join(above[start:]) for start in range(len(above)))]


def parse(domain: str, answer: Answer) -> Policy | None:
    """The record there, if there is exactly one."""
    records = [each.strip() for each in answer.records if _RECORD.match(each.strip())]
    if len(records) != 1:
        return None
    tags: dict[str, str] = {}
    for name, value in _TAG.findall(records[0]):
        tags.setdefault(name.lower(), value)
    return Policy(domain, records[0], tags)


async def gather(domain: str, ask: Ask) -> Dmarc:
    """All names of the walk at once: it is faster than one after the other, and the same comes out. Raises nothing."""
    names = steps(domain)
    answers = await asyncio.gather(*(ask(f"_dmarc.{each}", "TXT") for each in names))
    exists = await ask(plain(domain), "MX")
    return weigh(plain(domain), answers, exists=exists.status is not Status.NO_NAME)


def weigh(domain: str, answers: Sequence[Answer], *, exists: bool = True) -> Dmarc:
    """The walk with its answers."""
    by_name = {answer.name: answer for answer in answers}
    look = dmarc.find(domain)
    try:
        name = next(look)
        while True:
            # Besides the names of the walk it only asks for the domain itself, to see whether it exists.
            name = look.send(_texts(by_name[name]) if name in by_name else [] if exists else None)
    except StopIteration as end:
        found: dmarc.Found = end.value
    read = [parse(name, answer) for name, answer in zip(steps(domain), answers, strict=True)]
    holds = found.record.domain if found.record else ""
    return Dmarc(domain, tuple(answers), tuple(each for each in read if each), found.organization, holds, found.wish.value, exists)


def _texts(answer: Answer) -> Sequence[str] | None:
    return None if answer.status is Status.NO_NAME else answer.records


def aligned(of: Dmarc, other: Dmarc, *, strict: bool) -> bool:
    """Whether what another domain proves counts for the header From (RFC 9989 4.4)."""
    return of.domain == other.domain or (not strict and of.organisation == other.organisation)
