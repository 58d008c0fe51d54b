"""DMARC (RFC 9989): does a domain stand behind the From of a mail, and what does it want done if not?

Nothing is looked up here. `evaluate` and `find` are generators: each yields the name of TXT records and is sent what they say (None if
there is no such name), so that any resolver, with threads or without, can answer; what that raises goes through.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")
MOST_AUTHORS = 5
"""Domains in one From; no honest mail has more."""
Look = Generator[str, Sequence[str] | None, T]

MOST_LABELS = 8
"""The walk up the tree asks no more names than this (RFC 9989 4.10)."""


class Wish(Enum):
    """What a domain wants done with mail that fails, from lenient to strict."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    def weaker(self) -> Wish:
        """One step down, for a domain that is still testing (RFC 9989 4.7, `t`)."""
        return Wish.QUARANTINE if self is Wish.REJECT else Wish.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a domain has published at `_dmarc`."""

    domain: str
    policy: Wish = Wish.NONE
    subdomains: Wish | None = None
    """Of domains below it; None: as `policy`."""
    missing: Wish | None = None
    """Of domains below it that don't exist; None: as `subdomains`."""
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: str = "u"
    """`y`: a public suffix, `n`: the organizational domain, `u`: the tree says."""
    testing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The policy that holds for a domain, and how far its organization reaches."""

    domain: str
    record: Record | None
    organization: str
    wish: Wish = Wish.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Dmarc:
    """`result` is one of RFC 9989 10: pass, fail, none, permerror."""

    result: str
    domain: str
    """Of the From."""
    wish: Wish = Wish.NONE
    """For a mail that fails."""
    why: str = ""


def parse(text: str, domain: str) -> Record | None:
    """The record in one TXT; None if it is none, or one that can't be applied."""
    tags: dict[str, str] = {}
    for number, part in enumerate(text.split(";")):
        name, equals, value = (each.strip() for each in part.partition("="))
        if number == 0 and (name, equals, value) != ("v", "=", "DMARC1"):
            return None
        tags.setdefault(name.lower(), value)
    wishes = {name: _wish(tags[name]) for name in ("p", "sp", "np") if name in tags}
    policy = wishes.get("p")
    if policy is None or None in wishes.values():  # RFC 9989 4.7: then it is good for reports alone
        if not tags.get("rua", "").lower().startswith("mailto:"):
            return None
        policy, wishes = Wish.NONE, {}
    psd = tags.get("psd", "u").lower()
    return Record(
        domain=domain,
        policy=policy,
        subdomains=wishes.get("sp"),
        missing=wishes.get("np"),
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        strict_spf=tags.get("aspf", "r").lower() == "s",
        psd=psd if psd in ("y", "n") else "u",
        testing=tags.get("t", "n").lower() == "y",
    )


def find(domain: str) -> Look[Found]:
    """The policy of a domain: its own record, else that of its organization, else that of the suffix above (RFC 9989 4.10.1)."""
    domain = domain.rstrip(".").lower()
    records = yield from _walk(domain)
    organization = _organization(domain, records)
    own = {record.domain: record for record in records}
    record = own.get(domain) or own.get(organization) or next((each for each in records if each.psd == "y"), None)
    if record is None:
        return Found(domain=domain, record=None, organization=organization)
    wish = record.policy
    if record.domain != domain:
        wish = record.subdomains or record.policy
        if record.missing is not None and (yield domain) is None:
            wish = record.missing
    return Found(domain=domain, record=record, organization=organization, wish=wish.weaker() if record.testing else wish)


def evaluate(authors: Iterable[str], *, dkim: Sequence[str], spf: str) -> Look[Dmarc]:
    """For the domains of From. `dkim` are those of valid signatures, `spf` that of the envelope sender if SPF passes, else empty.

    Of several domains in From each has to pass, and the strictest wish counts: else a second one would hide the first.
    """
    domains = list(dict.fromkeys(each.rstrip(".").lower() for each in authors))
    if not domains or not all(domains):
        return Dmarc(result="permerror", domain="", why="From names no domain")
    if len(domains) > MOST_AUTHORS:
        return Dmarc(result="fail", domain=domains[0], wish=Wish.REJECT, why="From names more domains than any honest mail")
    worst: Dmarc | None = None
    for domain in domains:
        one = yield from _one(domain, dkim, spf)
        if worst is None or _order(one) > _order(worst):
            worst = one
    assert worst is not None, "there is a domain"
    return worst


def _one(domain: str, dkim: Sequence[str], spf: str) -> Look[Dmarc]:
    found = yield from find(domain)
    if found.record is None:
        return Dmarc(result="none", domain=domain, why="the domain has no DMARC record")
    for by, names, strict in (("DKIM", dkim, found.record.strict_dkim), ("SPF", [spf] if spf else [], found.record.strict_spf)):
        for name in names:
            if (yield from _aligned(found, name.rstrip(".").lower(), strict=strict)):
                return Dmarc(result="pass", domain=domain, wish=found.wish, why=f"{by} of {name}")
    return Dmarc(result="fail", domain=domain, wish=found.wish, why="neither DKIM nor SPF of this domain")


def _aligned(found: Found, name: str, *, strict: bool) -> Look[bool]:
    """RFC 9989 4.4, 4.10.2."""
    if name == found.domain or strict:
        return name == found.domain
    if not name.endswith(f".{found.organization}") and name != found.organization:
        return False
    records = yield from _walk(name)
    return _organization(name, records) == found.organization


def _walk(domain: str) -> Look[list[Record]]:
    """The records at a domain and above it, the lowest first (RFC 9989 4.10)."""
    labels = domain.split(".")
    names = [domain, *(".".join(labels[index:]) for index in range(max(1, len(labels) - MOST_LABELS + 1), len(labels)))]
    records = []
    for name in names:
        texts = (yield f"_dmarc.{name}") or ()
        found = [record for text in texts if (record := parse(text, name)) is not None]
        if len(found) == 1:
            records += found
            if found[0].psd != "u":
                break
    return records


def _organization(domain: str, records: Sequence[Record]) -> str:
    for record in records:
        if record.psd == "n":
            return record.domain
        if record.psd == "y" and record.domain != domain:
            below = domain.removesuffix(f".{record.domain}").rpartition(".")[2]
            return f"{below}.{record.domain}"
    return records[-1].domain if records else domain


def _wish(value: str) -> Wish | None:
    return next((wish for wish in Wish if wish.value == value.lower()), None)


def _order(one: Dmarc) -> tuple[bool, int, bool]:
    return (one.result == "fail", list(Wish).index(one.wish) if one.result == "fail" else 0, one.result == "none")
