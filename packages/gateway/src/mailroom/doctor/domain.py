"""Everything that a domain's mail needs in the DNS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailroom.doctor import arriving, bimi, dkim, dmarc_judge, sending, spf, spf_judge
from mailroom.doctor.answers import Answer, Ask, Status, plain
from mailroom.doctor.arriving import Fetch
from mailroom.doctor.dmarc import steps
from mailroom.doctor.findings import Look, Report, by_harm
from mailroom.doctor.services import SERVICES, Way
from mailroom_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at."""

    domain: str
    ways: tuple[Way, ...] = ()
    """The outgoing servers that its mail leaves by."""
    ours: bool = False
    """It is an alias domain: answers and bounces come there."""
    selectors: tuple[str, ...] = ()
    """DKIM keys that are there besides those of the services."""
    addresses: tuple[str, ...] = ()
    """Public addresses of ours that send themselves."""
    blocklists: tuple[str, ...] = sending.BLOCKLISTS
    hostname: str = ""


def domain_name(text: str) -> str:
    """A domain as it is asked for, in its ASCII form. Raises ConfigError."""
    name = plain(text.rpartition("@")[2])
    try:
        name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        name = ""
    labels = name.split(".")
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    if (
        len(labels) < 2
        or len(name) > 253
        or labels[-1].isdigit()
        or not all(0 < len(each) <= 63 and set(each) <= allowed for each in labels)
    ):
        raise ConfigError(f"{text[:120]!r} is no domain; write for example example.com")
    return name


async def examine(wanted: Wanted, ask: Ask, fetch: Fetch, *, now: datetime, resolver: str = "") -> Report:
    """Look at everything at once. Raises nothing that concerns the domain."""
    began = time.monotonic()
    domain, ways = wanted.domain, wanted.ways
    envelopes = sorted({domain, *(way.envelope for way in ways if way.envelope)})
    async with asyncio.TaskGroup() as group:
        start = group.create_task
        zones = start(_zones(envelopes, ask))
        spfs = [start(spf.gather(each, ask)) for each in envelopes]
        services = {each: start(spf.gather(each, ask)) for each in sorted({way.service.include for way in ways if way.service} - {""})}
        keys = start(_keys(wanted, ask))
        facts = start(dmarc_judge.gather_facts(domain, ways, ask))
        servers = start(arriving.gather_servers(domain, ask))
        sts = start(arriving.gather_sts(domain, ask, fetch))
        rpt = start(_ask(ask, f"_smtp._tls.{domain}"))
        logo = start(_ask(ask, f"default._bimi.{domain}"))
        addresses = start(sending.gather(wanted.addresses, wanted.blocklists, ask))
    zone = zones.result()
    known = {each: found.result() for each, found in services.items()}
    records = {each: spfs[index].result() for index, each in enumerate(envelopes)}
    mail = arriving.judge_servers(domain, servers.result(), ours=wanted.ours)
    if servers.result().answer.status is Status.NO_NAME:
        return _report(wanted, [mail], began, now, resolver)
    looks = [
        mail,
        *(spf_judge.judge(each, records[each], ways, zone[each], known) for each in envelopes),
        dkim.judge(domain, keys.result(), ways, zone[domain], wanted.selectors),
        dmarc_judge.judge(facts.result(), ways, {**known, **records}, keys.result(), zone[domain]),
        arriving.judge_sts(domain, sts.result(), servers.result()),
        arriving.judge_rpt(domain, rpt.result(), sts=bool(sts.result().record), zone=zone[domain]),
        bimi.judge(domain, logo.result(), enforced=dmarc_judge.enforced(facts.result().dmarc)),
        *sending.judge(addresses.result(), wanted.hostname),
    ]
    return _report(wanted, looks, began, now, resolver)


async def _ask(ask: Ask, name: str) -> Answer:
    return await ask(name, "TXT")


async def _zones(domains: Sequence[str], ask: Ask) -> dict[str, str]:
    return dict(zip(domains, await asyncio.gather(*(_zone(each, ask) for each in domains)), strict=True))


async def _zone(domain: str, ask: Ask) -> str:
    """The zone that the domain's records lie in, which a DNS provider appends: the nearest name with an SOA record."""
    names = [each for each in steps(domain) if "." in each]
    answers = await asyncio.gather(*(ask(each, "SOA") for each in names))
    return next((each.name for each in answers if each.status is Status.FOUND and not each.alias), domain)


async def _keys(wanted: Wanted, ask: Ask) -> tuple[dkim.Key, ...]:
    """Of the services that we use; without any, whatever well-known keys there are."""
    selectors = dkim.selectors_of(wanted.ways)
    selectors.setdefault(wanted.domain, []).extend(wanted.selectors)
    guessed = [each for service in SERVICES for each in service.selectors] if not wanted.ways else []
    named = await asyncio.gather(*(dkim.gather(each, names, ask) for each, names in selectors.items()))
    perhaps = await dkim.gather(wanted.domain, guessed, ask)
    absent = (Status.NO_NAME, Status.EMPTY)
    return (*(key for keys in named for key in keys), *(key for key in perhaps if key.answer.status not in absent or key.problem))


def _report(wanted: Wanted, looks: Sequence[Look], began: float, now: datetime, resolver: str) -> Report:
    return Report(
        domain=wanted.domain,
        at=now,
        took=timedelta(seconds=time.monotonic() - began),
        resolver=resolver,
        checks=tuple(each.check for each in looks),
        findings=by_harm([finding for each in looks for finding in each.findings]),
        unchecked=tuple(dict.fromkeys(each for look in looks for each in look.unchecked)),
    )


def changes(before: Mapping[str, str], report: Report) -> tuple[list[str], list[str]]:
    """What is new and what is gone, against the findings of an earlier look (code -> title)."""
    after = {each.code: each.title for each in report.findings}
    return [title for code, title in after.items() if code not in before], [title for code, title in before.items() if code not in after]
