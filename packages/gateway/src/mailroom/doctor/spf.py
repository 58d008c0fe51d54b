"""SPF: the record of a domain with everything that it names, read as RFC 7208 wants it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

from mailroom.doctor.answers import Answer, Ask, Status, plain

MOST_LOOKUPS = 10
"""RFC 7208 4.6.4; more make every receiver end with an error."""
MOST_VOID = 2
MOST_MX = 10
ENOUGH = 40
"""Terms of a hostile record that we look up at all."""
_RECORD = re.compile(r"v=spf1(?= |$)", re.IGNORECASE)
_TERM = re.compile(r"(?P<qualifier>[+\-~?]?)(?P<name>[a-z][a-z0-9_.\-]*)(?P<rest>(?:[:/].*)?)", re.IGNORECASE)
_MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9_.\-]*)=(?P<value>\S*)", re.IGNORECASE)
_CIDR = re.compile(r"(?:/(?P<four>\d{1,2}))?(?://(?P<six>\d{1,3}))?")
_MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
LOOKING_UP = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})
"""Terms that count against the limit."""


class Wrong(Enum):
    """What makes a record fail for every sender (permerror), or breaks a part of it."""

    SYNTAX = "syntax"
    SEVERAL = "several records"
    LOOP = "loop"
    NO_RECORD = "no SPF record"
    MANY_MX = "more than 10 mail servers"
    UNREAD = "unread"
    """The name server did not tell."""
    ENDLESS = "endless"
    """We have stopped looking."""


@dataclass(frozen=True, slots=True)
class Problem:
    kind: Wrong
    where: str
    """The domain whose record it is."""
    text: str


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism, or a redirect, with what was found behind it."""

    text: str
    qualifier: str
    kind: str
    target: str = ""
    networks: tuple[str, ...] = ()
    """That match; empty where macros decide."""
    behind: Spf | None = None
    """Of include and redirect."""
    void: bool = False
    """It was looked up, and nothing is there."""
    macro: bool = False
    """It depends on the mail."""
    trouble: Wrong | None = None
    """Why whoever gets so far is not told what it matches."""


@dataclass(frozen=True, slots=True)
class Spf:
    """The record of one domain."""

    domain: str
    answer: Answer
    record: str = ""
    terms: tuple[Term, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Of this record alone."""

    def all_problems(self) -> Iterator[Problem]:
        yield from self.problems
        for term in self.terms:
            if term.behind is not None:
                yield from term.behind.all_problems()

    def walk(self) -> Iterator[tuple[Spf, Term]]:
        """Every term with the record that it stands in, in the order of evaluation."""
        for term in self.terms:
            yield self, term
            if term.behind is not None:
                yield from term.behind.walk()

    @property
    def lookups(self) -> int:
        return sum(term.kind in LOOKING_UP for _, term in self.walk())

    @property
    def voids(self) -> int:
        return sum(term.void for _, term in self.walk())

    @property
    def includes(self) -> frozenset[str]:
        """All domains that are included, at any depth."""
        return frozenset(term.target for _, term in self.walk() if term.kind in ("include", "redirect"))

    @property
    def last(self) -> str:
        """What holds for all others: `-`, `~`, `?` or `+`; as the redirect says, if there is one."""
        for term in self.terms:
            if term.kind == "all":
                return term.qualifier
            if term.kind == "redirect" and term.behind is not None:
                return term.behind.last
        return "?"


@dataclass(slots=True)
class _Budget:
    left: int = ENOUGH
    read: dict[str, int] = field(default_factory=dict)


async def gather(domain: str, ask: Ask) -> Spf:
    """Read it, with everything behind it. Raises nothing."""
    return await _read(plain(domain), ask, (), _Budget())


async def _read(domain: str, ask: Ask, path: tuple[str, ...], budget: _Budget) -> Spf:
    answer = await ask(domain, "TXT")
    if not answer.known:
        return Spf(domain, answer, problems=(Problem(Wrong.UNREAD, domain, answer.trouble or answer.status.value),))
    records = [each for each in answer.records if _RECORD.match(each)]
    if len(records) != 1:
        kind = Wrong.SEVERAL if records else Wrong.NO_RECORD
        return Spf(domain, answer, records[0] if records else "", problems=(Problem(kind, domain, f"{len(records)} SPF records"),))
    terms, problems = parse(records[0])
    made = Spf(domain, answer, records[0], tuple(terms), tuple(replace(each, where=domain) for each in problems))
    found = await asyncio.gather(*(_look(term, domain, ask, (*path, domain), budget) for term in terms))
    more = tuple(problem for _, problem in found if problem is not None)
    looked = tuple(replace(term, trouble=problem.kind) if problem else term for term, problem in found)
    return replace(made, terms=looked, problems=made.problems + more)


def parse(record: str) -> tuple[list[Term], list[Problem]]:
    """The terms that are evaluated: none after `all`, and a redirect only without it (RFC 7208 5.1, 6.1)."""
    terms: list[Term] = []
    redirects: list[Term] = []
    problems: list[Problem] = []
    for word in record.split()[1:]:
        if modifier := _MODIFIER.fullmatch(word):
            if modifier["name"].lower() == "redirect":
                redirects.append(_aimed(Term(word, "+", "redirect"), modifier["value"]))
            continue
        term = _mechanism(word)
        if term is None:
            problems.append(Problem(Wrong.SYNTAX, "", f"{word!r} is nothing that SPF knows"))
        elif not any(each.kind == "all" for each in terms):
            terms.append(term)
    if len(redirects) > 1:
        problems.append(Problem(Wrong.SYNTAX, "", "redirect= stands there twice"))
    if redirects and not any(each.kind == "all" for each in terms):
        terms.append(redirects[0])
    return terms, problems


def _aimed(term: Term, target: str) -> Term:
    return replace(term, target=plain(target), macro="%" in target)


def _mechanism(word: str) -> Term | None:
    """None for what is no mechanism."""
    found = _TERM.fullmatch(word)
    if found is None or found["name"].lower() not in _MECHANISMS:
        return None
    kind, rest = found["name"].lower(), found["rest"]
    term = Term(word, found["qualifier"] or "+", kind)
    if kind == "all":
        return term if not rest else None
    if kind in ("ip4", "ip6"):
        return _address(term, rest)
    if kind in ("include", "exists"):
        return _aimed(term, rest[1:]) if rest.startswith(":") and len(rest) > 1 else None
    target, slash, size = rest.removeprefix(":").partition("/")
    if rest.startswith(":") and not target:
        return None
    sizes = _CIDR.fullmatch(slash + size)
    if sizes is None or int(sizes["four"] or 0) > 32 or int(sizes["six"] or 0) > 128:
        return None
    return _aimed(term, target)


def _address(term: Term, rest: str) -> Term | None:
    try:
        network = ip_network(rest[1:], strict=False)
    except ValueError:
        return None
    return replace(term, networks=(str(network),)) if rest.startswith(":") and network.version == int(term.kind[2]) else None


async def _look(term: Term, domain: str, ask: Ask, path: tuple[str, ...], budget: _Budget) -> tuple[Term, Problem | None]:
    """The term with what is behind it, and what is wrong with it."""
    if term.kind not in LOOKING_UP:
        return term, None
    budget.left -= 1
    if budget.left < 0:
        return term, Problem(Wrong.ENDLESS, domain, f"more than {ENOUGH} look-ups; the rest was not followed")
    if term.macro or term.kind in ("ptr", "exists"):
        return term, None
    if term.kind in ("include", "redirect"):
        return await _follow(term, domain, ask, path, budget)
    return await _hosts(term, domain, ask)


async def _follow(term: Term, domain: str, ask: Ask, path: tuple[str, ...], budget: _Budget) -> tuple[Term, Problem | None]:
    if term.target in path:
        return term, Problem(Wrong.LOOP, domain, f"{term.text} leads back: {' → '.join((*path, term.target))}")
    behind = await _read(term.target, ask, path, budget)
    void = behind.answer.status in (Status.NO_NAME, Status.EMPTY)
    return replace(term, behind=behind, void=void), None


async def _hosts(term: Term, domain: str, ask: Ask) -> tuple[Term, Problem | None]:
    """The addresses of `a` and `mx`."""
    name = term.target or domain
    hosts = [name]
    if term.kind == "mx":
        answer = await ask(name, "MX")
        if not answer.known:
            return term, Problem(Wrong.UNREAD, domain, f"MX {name}: {answer.trouble or answer.status.value}")
        if not answer.records:
            return replace(term, void=True), None
        hosts = [plain(each.split()[-1]) for each in answer.records]
        if len(hosts) > MOST_MX:
            return term, Problem(Wrong.MANY_MX, domain, f"{term.text} means {len(hosts)} mail servers, and {MOST_MX} are allowed")
    answers = await asyncio.gather(*(ask(host, kind) for host in hosts if host for kind in ("A", "AAAA")))
    if unread := [each for each in answers if not each.known]:
        return term, Problem(Wrong.UNREAD, domain, f"{unread[0].type} {unread[0].name}: {unread[0].trouble}")
    addresses = [record for each in answers for record in each.records]
    return replace(term, networks=tuple(_widened(term.text, each) for each in addresses), void=not addresses), None


def _widened(text: str, address: str) -> str:
    """`a/24`, `mx//64`: the network around an address."""
    sizes = _CIDR.search(text[text.index("/") :]) if "/" in text else None
    if sizes is None:
        return address
    size = sizes["six"] if ":" in address else sizes["four"]
    return str(ip_network(f"{address}/{size}", strict=False)) if size else address


def result(spf: Spf, address: str) -> str:
    """`pass`, `fail`, `softfail`, `neutral`, `none`, `permerror`, or `unknown` where macros or an unread record decide.

    What is broken behind the term that matches counts for nothing (RFC 7208 4.6.2). Of look-ups, the whole record's count, also those
    that this address would not need.
    """
    if spf.answer.known and not spf.record:
        return "none"
    if spf.lookups > MOST_LOOKUPS or spf.voids > MOST_VOID:
        return "permerror"
    return _result(spf, ip_address(address))


def covers(spf: Spf, service: Spf) -> bool:
    """Whether a record lists every address that a service's record lets send, at any depth of both. What macros decide, or could not be
    read, is not covered."""
    theirs = _passing(service)
    if not theirs or list(service.all_problems()) or any(term.macro or term.kind in ("ptr", "exists") for _, term in service.walk()):
        return False
    return all(lies_in(each, spf) for each in theirs)


def lies_in(network: str, spf: Spf) -> bool:
    """Whether a record lets all of these addresses send."""
    one, ours = ip_network(network, strict=False), _passing(spf)
    if one.version == 4:
        return any(one.subnet_of(each) for each in collapse_addresses(IPv4Network(each, strict=False) for each in ours if ":" not in each))
    return any(one.subnet_of(each) for each in collapse_addresses(IPv6Network(each, strict=False) for each in ours if ":" in each))


def _passing(spf: Spf) -> list[str]:
    """The addresses that pass by what is listed; none behind a term that does not say pass."""
    found: list[str] = []
    for term in spf.terms:
        if term.qualifier == "+":
            found += term.networks
            found += _passing(term.behind) if term.behind is not None else []
    return found


_WORDS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


_OF_THE_RECORD = frozenset({Wrong.SYNTAX, Wrong.SEVERAL, Wrong.NO_RECORD})
"""What ends the evaluation where a record is read, before its first term (RFC 7208 4.5, 4.6)."""


def _result(spf: Spf, address: IPv4Address | IPv6Address) -> str:
    if not spf.answer.known:
        return "unknown"
    if any(each.kind in _OF_THE_RECORD for each in spf.problems):
        return "permerror"
    for term in spf.terms:
        if term.trouble is not None:
            return "unknown" if term.trouble is Wrong.UNREAD else "permerror"
        if term.macro or term.kind in ("ptr", "exists"):
            return "unknown"
        if term.kind == "redirect":
            return _result(term.behind, address) if term.behind else "permerror"
        if term.kind == "include":
            inside = _result(term.behind, address) if term.behind else "permerror"
            if inside == "pass":
                return _WORDS[term.qualifier]
            if inside in ("unknown", "permerror"):
                return inside
        elif term.kind == "all" or any(_is_in(address, each) for each in term.networks):
            return _WORDS[term.qualifier]
    return "neutral"


def _is_in(address: IPv4Address | IPv6Address, network: str) -> bool:
    known = ip_network(network, strict=False)
    return known.version == address.version and address in known
