"""What ends, and what is nearly used up: the findings that every kind of object can have."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from mailroom.doctor.findings import Evidence, Finding, Harm, Repair
from mailroom.doctor.health.looking import Usage
from mailroom.vault.expiry import SOON, Expiry


def of_ends(ends: Iterable[Expiry], now: datetime, why: str, repairs: tuple[Repair, ...] = (), *, soon: timedelta = SOON) -> list[Finding]:
    """`why`: what stops when it has ended. `soon`: so long before somebody is told."""
    found = []
    for end in ends:
        if end.at - now > soon:
            continue
        over = end.at <= now
        when = f"has ended on {end.at:%d %b %Y}" if over else f"ends on {end.at:%d %b %Y}"
        found.append(
            Finding(
                code="ended" if over else "ends-soon",
                harm=Harm.HARMFUL if over else Harm.RISKY,
                title=f"The {end.what} of {end.owner} {when}",
                why=why,
                todo=end.advice,
                evidence=(Evidence(end.what, f"{end.at:%Y-%m-%d %H:%M} UTC", end.source),),
                repairs=repairs,
            )
        )
    return found


def of_usage(usage: Iterable[Usage], why: str, todo: str, repairs: tuple[Repair, ...] = ()) -> list[Finding]:
    """`why`: what happens at the limit."""
    found = []
    for each in usage:
        if not each.is_near:
            continue
        over = each.used >= each.limit
        found.append(
            Finding(
                code="limit-reached" if over else "limit-near",
                harm=Harm.HARMFUL if over else Harm.RISKY,
                title=f"The limit of {each.what} is {'reached' if over else 'near'}: {each.used} of {each.limit}",
                why=why,
                todo=todo,
                evidence=(Evidence(each.what, f"{each.used} of {each.limit}", each.source),),
                repairs=repairs,
            )
        )
    return found
