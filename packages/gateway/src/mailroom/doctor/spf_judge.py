"""What an SPF record means for the mail of our outgoing servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Record, Unchecked, Verdict, evidence, unread
from mailroom.doctor.services import SERVICES, Way
from mailroom.doctor.spf import LOOKING_UP, MOST_LOOKUPS, MOST_VOID, Problem, Spf, Wrong, covers, lies_in, result

AREA = "SPF"
NEAR = 9
"""Look-ups from which on the next include may be the one too many."""
_ALL_FAIL = "Receivers end with an error (permerror) for every mail, so SPF proves nothing, and many of them refuse or file it as spam."
_HARMLESS = "v=spf1"
_REPLACE = "Replace the record by this one."
_MENDED = frozenset(
    {
        "spf-server-missing",
        "spf-flattened",
        "spf-address-missing",
        "spf-all-pass",
        "spf-no-end",
        "spf-ptr",
        "spf-void",
        "spf-loop",
        "spf-include-missing",
    }
)
"""What the same new record mends."""


def judge(domain: str, spf: Spf, ways: Sequence[Way], zone: str, services: Mapping[str, Spf] | None = None) -> Look:
    """The verdict on the record of one domain, which `ways` use as domain of their envelope sender. `services` are the records that they
    want to be included, by name."""
    if not spf.answer.known:
        return Look(Check(AREA, Verdict.UNCHECKED, "could not be read"), unchecked=(unread(f"{AREA} of {domain}", spf.answer),))
    needed = _needed(domain, ways)
    shown = _evidence(spf)
    if not spf.record:
        finding = _missing(domain, spf, needed, zone)
        return Look(Check(AREA, Verdict.FOUND, "there is no record", shown), (finding,))
    several = [each for each in spf.problems if each.kind is Wrong.SEVERAL]
    if several:
        return Look(Check(AREA, Verdict.FOUND, "there are several records", shown), (_several(domain, spf, needed, zone),))
    unreadable = tuple(
        Unchecked(f"{AREA} of {each.where}", each.text) for each in spf.all_problems() if each.kind in (Wrong.UNREAD, Wrong.ENDLESS)
    )
    failing = _failing(domain, spf, ways)
    absent = {each: services[each] for each in needed if services and each in services and each not in spf.includes}
    listed = {each: service for each, service in absent.items() if covers(spf, service)}
    unknown = {each: service for each, service in absent.items() if any(one.kind is Wrong.UNREAD for one in service.all_problems())}
    unreadable += tuple(unread(f"{AREA} of {each}", service.answer) for each, service in unknown.items() if not service.answer.known)
    findings = [
        *(_broken(each, spf) for each in spf.all_problems() if each.kind not in (Wrong.UNREAD, Wrong.ENDLESS)),
        *_limits(spf, needed),
        *_lacking(domain, spf, {each: servers for each, servers in needed.items() if each not in (*listed, *unknown)}),
        *_flattened(domain, spf, listed),
        *_addresses(domain, spf, failing),
        *_end(domain, spf),
    ]
    stays = (*unknown, *(listed if _too_long(spf, listed) else ()))
    instead = {each: service for each, service in listed.items() if each not in stays}
    mended = _mended(spf, [each for each in needed if each not in stays], failing, instead)
    if mended != spf.record:
        add, remove = (_record(domain, zone, mended),), (_record(domain, zone, spf.record),)
        findings = [replace(each, records=add, remove=remove) if each.code in _MENDED else each for each in findings]
    text = f"{spf.lookups} of {MOST_LOOKUPS} look-ups, {spf.voids} of {MOST_VOID} without an answer; all others: {_ENDS[spf.last]}"
    verdict = Verdict.FOUND if findings else Verdict.UNCHECKED if unreadable else Verdict.GOOD
    return Look(Check(AREA, verdict, text, shown), tuple(findings), unreadable)


_ENDS = {"-": "fail", "~": "softfail", "?": "nothing is said", "+": "pass"}


def _needed(domain: str, ways: Sequence[Way]) -> dict[str, list[str]]:
    """Include -> the servers that need it."""
    needed: dict[str, list[str]] = {}
    for way in ways:
        if way.service is not None and way.service.include and way.envelope == domain:
            needed.setdefault(way.service.include, []).append(way.server)
    return needed


def _evidence(spf: Spf) -> tuple[Evidence, ...]:
    """The record itself, without the other TXT records of the name, and those that it includes."""
    own = [each for each in spf.answer.records if each.lower().startswith("v=spf1")]
    first = evidence(spf.answer)
    said = "\n".join(own) if own else "no record that begins with v=spf1" if spf.answer.records else first.said
    behind = [term.behind for _, term in spf.walk() if term.behind is not None and term.behind.record]
    further = (Evidence(f"TXT {each.domain}", each.record[:600], each.answer.server, each.answer.validated) for each in behind)
    return (Evidence(first.asked, said[:2000], first.source, first.validated), *further)


def _record(domain: str, zone: str, text: str) -> Record:
    return Record(domain, "TXT", text, zone)


def _fresh(needed: Iterable[str], end: str = "~all") -> str:
    return " ".join((_HARMLESS, *(f"include:{each}" for each in needed), end))


def _missing(domain: str, spf: Spf, needed: dict[str, list[str]], zone: str) -> Finding:
    servers = ", ".join(sorted({name for names in needed.values() for name in names}))
    return Finding(
        "spf-missing",
        Harm.HARMFUL if needed else Harm.RISKY,
        f"{domain} has no SPF record",
        "Receivers can't tell which servers may send for it. Gmail, Outlook and Yahoo refuse mail, or file it as spam, that neither SPF "
        "nor DKIM proves, and anybody can use the address." + (f" These outgoing servers rely on it: {servers}." if servers else ""),
        "Add this record. If other servers send for the domain as well, add them before it ends, each with its own include."
        if needed
        else "Add this record if nothing sends as this domain; else put what its senders need before -all.",
        _evidence(spf),
        (_record(domain, zone, _fresh(needed, "~all" if needed else "-all")),),
    )


def _several(domain: str, spf: Spf, needed: dict[str, list[str]], zone: str) -> Finding:
    records = [each for each in spf.answer.records if each.lower().startswith("v=spf1")]
    terms = [word for each in records for word in each.split()[1:] if word.lstrip("+-~?").lower() != "all"]
    wanted = [f"include:{each}" for each in needed]
    end = next((word for each in records for word in each.split() if word.lstrip("+-~?").lower() == "all"), "~all")
    return Finding(
        "spf-several",
        Harm.HARMFUL,
        f"{domain} has {len(records)} SPF records",
        _ALL_FAIL + " There may be only one (RFC 7208 4.5).",
        "Remove all of them, and add this one, which holds what they say together.",
        _evidence(spf),
        (_record(domain, zone, " ".join((_HARMLESS, *dict.fromkeys((*terms, *wanted)), end))),),
        tuple(_record(domain, zone, each) for each in records),
    )


def _mended(spf: Spf, needed: Iterable[str], addresses: Iterable[str], listed: Mapping[str, Spf]) -> str:
    """The record without its mistakes, as far as they can be mended here, so that every finding offers the same one. Of `listed` services
    the include stands there instead of their addresses."""
    bad = {term.text for term in spf.terms if term.void or (term.behind is not None and not term.behind.record)}
    bad |= {problem.text.split(" leads back")[0] for problem in spf.problems if problem.kind is Wrong.LOOP}
    bad |= {term.text for term in spf.terms if term.behind and any(each.kind is Wrong.LOOP for each in term.behind.all_problems())}
    bad |= {
        term.text for term in spf.terms if term.kind in ("ip4", "ip6") and any(lies_in(term.networks[0], each) for each in listed.values())
    }
    kept = [word for word in spf.record.split()[1:] if word not in bad and not _bare(word).startswith("ptr")]
    ends = [word for word in kept if _bare(word) == "all" or word.lower().startswith("redirect=")]
    terms = [word for word in kept if word not in ends]
    added = [f"ip{6 if ':' in each else 4}:{each}" for each in addresses]
    includes = [f"include:{each}" for each in needed if each not in spf.includes]
    weak = spf.last in "+?" and not any(each.lower().startswith("redirect=") for each in ends)
    return " ".join(dict.fromkeys((_HARMLESS, *added, *terms, *includes, *(["~all"] if weak else ends))))


def _bare(word: str) -> str:
    return word.lstrip("+-~?").lower()


_BROKEN = {
    Wrong.SYNTAX: (
        "spf-syntax",
        "The SPF record of {where} has a mistake: {text}",
        "Correct it as shown in the evidence, or leave it out.",
    ),
    Wrong.SEVERAL: (
        "spf-include-several",
        "{where}, which the SPF record includes, has several SPF records",
        "Tell its owner, or take it out of the record.",
    ),
    Wrong.LOOP: ("spf-loop", "The SPF record goes round in a circle: {text}", "Take the include that leads back out of the record."),
    Wrong.NO_RECORD: (
        "spf-include-missing",
        "The SPF record includes {where}, which has no SPF record",
        "Take it out of the record, or correct its name: a service that has ended, or a mistake in writing.",
    ),
    Wrong.MANY_MX: ("spf-many-mx", "The SPF record of {where} has too many mail servers: {text}", "Name the addresses by ip4: and ip6:."),
}


def _broken(problem: Problem, spf: Spf) -> Finding:
    code, title, todo = _BROKEN[problem.kind]
    words = title.format(where=problem.where, text=problem.text)
    return Finding(code, Harm.HARMFUL, words, _ALL_FAIL, todo, _where(spf, problem.where))


def _where(spf: Spf, domain: str) -> tuple[Evidence, ...]:
    """The record of that domain within the whole, after the first one."""
    everything = [spf, *(term.behind for _, term in spf.walk() if term.behind is not None)]
    inner = next((each for each in everything if each.domain == domain), spf)
    first = _evidence(spf)[:1]
    return first if inner is spf else (*first, evidence(inner.answer))


def _limits(spf: Spf, needed: dict[str, list[str]]) -> list[Finding]:
    found = []
    if spf.lookups > MOST_LOOKUPS:
        found.append(_too_many(spf, needed))
    elif spf.lookups >= NEAR:
        found.append(
            Finding(
                "spf-near-limit",
                Harm.ADVICE,
                f"The SPF record needs {spf.lookups} of the {MOST_LOOKUPS} look-ups that are allowed",
                "When a service that it includes adds one of its own, the record fails for every mail, without your doing.",
                "Take out what nobody sends by any more: " + _costs(spf),
                _evidence(spf),
            )
        )
    if spf.voids > MOST_VOID:
        empty = ", ".join(term.text for _, term in spf.walk() if term.void)
        found.append(
            Finding(
                "spf-void",
                Harm.HARMFUL,
                f"{spf.voids} terms of the SPF record lead to nothing: {empty}",
                _ALL_FAIL + f" At most {MOST_VOID} look-ups may come back empty (RFC 7208 4.6.4).",
                "Take out of the record what leads to nothing.",
                _evidence(spf),
            )
        )
    return found


def _too_many(spf: Spf, needed: dict[str, list[str]]) -> Finding:
    kept = ", ".join(needed) or "none"
    endless = any(each.kind is Wrong.ENDLESS for each in spf.all_problems())
    return Finding(
        "spf-too-many-lookups",
        Harm.HARMFUL,
        f"The SPF record needs {'more than ' if endless else ''}{spf.lookups} look-ups, and {MOST_LOOKUPS} are allowed",
        _ALL_FAIL + " The limit protects receivers (RFC 7208 4.6.4).",
        f"Take out what nobody sends by any more. It costs: {_costs(spf)}. Our outgoing servers need: {kept}. Services with an envelope "
        "sender of their own, such as Amazon SES, SendGrid, Brevo and Postmark, need no include at all; others can send as a subdomain.",
        _evidence(spf),
    )


def _costs(spf: Spf) -> str:
    """What each term of the record costs."""
    costs = [(1 + (term.behind.lookups if term.behind else 0), term.text) for term in spf.terms if term.kind in LOOKING_UP]
    return ", ".join(f"{text} ({count})" for count, text in sorted(costs, reverse=True))


def _lacking(domain: str, spf: Spf, needed: dict[str, list[str]]) -> list[Finding]:
    """Includes that our servers need."""
    lacking = {each: servers for each, servers in needed.items() if each not in spf.includes}
    if not lacking or spf.last == "+":
        return []
    named = {each.include: each.name for each in SERVICES}
    titles = " and ".join(f"{named.get(each, each)} (outgoing server {', '.join(servers)})" for each, servers in lacking.items())
    return [
        Finding(
            "spf-server-missing",
            Harm.HARMFUL,
            f"The SPF record of {domain} does not let {titles} send",
            "Its mail fails SPF. Where DKIM does not prove it either, it is refused or filed as spam; with DMARC it counts as forged.",
            _REPLACE,
            _evidence(spf),
        )
    ]


def _flattened(domain: str, spf: Spf, listed: Mapping[str, Spf]) -> list[Finding]:
    """Services whose addresses the record lists instead of their include."""
    if not listed:
        return []
    named = {each.include: each.name for each in SERVICES}
    names = " and ".join(named.get(each, each) for each in listed)
    shown = tuple(evidence(each.answer) for each in listed.values())
    long = _too_long(spf, listed)
    return [
        Finding(
            "spf-flattened",
            Harm.ADVICE,
            f"The SPF record of {domain} lists the addresses of {names} instead of the include",
            "It holds today. The addresses change without anybody telling you, and then this mail fails SPF.",
            f"The include would make more than {MOST_LOOKUPS} look-ups: let a program keep the list, or take out what nobody sends by."
            if long
            else _REPLACE,
            (*_evidence(spf), *shown),
        )
    ]


def _too_long(spf: Spf, listed: Mapping[str, Spf]) -> bool:
    return spf.lookups + sum(1 + each.lookups for each in listed.values()) > MOST_LOOKUPS


def _failing(domain: str, spf: Spf, ways: Sequence[Way]) -> dict[str, str]:
    """Addresses of ours that send themselves and may not, with what SPF says of each."""
    ours = dict.fromkeys(address for way in ways for address in way.addresses if way.envelope == domain)
    return {address: said for address in ours if (said := result(spf, address)) in ("fail", "softfail", "neutral")}


def _addresses(domain: str, spf: Spf, failing: Mapping[str, str]) -> list[Finding]:
    if not failing:
        return []
    return [
        Finding(
            "spf-address-missing",
            Harm.HARMFUL,
            f"The SPF record of {domain} does not let our own address send: {', '.join(failing)}",
            "Mail that leaves from there fails SPF; it is refused or filed as spam where DKIM does not prove it.",
            _REPLACE,
            (*_evidence(spf), *(Evidence(f"SPF of {domain} for {address}", said) for address, said in failing.items())),
        )
    ]


def _end(domain: str, spf: Spf) -> list[Finding]:
    def say(code: str, harm: Harm, title: str, why: str, todo: str = _REPLACE) -> Finding:
        return Finding(code, harm, title, why, todo, _evidence(spf))

    found = []
    if spf.last == "+":
        title = f"The SPF record of {domain} lets every server of the world send"
        why = "Anybody's mail in this name passes SPF, and DMARC with it: forgeries can't be told from your mail, and filters know that."
        found.append(say("spf-all-pass", Harm.HARMFUL, title, why))
    elif spf.last == "?":
        title = f"The SPF record of {domain} says nothing about all other servers"
        found.append(say("spf-no-end", Harm.ADVICE, title, "Mail from anywhere else is neutral, so the record protects from nothing."))
    if any(term.kind == "ptr" for term in spf.terms):
        title = f"The SPF record of {domain} uses ptr"
        why = "It is slow and unreliable, and many receivers ignore it (RFC 7208 5.5 says: do not use)."
        todo = f"{_REPLACE} If a server relied on ptr, name its address by ip4: or ip6:."
        found.append(say("spf-ptr", Harm.ADVICE, title, why, todo))
    return found
