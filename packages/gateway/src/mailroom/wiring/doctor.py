"""What a look at a domain is made of: our outgoing servers, the name server, and what may be fetched."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from mailroom.doctor import mail, spam
from mailroom.doctor.arriving import Unfetched
from mailroom.doctor.desk import DoctorDesk
from mailroom.doctor.domain import Wanted, domain_name, examine
from mailroom.doctor.findings import Report
from mailroom.doctor.mail import Seal, Signature, Verified
from mailroom.doctor.mail_judge import MailReport, judge
from mailroom.doctor.services import BY_KEY, Way, service_at
from mailroom.objects import Directory, GraphRoute, OutgoingServer, Provider, SinkRoute, SmarthostRoute
from mailroom.observe import events
from mailroom.observe.recent import refusals
from mailroom.settings import DoctorSettings
from mailroom.transports.guarded import Caller, NoAnswer, NotAllowed, Policy
from mailroom.way_out import explained
from mailroom.wiring.health import health_desk
from mailroom.wiring.odoo_doctor import OdooDoctor
from mailroom.wiring.parts import Parts, hostname, utc_now
from mailroom.wiring.symptoms import answered
from mailroom_core.errors import MailroomError, MimeError, Refused, StoreError
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.index import MAX_HEAD
from mailroom_core.mime.source import ReadAt

FIRST = timedelta(minutes=10)
"""After the start, and between two looks at what is due."""
MAIL_PATIENCE = timedelta(seconds=10)
"""For all questions about one mail."""
FETCH_PATIENCE = 5.0
"""Seconds for the policy of MTA-STS."""


async def look_at(parts: Parts, domain: str, *, selectors: Iterable[str] = ()) -> Report:
    """Look at a domain now. Raises ConfigError for what is none."""
    from mailroom.doctor.resolver import Resolver

    name = domain_name(domain)
    directory, settings = parts.directory(), parts.settings.doctor
    wanted = Wanted(
        domain=name,
        ways=ways_of(directory, name, settings),
        ours=name in directory.alias_domains,
        selectors=(*(each.strip() for each in selectors if each.strip()), *_named(settings, name)),
        addresses=settings.addresses if _sends_itself(directory) else (),
        blocklists=settings.blocklists,
        hostname=hostname(parts.settings),
    )
    resolver = Resolver(settings.resolver)
    caller = Caller(Policy())
    try:
        return await examine(wanted, resolver.ask, lambda url: _fetch(caller, url), now=utc_now(), resolver=", ".join(resolver.servers))
    finally:
        caller.close()


def judge_mail(parts: Parts, source: ReadAt) -> MailReport:
    """Take a received mail apart. Blocking, for half a minute at most. Raises MimeError for what is no mail."""
    from mailroom.authenticity.bodies import Bodies
    from mailroom.authenticity.names import Names, Unanswered, texts
    from mailroom.authenticity.signatures import Signed

    ask = Names(parts.settings.doctor.resolver).asking(MAIL_PATIENCE)
    head = source.read_at(0, MAX_HEAD)

    def verified() -> Verified:
        try:
            signed = Signed(head, Bodies(source, Fields(head).body_start), ask)
        except MimeError as problem:
            return Verified((), Seal("none", "", ""), f"its signatures were not looked at: {problem}")
        signatures = tuple(Signature(each.result, each.domain, each.selector, each.why) for each in signed.dkim())
        chain = signed.arc()
        return Verified(signatures, Seal(chain.result, chain.sealer, chain.why))

    def known(name: str) -> list[str] | None:
        try:
            found = texts(ask, name)
        except Unanswered as problem:
            raise mail.Unanswered(str(problem)) from None
        return None if found is None else [each.decode("ascii", "replace") for each in found]

    raw = source.read_at(0, spam.MOST + 1)
    return judge(mail.take_apart(source, verified(), known, spam.opinion(raw)))


def doctor_desk(parts: Parts) -> DoctorDesk:
    return DoctorDesk(
        look_at=lambda domain, selectors: look_at(parts, domain, selectors=selectors),
        judge_mail=lambda source: judge_mail(parts, source),
        diagnoses=parts.store.diagnoses,
        ours=lambda: parts.directory().alias_domains,
        clock=utc_now,
        odoo=OdooDoctor(parts),
        answered=partial(answered, parts, refusals=refusals),
        health=health_desk(parts),
    )


async def watch_health(parts: Parts) -> None:
    """Every day, the alias domains and the installation; and what others reported long ago is forgotten. One worker of all does it."""
    desk, settings = doctor_desk(parts), parts.settings.doctor
    pause = min(FIRST, settings.every or FIRST)
    while True:
        await asyncio.sleep(pause.total_seconds())
        try:
            if await asyncio.to_thread(parts.store.lease, "doctor", parts.owner, FIRST * 3):
                if settings.every:
                    await desk.rounds(settings.every)
                    await desk.health.rounds(settings.every)
                await asyncio.to_thread(parts.store.diagnoses.forget_reports, utc_now() - settings.keep_reports, limit=1000)
        except (MailroomError, StoreError) as problem:
            events.store_trouble(str(problem))


def ways_of(directory: Directory, domain: str, settings: DoctorSettings) -> tuple[Way, ...]:
    """The outgoing servers that mail with a header From at this domain leaves by; none for a domain that we don't send as."""
    if not _is_ours(directory, domain):
        return ()
    named = [each for server in directory.servers.values() for each in server.from_filter if each.lower().endswith(f"@{domain}")]
    notification = [each.default_from for each in directory.alias_domains.values() if each.default_from.lower().endswith(f"@{domain}")]
    local = [each.default_from for name, each in directory.alias_domains.items() if name == domain and "@" not in each.default_from]
    addresses = dict.fromkeys((*named, *notification, *(f"{each}@{domain}" for each in (*local, "anybody"))))
    chosen: dict[str, Way] = {}
    for address in addresses:
        for bulk in (False, True):
            try:
                choice = explained(directory, address, bulk=bulk).choice
            except (MailroomError, Refused, ValueError):
                continue
            way = _way(directory, directory.servers[choice.server], domain, settings)
            if way is not None and choice.from_address.lower().endswith(f"@{domain}"):
                chosen[choice.server] = way
    return _with_keys([chosen[each] for each in sorted(chosen)], settings)


def _with_keys(ways: list[Way], settings: DoctorSettings) -> tuple[Way, ...]:
    """Keys that the settings name are those of the one server whose keys nobody knows; with several, nobody knows whose they are."""
    nameless = Counter(each.signing for each in ways if not each.selectors)
    return tuple(
        replace(each, named=_named(settings, each.signing)) if not each.selectors and nameless[each.signing] == 1 else each for each in ways
    )


def _named(settings: DoctorSettings, domain: str) -> tuple[str, ...]:
    """Selectors of the domain that the settings name."""
    names = (each.partition("._domainkey.") for each in settings.selectors)
    return tuple(selector for selector, _, of in names if of == domain)


def _is_ours(directory: Directory, domain: str) -> bool:
    filters = (each for server in directory.servers.values() for each in server.from_filter)
    mailboxes = (each.mailbox for each in directory.accounts.values())
    senders = (each for application in directory.applications.values() for each in application.senders)
    full = (each.default_from for each in directory.alias_domains.values() if "@" in each.default_from)
    return any(each.lower().rpartition("@")[2] == domain for each in (*directory.alias_domains, *filters, *mailboxes, *senders, *full))


def _sends_itself(directory: Directory) -> bool:
    """Whether there is a smarthost of nobody's that we know: then `doctor.addresses` are its own."""
    routes = (each.route for each in directory.servers.values() if each.active)
    return any(isinstance(each, SmarthostRoute) and service_at(each.host) is None for each in routes)


def _way(directory: Directory, server: OutgoingServer, domain: str, settings: DoctorSettings) -> Way | None:
    """None for a server that delivers nothing."""
    match server.route:
        case SinkRoute():
            return None
        case GraphRoute():
            return Way(server.name, BY_KEY["microsoft"], envelope=domain, signing=domain)
        case SmarthostRoute() as route:
            account = directory.accounts.get(route.account)
            service = service_at(route.host)
            if account is not None:
                service = BY_KEY["google" if account.provider is Provider.GOOGLE else "microsoft"]
            if service is None:
                return Way(server.name, None, route.host, envelope=domain, signing=domain, addresses=settings.addresses)
            own = route.user.rpartition("@")[2].lower() if service.key == "mailgun" and "@" in route.user else domain
            return Way(server.name, service, route.host, envelope=own if service.include else "", signing=own)


async def _fetch(caller: Caller, url: str) -> str:
    """See `Fetch`."""
    target = caller.target(url)
    try:
        answer = await target.get({"Accept": "text/plain", "User-Agent": "Mailroom"}, patience=FETCH_PATIENCE)
    except (NotAllowed, NoAnswer) as problem:
        raise Unfetched(str(problem)) from None
    finally:
        await target.close()
    if answer.status != 200:
        raise Unfetched(f"the web server answered {answer.status}")
    return answer.body.decode("utf-8", "replace")
