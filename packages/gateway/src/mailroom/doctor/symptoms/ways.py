"""Checks of what mail takes: objects and their health, limits, suppression, the DNS, who was refused, and where mail comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address

from mailroom.doctor.explain import explain
from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Repair, Unchecked, Verdict
from mailroom.doctor.health.looking import HOUSE, Subject
from mailroom.doctor.symptoms.asking import Asked, CheckOf, Clinic, health_of, is_ours, looked, server_of
from mailroom.objects import GraphRoute, SinkRoute, SmarthostRoute
from mailroom.observe.recent import Refusal
from mailroom_core.errors import MailroomError, Refused

LATELY = timedelta(hours=24)
SIGN_IN = frozenset({"sign-in-refused", "not-connected", "expired", "ended", "may-not-send", "lane-held"})
"""Findings of the health that are about signing in."""
LIMITS = frozenset({"limit-reached", "limit-near"})


async def servers(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """The outgoing servers concerned, and their accounts."""
    return await health_of(clinic, await _ways(clinic, asked))


async def signing_in(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """The same, and the incoming servers, as far as it is about signing in."""
    incoming = [Subject("incoming", name) for name, each in sorted(clinic.directory().incoming.items()) if each.active]
    return await health_of(clinic, [*await _ways(clinic, asked), *incoming], lambda each: "sign-in" in each.code or each.code in SIGN_IN)


async def limits(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """How much of each limit is used."""
    return await health_of(clinic, await _ways(clinic, asked), lambda each: each.code in LIMITS)


async def house(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Listeners, a way out, room on the disk."""
    return await health_of(clinic, [HOUSE])


async def incoming(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    names = sorted(name for name, each in clinic.directory().incoming.items() if each.active)
    return await health_of(clinic, [Subject("incoming", name) for name in names])


async def domain_objects(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    names = sorted(clinic.directory().alias_domains)
    wanted = [name for name in names if not asked.domain or name == asked.domain]
    return await health_of(clinic, [Subject("alias_domain", name) for name in wanted])


async def _ways(clinic: Clinic, asked: Asked) -> list[Subject]:
    """Outgoing servers that it may be about, and their accounts."""
    directory = clinic.directory()
    names = sorted(name for name, each in directory.servers.items() if each.active)
    if asked.story is not None:
        names = sorted({each.server for each in asked.story.deliveries} & directory.servers.keys())
    elif server := server_of(clinic, asked):
        names = [server]
    accounts = [
        route.account
        for name in names
        if isinstance(route := directory.servers[name].route, GraphRoute | SmarthostRoute) and route.account in directory.accounts
    ]
    return [*(Subject("server", each) for each in names), *(Subject("account", each) for each in dict.fromkeys(accounts))]


async def carried(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Whether mail of the sender has a way out at all, and one that delivers."""
    directory = clinic.directory()
    sender = asked.story.message.header_from if asked.story else asked.address
    if not is_ours(directory, sender):
        if any(each.active for each in directory.servers.values()):
            return (looked("way out", f"{sum(each.active for each in directory.servers.values())} active outgoing servers"),)
        why = "there is no active outgoing server"
    else:
        try:
            server = clinic.server_of(sender)
        except (MailroomError, Refused, ValueError) as problem:
            why = problem.text if isinstance(problem, Refused) else str(problem)
        else:
            if isinstance(directory.servers[server].route, SinkRoute):
                return (looked("way out", "", _sink(server, sender)),)
            return (looked("way out", f"mail from {sender} leaves by {server}"),)
    page = Repair("add an outgoing server", "mailroom connect NAME", "/servers")
    finding = Finding(
        "no-way-out",
        Harm.HARMFUL,
        f"No outgoing server takes mail{f' from {sender}' if is_ours(directory, sender) else ''}",
        "Such mail is refused when it is handed in.",
        "Add an outgoing server for it, or let one that there is carry it",
        (Evidence(f"the server for {sender or 'any mail'}", why, "routing"),),
        repairs=(page,),
    )
    return (looked("way out", "", finding),)


def _sink(server: str, sender: str) -> Finding:
    return Finding(
        "sink",
        Harm.HARMFUL,
        f"Mail from {sender} leaves by {server}, a sink, which delivers nothing",
        "A sink is for trying out: it takes all mail and writes it into a folder.",
        "Connect a real outgoing server, and remove the sink or its FROM filter",
        (Evidence(f"the server for {sender}", f"{server}, a sink", "routing"),),
        repairs=(Repair("see the outgoing servers", f"mailroom server remove {server}", "/servers"),),
    )


async def suppressed(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Recipients that get nothing any more."""
    addresses = [each.recipient for each in asked.story.deliveries] if asked.story else [asked.address] if "@" in asked.address else []
    if not addresses:
        return ()
    found = await asyncio.to_thread(clinic.store.suppressed, addresses)
    findings = [
        Finding(
            "suppressed",
            Harm.HARMFUL,
            f"{address} is suppressed: it gets nothing",
            "Mail to it fails at once, so that dead addresses harm nobody.",
            "If the address is good again, take it off the list",
            (Evidence(f"the suppression of {address}", each.reason, "objects"),),
            repairs=(Repair("take it off", f"mailroom suppression remove {address}", "/suppressions"),),
        )
        for address, each in found.items()
    ]
    return (looked("suppression", f"{', '.join(addresses[:3])} {'is' if len(addresses) == 1 else 'are'} not suppressed", *findings),)


async def dns(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """What receivers see of the sender's domain."""
    recipient = "@" in asked.address and not is_ours(clinic.directory(), asked.address)
    domains = [asked.domain] if asked.domain and not recipient else sorted(clinic.directory().alias_domains)
    if not domains:
        return (looked("DNS", "", unchecked=(Unchecked("SPF, DKIM and DMARC", "which domain? Name one, or a mail"),)),)
    looks = []
    for domain in domains[:3]:
        report = await clinic.domain(domain)
        findings = tuple(each for each in report.findings if each.harm is not Harm.ADVICE)
        good = ", ".join(each.area for each in report.checks if each.verdict is Verdict.GOOD)
        verdict = Verdict.FOUND if findings else Verdict.UNCHECKED if not good else Verdict.GOOD
        text = findings[0].title if findings else f"good: {good}" if good else "nothing could be read"
        open_ = tuple(Unchecked(f"{domain}: {each.what}", each.why) for each in report.unchecked)
        looks.append(Look(Check(f"DNS of {domain}", verdict, text), findings, open_))
    return looks


def refused(*kinds: str) -> CheckOf:
    """What the running gateway has refused within a day."""

    async def refused_lately(clinic: Clinic, asked: Asked) -> Sequence[Look]:
        if asked.story is not None:
            return ()  # it was taken
        known = clinic.refusals()
        area = f"refused lately ({', '.join(kinds)})"
        if known is None:
            why = "only the running gateway remembers it, since its start: ask on the page Doctor, or over the API"
            return (looked(area, "", unchecked=(Unchecked(area, why),)),)
        since = clinic.clock() - LATELY
        wanted = asked.address
        mine = [
            each for each in known if each.kind in kinds and each.at > since and (not wanted or wanted in (each.client, each.who.lower()))
        ]
        groups: dict[tuple[str, str, str], list[Refusal]] = {}
        for each in mine:
            groups.setdefault((each.kind, each.who or each.client, each.text), []).append(each)
        findings = [_refusal(kind, who, text, these) for (kind, who, text), these in list(groups.items())[:6]]
        return (looked(area, "nothing since the start of the gateway, or within a day", *findings),)

    return refused_lately


_REFUSED = {
    "sign-in": (
        "sign-in-failed",
        "A client could not sign in as {who}",
        "make a new credential",
        "mailroom app renew {who}",
        "/applications",
    ),
    "submission": (
        "submission-refused",
        "Mail of {who} was refused: {text}",
        "see who may send what",
        "mailroom app list",
        "/applications",
    ),
    "session": ("session-refused", "Connections from {who} were turned away: {text}", "see how the gateway is", "mailroom status", "/"),
    "tls": (
        "tls-failed",
        "{who} and Mailroom did not agree on TLS: {text}",
        "see the settings for programs",
        "mailroom app list",
        "/applications",
    ),
}


def _refusal(kind: str, who: str, text: str, these: Sequence[Refusal]) -> Finding:
    code, title, label, command, page = _REFUSED[kind]
    who = who or "nobody"
    told = explain(text)
    last = these[0]
    clients = ", ".join(sorted({each.client for each in these})[:3])
    return Finding(
        code,
        Harm.HARMFUL,
        title.format(who=who, text=text),
        f"{told[0].means}." if told else "The client was told no; what it wanted to hand in did not come.",
        told[0].todo if told and told[0].todo else "Correct the program, or what it may do here",
        (Evidence(f"{len(these)} refusals, the last at {last.at:%Y-%m-%d %H:%M:%S} UTC", f"{text} (from {clients})", "gateway"),),
        repairs=(Repair(label, command.format(who=who), page),),
    )


async def reach(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Whether a client at this address can reach a listener that only this machine sees."""
    try:
        client = ip_address(asked.address)
    except ValueError:
        return ()
    found = await clinic.health(HOUSE)
    listeners = [each for each in found.look.check.evidence if each.asked]
    outside = [each for each in listeners if not any(word in each.asked + each.said for word in ("127.0.0.1", "localhost", "::1"))]
    if client.is_loopback or outside or not listeners:
        return (looked("listeners", f"{len(outside)} of {len(listeners)} listen for other machines"),)
    finding = Finding(
        "listens-on-loopback",
        Harm.HARMFUL,
        f"Mailroom listens on this machine alone; {client} can't reach it",
        "A port on 127.0.0.1 answers nobody else: the client's connection is refused.",
        'Add a listener with an address that other machines reach: [[listener]] host = "0.0.0.0" in mailroom.toml, and start again',
        tuple(listeners),
        repairs=(Repair("see the settings for programs", "", "/applications"),),
    )
    return (looked("listeners", "", finding),)
