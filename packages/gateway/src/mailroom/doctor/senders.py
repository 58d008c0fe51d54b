"""Who sends in a domain's name, out of what others report, and whether the policy can be tightened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from mailroom.ports import Seen

SPAN = timedelta(days=30)
ENOUGH_DAYS = 14
"""Of reports, before anything is proposed."""
ENOUGH_MAILS = 100
GOOD = 0.98
"""The part of mail that has to pass; what forwarding breaks is in the rest."""
MOST_SOURCES = 200
"""That are shown."""
OWN = 5
"""Mails of a source in the span from which on it counts as a sender, and no longer as an accident."""


@dataclass(frozen=True, slots=True)
class Source:
    """One address that sends in our name."""

    address: str
    mails: int
    both: int
    """SPF and DKIM, aligned."""
    one: int
    """One of them, aligned: DMARC passes as well."""
    stopped: int
    """Quarantined or refused by receivers."""
    proven_by: tuple[str, ...]
    """Domains whose SPF or signature was valid, aligned or not: they say whose server it is."""

    @property
    def passing(self) -> int:
        return self.both + self.one

    @property
    def failing(self) -> int:
        return self.mails - self.passing


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    both: int
    one: int
    failing: int


@dataclass(frozen=True, slots=True)
class Senders:
    """What reports of a span say of a domain."""

    domain: str
    sources: tuple[Source, ...]
    """Most mails first."""
    days: tuple[Day, ...]
    reporters: tuple[str, ...]
    policy: str = ""
    """What the newest report says that is asked for."""

    @property
    def mails(self) -> int:
        return sum(each.mails for each in self.sources)

    @property
    def passing(self) -> int:
        return sum(each.passing for each in self.sources)


def senders(domain: str, seen: Sequence[Seen]) -> Senders:
    """`seen` is newest first."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    proven: dict[str, dict[str, None]] = defaultdict(dict)
    days: dict[date, list[int]] = defaultdict(lambda: [0, 0, 0])
    reporters: dict[str, None] = {}
    for each in seen:
        row = each.row
        place = 0 if row.dkim and row.spf else 1 if row.dkim or row.spf else 2
        days[each.begins.date()][place] += row.count
        count = counts[row.source]
        count[3] += row.count
        if place < 2:
            count[place] += row.count
        if row.disposition in ("quarantine", "reject"):
            count[2] += row.count
        for name in (*row.dkim_domains, row.spf_domain):
            if name and len(proven[row.source]) < 5:
                proven[row.source][name] = None
        reporters[each.reporter] = None
    made = [Source(address, mails, both, one, stopped, tuple(proven[address])) for address, (both, one, stopped, mails) in counts.items()]
    return Senders(
        domain=domain,
        sources=tuple(sorted(made, key=lambda each: (-each.mails, each.address))),
        days=tuple(Day(day, *counted) for day, counted in sorted(days.items())),
        reporters=tuple(sorted(reporters)),
        policy=seen[0].policy if seen else "",
    )


def each_day(found: Senders, now: datetime) -> tuple[Day, ...]:
    """All days of the time that is looked at, also those without a report."""
    known = {each.day: each for each in found.days}
    first = min((since(now).date(), *known))
    days = (first + timedelta(days=number) for number in range((now.date() - first).days + 1))
    return tuple(known.get(day, Day(day, 0, 0, 0)) for day in days)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to do with the policy, and why."""

    ready: bool
    text: str
    policy: str = ""
    """The value for `p`; empty: leave it."""


def propose(found: Senders) -> Proposal:
    """Out of what has passed."""
    policy = found.policy.lower()
    if policy == "reject":
        return Proposal(False, "The policy is at p=reject already: it can't be stricter.")
    if len(found.days) < ENOUGH_DAYS or found.mails < ENOUGH_MAILS:
        days = "a single day" if len(found.days) == 1 else f"{len(found.days)} days"
        return Proposal(
            False,
            f"There are reports of {days} about {found.mails} mails. After {ENOUGH_DAYS} days and {ENOUGH_MAILS} mails "
            "it can be said whether the policy can be tightened.",
        )
    part = found.passing / found.mails
    # A source that passes sometimes, or that proves our domain, is one of ours; one that never does is a forger or a forwarder.
    broken = [each for each in found.sources if each.failing >= OWN and each.passing and each.failing > each.mails * (1 - GOOD)]
    strangers = [each for each in found.sources if not each.passing and each.mails >= OWN]
    if broken:
        names = ", ".join(each.address for each in broken[:5])
        return Proposal(False, f"Mend these first, which are probably yours: part of their mail passes, and part fails: {names}.")
    step = "quarantine" if policy in ("none", "") else "reject"
    unknown = f" Look at these, of whose mail nothing passes; if one is yours, mend it first: {_named(strangers)}." if strangers else ""
    if part < GOOD and strangers:
        rest = found.mails - sum(each.mails for each in strangers)
        part = found.passing / rest if rest else 0.0
    if part < GOOD:
        return Proposal(False, f"{part:.1%} of the mail passes; {GOOD:.0%} should, before the policy is tightened.{unknown}")
    return Proposal(True, f"Mail of your own servers passes. Go on to p={step}, at _dmarc.{found.domain}.{unknown}", step)


def _named(sources: Sequence[Source]) -> str:
    return ", ".join(f"{each.address} ({each.mails})" for each in sources[:5])


def senders_body(found: Senders) -> dict[str, Any]:
    """As JSON."""
    proposal = propose(found)
    return {
        "domain": found.domain,
        "policy": found.policy,
        "mails": found.mails,
        "passing": found.passing,
        "reporters": list(found.reporters),
        "proposal": {"ready": proposal.ready, "policy": proposal.policy, "text": proposal.text},
        "sources": [
            {
                "address": each.address,
                "mails": each.mails,
                "both": each.both,
                "one": each.one,
                "failing": each.failing,
                "stopped": each.stopped,
                "proven_by": list(each.proven_by),
            }
            for each in found.sources[:MOST_SOURCES]
        ],
        "days": [{"day": each.day.isoformat(), "both": each.both, "one": each.one, "failing": each.failing} for each in found.days],
    }


def since(now: datetime) -> datetime:
    return now - SPAN
