"""An address of ours that sends itself: its name, and the lists that others keep of bad ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from mailroom.doctor.answers import Answer, Ask, Status, plain
from mailroom.doctor.findings import Check, Finding, Harm, Look, Unchecked, Verdict, evidence, unread

REVERSE, LISTS = "reverse DNS", "blocklists"
BLOCKLISTS = ("zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org", "psbl.surriel.com")
_REFUSING = ("127.255.255.", "127.0.1.255", "127.0.0.1")
"""Answers by which a list says that it does not answer us: https://www.spamhaus.org/faqs/dnsbl-usage/"""


@dataclass(frozen=True, slots=True)
class Address:
    """What the DNS says of one address."""

    address: str
    reverse: Answer
    forward: tuple[tuple[str, tuple[Answer, ...]], ...]
    """The names that it has, each with its addresses."""
    lists: tuple[tuple[str, Answer, Answer | None], ...]
    """Each list, with its answer, and its reason if it has the address."""


async def gather(addresses: Sequence[str], lists: Sequence[str], ask: Ask) -> tuple[Address, ...]:
    """Raises nothing."""
    return tuple(await asyncio.gather(*(_address(each, lists, ask) for each in addresses)))


async def _address(address: str, lists: Sequence[str], ask: Ask) -> Address:
    pointer = ip_address(address).reverse_pointer
    reversed_ = pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
    reverse, found = await asyncio.gather(ask(pointer, "PTR"), asyncio.gather(*(_listed(reversed_, each, ask) for each in lists)))
    names = [plain(each) for each in reverse.records[:5]]
    forward = await asyncio.gather(*(asyncio.gather(ask(name, "A"), ask(name, "AAAA")) for name in names))
    return Address(address, reverse, tuple((name, tuple(each)) for name, each in zip(names, forward, strict=True)), tuple(found))


async def _listed(reversed_: str, zone: str, ask: Ask) -> tuple[str, Answer, Answer | None]:
    name = f"{reversed_}.{zone}"
    answer = await ask(name, "A")
    return zone, answer, await ask(name, "TXT") if answer.status is Status.FOUND else None


def judge(addresses: Sequence[Address], hostname: str) -> tuple[Look, ...]:
    """Two looks. `hostname` is what we call ourselves."""
    if not addresses:
        text = "nothing is sent from an address of our own; if your own server does, name its address in doctor.addresses"
        return Look(Check(REVERSE, Verdict.UNUSED, text)), Look(Check(LISTS, Verdict.UNUSED, text))
    return _reverse(addresses, hostname), _lists(addresses)


def _reverse(addresses: Sequence[Address], hostname: str) -> Look:
    findings, unchecked, texts = [], [], []
    for each in addresses:
        shown = (evidence(each.reverse), *(evidence(answer) for _, answers in each.forward for answer in answers if answer.records))
        if not each.reverse.known:
            unchecked.append(unread(f"{REVERSE} of {each.address}", each.reverse))
            continue
        back = [name for name, answers in each.forward if _leads_to(each.address, answers)]
        if back:
            texts.append(f"{each.address} is {back[0]}")
            continue
        if any(not answer.known for _, answers in each.forward for answer in answers):
            unchecked.append(Unchecked(f"{REVERSE} of {each.address}", "its name could not be looked up"))
            continue
        names = ", ".join(name for name, _ in each.forward)
        title = f"{names}, the name of {each.address}, does not lead back to it" if names else f"{each.address} has no name (PTR)"
        why = "Gmail, Microsoft and most others refuse mail of an address whose name is missing or does not lead back to it."
        todo = (
            f"Whoever gave you the address (not your DNS provider) sets its name: {hostname}. "
            f"In your DNS, {hostname} must have the address {each.address}."
        )
        findings.append(Finding("reverse-dns", Harm.HARMFUL, title, why, todo, shown))
    verdict = Verdict.FOUND if findings else Verdict.UNCHECKED if unchecked else Verdict.GOOD
    return Look(
        Check(REVERSE, verdict, "; ".join(texts), tuple(evidence(each.reverse) for each in addresses)), tuple(findings), tuple(unchecked)
    )


def _leads_to(address: str, answers: Sequence[Answer]) -> bool:
    return any(_same(address, record) for answer in answers for record in answer.records)


def _same(address: str, record: str) -> bool:
    try:
        return ip_address(address) == ip_address(record)
    except ValueError:
        return False


def _lists(addresses: Sequence[Address]) -> Look:
    findings, unchecked, asked = [], [], []
    for each in addresses:
        for zone, answer, reason in each.lists:
            if not answer.known:
                unchecked.append(unread(f"{each.address} at {zone}", answer))
            elif any(record.startswith(_REFUSING) for record in answer.records):
                text = f"{zone} does not answer this name server (it said {answer.records[0]}); set doctor.resolver to one of your own"
                unchecked.append(Unchecked(f"{each.address} at {zone}", text))
            elif answer.status is Status.FOUND and all(record.startswith("127.") for record in answer.records):
                findings.append(_on_list(each.address, zone, answer, reason))
            elif answer.status is Status.FOUND:
                text = f"{zone} said {answer.records[0]}, which is no answer of a blocklist: the list has ended, or the name server lies"
                unchecked.append(Unchecked(f"{each.address} at {zone}", text))
            else:
                asked.append(zone)
    text = f"on none of {', '.join(dict.fromkeys(asked))}" if asked else ""
    verdict = Verdict.FOUND if findings else Verdict.GOOD if asked else Verdict.UNCHECKED
    return Look(Check(LISTS, verdict, text), tuple(findings), tuple(unchecked))


def _on_list(address: str, zone: str, answer: Answer, reason: Answer | None) -> Finding:
    return Finding(
        "blocklisted",
        Harm.HARMFUL,
        f"{address} is on the blocklist {zone}",
        "Many receivers refuse everything from there.",
        "Find out why first: a program or account that sends spam, or a customer before you. The list's own page, named in the evidence, "
        "says how to be taken off it.",
        (evidence(answer), *((evidence(reason),) if reason is not None and reason.records else ())),
    )
