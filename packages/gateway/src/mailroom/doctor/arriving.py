"""What others need to write to a domain: mail servers, and how strictly they should use TLS with them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from mailroom.doctor.answers import Answer, Ask, Status, plain, within
from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Record, Unchecked, Verdict, evidence, unread

MX, STS, RPT = "MX", "MTA-STS", "TLS-RPT"
_ADDRESS = r"(?:mailto:[^@\s,;]+@[^@\s,;]+|https://[^\s,;]+)"
_REPORTS = re.compile(rf";\s*rua\s*=\s*({_ADDRESS}(?:\s*,\s*{_ADDRESS})*)\s*(;|$)")
LONGEST_AGE = 31557600
"""Seconds (RFC 8461 3.2)."""


class Unfetched(Exception):
    """A policy could not be fetched; the text says why."""


Fetch = Callable[[str], Awaitable[str]]
"""The text at an `https://` address. Raises Unfetched."""


@dataclass(frozen=True, slots=True)
class Host:
    """One mail server of a domain."""

    name: str
    preference: int
    addresses: tuple[str, ...]
    answers: tuple[Answer, ...]

    @property
    def known(self) -> bool:
        return all(each.known for each in self.answers)


@dataclass(frozen=True, slots=True)
class Servers:
    answer: Answer
    hosts: tuple[Host, ...]
    null: bool
    """The domain says that it takes no mail (RFC 7505)."""
    fallback: tuple[Answer, ...] = ()
    """Addresses of the domain itself, which count where there is no MX."""


async def gather_servers(domain: str, ask: Ask) -> Servers:
    """Raises nothing."""
    answer = await ask(domain, "MX")
    pairs = [each.split(maxsplit=1) for each in answer.records]
    null = any(name == "." for _, name in pairs)
    hosts = await asyncio.gather(*(_host(plain(name), int(preference), ask) for preference, name in pairs if name != "."))
    own = () if pairs or not answer.known else tuple(await asyncio.gather(ask(domain, "A"), ask(domain, "AAAA")))
    return Servers(answer, tuple(sorted(hosts, key=lambda each: each.preference)), null, own)


async def _host(name: str, preference: int, ask: Ask) -> Host:
    answers = await asyncio.gather(ask(name, "A"), ask(name, "AAAA"))
    return Host(name, preference, tuple(record for each in answers for record in each.records), tuple(answers))


def judge_servers(domain: str, servers: Servers, *, ours: bool) -> Look:
    """`ours`: we expect answers and bounces there."""
    if not servers.answer.known:
        return Look(Check(MX, Verdict.UNCHECKED, "could not be read"), unchecked=(unread(f"{MX} of {domain}", servers.answer),))
    shown = (evidence(servers.answer), *(evidence(each) for host in servers.hosts for each in host.answers if each.records))
    if not servers.answer.records:
        finding = _none(domain, servers, ours=ours)
        return Look(Check(MX, Verdict.FOUND, "there is none", finding.evidence), (finding,))
    if servers.null:
        return _null(domain, servers)
    findings = [found for host in servers.hosts if (found := _broken(domain, host, servers, shown))]
    unchecked = tuple(unread(f"{MX} {host.name}", each) for host in servers.hosts for each in host.answers if not each.known)
    text = ", ".join(f"{each.name} ({each.preference})" for each in servers.hosts)
    return Look(Check(MX, Verdict.FOUND if findings else Verdict.GOOD, text, shown), tuple(findings), unchecked)


def _none(domain: str, servers: Servers, *, ours: bool) -> Finding:
    has_address = any(each.records for each in servers.fallback)
    exists = servers.answer.status is not Status.NO_NAME
    shown = (evidence(servers.answer), *(evidence(each) for each in servers.fallback))
    if not exists:
        title = f"{domain} does not exist in the DNS"
        why = "Receivers refuse mail of a domain that does not exist, and nothing can be answered."
        todo = "Look at how it is written. If it is right: its registration has ended, or its name servers don't know it."
    elif has_address:
        title = f"{domain} has no mail server (MX)"
        why = "Others then try the address of its web site, which mostly takes no mail: answers and bounces are lost after days."
        todo = "Add an MX record; the service that keeps your mailboxes names it."
    else:
        title = f"{domain} has neither mail server (MX) nor address"
        why = "No answer and no bounce can arrive, and many receivers refuse mail of a domain that can't be answered."
        todo = "Add an MX record; the service that keeps your mailboxes names it."
    return Finding("mx-missing", Harm.RISKY if has_address and not ours else Harm.HARMFUL, title, why, todo, shown)


def _null(domain: str, servers: Servers) -> Look:
    finding = Finding(
        "mx-null",
        Harm.HARMFUL,
        f"{domain} says that it takes no mail (a null MX)",
        "Receivers refuse mail that nobody could answer (550 5.7.27, RFC 7505 4.2).",
        "Put the mail server of the domain in its place; or send as another domain.",
        (evidence(servers.answer),),
    )
    others = [] if len(servers.answer.records) == 1 else ["; beside it there are others, which is not allowed"]
    return Look(Check(MX, Verdict.FOUND, "a null MX" + "".join(others), finding.evidence), (finding,))


def _broken(domain: str, host: Host, servers: Servers, shown: tuple[Evidence, ...]) -> Finding | None:
    if not host.known:
        return None
    works = any(each.addresses for each in servers.hosts if each is not host)
    harm = Harm.RISKY if works else Harm.HARMFUL
    why = "Nothing arrives by it" + ("; others wait for it in vain before they try the next one." if works else ", and there is no other.")
    alias = next((each.alias for each in host.answers if each.alias), "")
    try:
        ip_address(host.name)
    except ValueError:
        if not host.addresses:
            title = f"The mail server {host.name} of {domain} has no address"
            return Finding(
                "mx-no-address", harm, title, why, "Correct its name, or take it out.", (shown[0], *(map(evidence, host.answers)))
            )
        if alias:
            title = f"The mail server {host.name} of {domain} is an alias of {alias}"
            why = "An MX must not lead to a CNAME (RFC 2181 10.3); some senders refuse to deliver there."
            return Finding("mx-alias", Harm.RISKY, title, why, f"Name {alias} itself.", shown)
        return None
    return Finding("mx-number", harm, f"An MX of {domain} is an address, {host.name}, and no name", why, "Give it a name.", shown)


@dataclass(frozen=True, slots=True)
class Sts:
    """MTA-STS (RFC 8461): the record, and the policy that it stands for."""

    answer: Answer
    policy: str = ""
    problem: str = ""
    """Why there is no policy."""

    @property
    def url(self) -> str:
        return f"https://mta-sts.{self.answer.name.removeprefix('_mta-sts.')}/.well-known/mta-sts.txt"

    @property
    def record(self) -> str:
        return next((each for each in self.answer.records if each.replace(" ", "").startswith("v=STSv1")), "")


async def gather_sts(domain: str, ask: Ask, fetch: Fetch) -> Sts:
    found = Sts(await ask(f"_mta-sts.{domain}", "TXT"))
    if not found.record:
        return found
    try:
        return Sts(found.answer, await fetch(found.url))
    except Unfetched as problem:
        return Sts(found.answer, problem=str(problem))


def judge_sts(domain: str, sts: Sts, servers: Servers) -> Look:
    if not sts.answer.known:
        return Look(Check(STS, Verdict.UNCHECKED, "could not be read"), unchecked=(unread(f"{STS} of {domain}", sts.answer),))
    if not sts.record:
        return Look(
            Check(STS, Verdict.UNUSED, "with it, others would refuse to hand mail for you to somebody in between", (evidence(sts.answer),))
        )
    shown = (evidence(sts.answer), Evidence(sts.url, sts.policy[:600] or sts.problem))
    if sts.problem:
        finding = Finding(
            "mta-sts-unreachable",
            Harm.RISKY,
            f"The MTA-STS policy of {domain} can't be fetched",
            "The record announces it, and nobody can read it: the protection does not work, and Google and others report it as an error.",
            f"Let a web server answer {sts.url} with a valid certificate; or remove the record.",
            shown,
        )
        return Look(Check(STS, Verdict.FOUND, "the policy can't be fetched", shown), (finding,))
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in sts.policy.splitlines())]
    fields = dict(pairs)
    patterns = [value.lower() for name, value in pairs if name == "mx"]
    findings = [*_policy(domain, sts, fields, patterns, shown), *_matching(domain, servers, fields, patterns, shown)]
    text = f"mode {fields.get('mode', '?')}, for {', '.join(patterns) or 'no mail server'}"
    return Look(Check(STS, Verdict.FOUND if findings else Verdict.GOOD, text, shown), tuple(findings))


def _policy(domain: str, sts: Sts, fields: dict[str, str], patterns: Sequence[str], shown: tuple[Evidence, ...]) -> list[Finding]:
    wrong = []
    if fields.get("version") != "STSv1":
        wrong.append("version must be STSv1")
    if fields.get("mode") not in ("enforce", "testing", "none"):
        wrong.append("mode must be enforce, testing or none")
    if not re.fullmatch(r"\d{1,10}", fields.get("max_age", "")) or int(fields["max_age"]) > LONGEST_AGE:
        wrong.append(f"max_age must be a number of seconds up to {LONGEST_AGE}")
    if not patterns and fields.get("mode") != "none":
        wrong.append("it names no mail server (mx)")
    if not re.search(r";\s*id\s*=\s*[A-Za-z0-9]{1,32}\s*(;|$)", sts.record):
        wrong.append("the record has no valid id, up to 32 letters and digits")
    if not wrong:
        return []
    why = "A policy with a mistake counts as none."
    return [Finding("mta-sts-syntax", Harm.RISKY, f"MTA-STS of {domain}: {'; '.join(wrong)}", why, "Correct it.", shown)]


def _matching(domain: str, servers: Servers, fields: dict[str, str], patterns: Sequence[str], shown: tuple[Evidence, ...]) -> list[Finding]:
    missing = [each.name for each in servers.hosts if not any(_matches(each.name, pattern) for pattern in patterns)]
    if not missing or fields.get("mode") not in ("enforce", "testing"):
        return []
    enforced = fields["mode"] == "enforce"
    refuse = "Gmail, Outlook and others refuse to deliver there."
    added = ", ".join(f"mx: {each}" for each in missing)
    return [
        Finding(
            "mta-sts-mx",
            Harm.HARMFUL if enforced else Harm.RISKY,
            f"The MTA-STS policy of {domain} does not name its mail server {', '.join(missing)}",
            refuse if enforced else "As soon as the policy is enforced, others refuse to deliver there.",
            f"Add to the policy: {added}; then change the id of the record, so that it is read again.",
            (*shown, evidence(servers.answer)),
        )
    ]


def _matches(host: str, pattern: str) -> bool:
    """A star stands for one label (RFC 8461 4.1)."""
    if pattern.startswith("*."):
        return within(host, pattern[2:]) and host.count(".") == pattern.count(".")
    return host == pattern


def judge_rpt(domain: str, answer: Answer, *, sts: bool, zone: str) -> Look:
    """SMTP TLS reporting (RFC 8460)."""
    if not answer.known:
        return Look(Check(RPT, Verdict.UNCHECKED, "could not be read"), unchecked=(Unchecked(f"{RPT} of {domain}", answer.trouble),))
    records = [each for each in answer.records if each.replace(" ", "").startswith("v=TLSRPTv1")]
    shown = (evidence(answer),)
    if not records:
        told = "with MTA-STS, it would tell you when mail is refused because of it" if sts else "only of use with MTA-STS or DANE"
        return Look(Check(RPT, Verdict.UNUSED, told, shown))
    found = _REPORTS.search(records[0])
    if len(records) == 1 and found:
        return Look(Check(RPT, Verdict.GOOD, f"reports go to {found[1]}", shown))
    what = "there are several records" if len(records) > 1 else "it names no address for reports (rua=mailto:... or https://...)"
    finding = Finding(
        "tls-rpt-syntax",
        Harm.ADVICE,
        f"TLS-RPT of {domain}: {what}",
        "Nobody sends you reports when mail to you can't be delivered by TLS.",
        "Let this be the only record.",
        shown,
        (Record(answer.name, "TXT", f"v=TLSRPTv1; rua=mailto:tls-reports@{domain}", zone),),
    )
    return Look(Check(RPT, Verdict.FOUND, what, shown), (finding,))
