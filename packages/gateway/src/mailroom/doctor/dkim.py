"""DKIM keys: which are there, and whether they can prove anything."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailroom.doctor.answers import Answer, Ask, Status
from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Record, Unchecked, Verdict, evidence, unread
from mailroom.doctor.services import Service, Way

AREA = "DKIM"
STRONG = 2048
WEAK = 1024
"""Bits; keys below are ignored (RFC 8301 3.2)."""
_TAG = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=\s*([^;]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Key:
    """What lies at one selector."""

    selector: str
    domain: str
    answer: Answer
    kind: str = ""
    """`rsa` or `ed25519`."""
    bits: int = 0
    testing: bool = False
    problem: str = ""
    """Why it proves nothing."""

    @property
    def name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def usable(self) -> bool:
        return bool(self.kind) and not self.problem

    @property
    def absent(self) -> bool:
        return self.answer.status in (Status.NO_NAME, Status.EMPTY) and not self.problem


async def gather(domain: str, selectors: Sequence[str], ask: Ask) -> tuple[Key, ...]:
    """All keys that are asked for, also those that are not there."""
    return tuple(await asyncio.gather(*(_key(domain, each, ask) for each in dict.fromkeys(selectors))))


async def _key(domain: str, selector: str, ask: Ask) -> Key:
    answer = await ask(f"{selector}._domainkey.{domain}", "TXT")
    if answer.status is Status.FOUND:
        return read(selector, domain, answer)
    if answer.status in (Status.NO_NAME, Status.EMPTY) and not answer.alias:
        pointer = await ask(f"{selector}._domainkey.{domain}", "CNAME")
        if pointer.records:
            text = f"the CNAME leads to {pointer.records[0].rstrip('.')}, where no key is"
            return Key(selector, domain, pointer, problem=text)
    return Key(selector, domain, answer)


def read(selector: str, domain: str, answer: Answer) -> Key:
    """The key of a TXT record."""
    keys = [each for each in answer.records if "p=" in each.replace(" ", "")]
    if len(keys) != 1:
        text = "there are several records; which one counts is not defined" if keys else "the record holds no key (p=)"
        return Key(selector, domain, answer, problem=text)
    tags = {name.lower(): re.sub(r"\s+", "", value) for name, value in _TAG.findall(keys[0])}
    kind = tags.get("k", "rsa").lower() or "rsa"
    if tags.get("v", "DKIM1") != "DKIM1":
        return Key(selector, domain, answer, problem=f"v={tags['v']} is no version of DKIM; it must be DKIM1")
    if not tags.get("p"):
        return Key(selector, domain, answer, problem="the key is empty (p=): it was revoked")
    testing = "y" in tags.get("t", "").split(":")
    try:
        bits = _bits(kind, tags["p"])
    except ValueError as problem:
        return Key(selector, domain, answer, kind, problem=str(problem), testing=testing)
    weak = f"the key has {bits} bits; receivers ignore keys below {WEAK}" if kind == "rsa" and bits < WEAK else ""
    return Key(selector, domain, answer, kind, bits, testing, weak)


def _bits(kind: str, value: str) -> int:
    """Raises ValueError, in words."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the key (p=) is not valid base64; it was cut off or changed when it was pasted") from None
    if kind == "ed25519":
        if len(raw) != 32:
            raise ValueError(f"an ed25519 key has 32 bytes, this one {len(raw)}")
        return 256
    if kind != "rsa":
        raise ValueError(f"k={kind} is no kind of key that receivers know")
    try:
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the key (p=) is not an RSA key; it was cut off or changed when it was pasted") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the key (p=) is not an RSA key, as k= says")
    return key.key_size


def selectors_of(ways: Sequence[Way]) -> dict[str, list[str]]:
    """Domain -> selectors of the servers that would sign as it."""
    wanted: dict[str, list[str]] = {}
    for way in ways:
        if way.signing:
            wanted.setdefault(way.signing, []).extend(way.selectors)
    return wanted


def proves(way: Way, keys: Sequence[Key]) -> bool | None:
    """Whether this server's mail is signed as its domain, as far as the DNS tells; None: it does not tell."""
    if not way.selectors:
        return None
    own = [each for each in keys if each.domain == way.signing and each.selector in way.selectors]
    if any(each.usable for each in own):
        return True
    return None if any(not each.answer.known for each in own) else False


def judge(domain: str, keys: Sequence[Key], ways: Sequence[Way], zone: str, named: Collection[str] = ()) -> Look:
    """`named` are selectors of this domain that somebody says are there."""
    findings: list[Finding] = []
    unchecked: list[Unchecked] = []
    asked: set[str] = set()
    for way in ways:
        if not way.selectors:
            unchecked.append(Unchecked(f"{AREA} of outgoing server {way.server}", _unnamed(way)))
        elif way.service is not None and way.service.selectors and way.service.key not in asked:
            asked.add(way.service.key)
            findings += _service(way, way.service, keys, zone)
    expected = {(way.signing, each) for way in ways for each in way.named} | {(domain, each) for each in named}
    findings += [_absent(key) for key in keys if (key.domain, key.selector) in expected and key.absent]
    findings += [finding for key in keys for finding in _key_findings(key)]
    unchecked += [unread(f"{AREA} key {each.selector}", each.answer) for each in keys if not each.answer.known]
    usable = [each for each in keys if each.usable]
    text = ", ".join(f"{each.selector} ({each.kind}, {each.bits} bits)" for each in usable) or "no key was found"
    verdict = Verdict.FOUND if findings else Verdict.GOOD if usable else Verdict.UNCHECKED
    return Look(Check(AREA, verdict, text, tuple(evidence(each.answer) for each in usable)), tuple(findings), tuple(unchecked))


def _unnamed(way: Way) -> str:
    """Why nothing can be said of its keys, and what helps."""
    then = "name them in doctor.selectors, or look at a mail that it has sent with: mailroom doctor message"
    if way.service is None:
        return f"whether it signs, and with which keys, can't be seen in the DNS; {then}"
    return f"{way.service.name} gives everybody's keys other names; {then}"


def _absent(key: Key) -> Finding:
    return Finding(
        "dkim-named-missing",
        Harm.RISKY,
        f"The DKIM key {key.name} is not there",
        "Mail that is signed with it can't be verified, so the signature counts as none.",
        "Copy the record again from the service that signs with it; if the key has another name now, correct doctor.selectors",
        (evidence(key.answer),),
    )


def _service(way: Way, service: Service, keys: Sequence[Key], zone: str) -> list[Finding]:
    own = [each for each in keys if each.domain == way.signing and each.selector in service.selectors]
    if any(not each.answer.known for each in own):
        return []
    usable = [each for each in own if each.usable]
    if usable and (not service.all_selectors or len(usable) == len(service.selectors)):
        return []
    absent = [each for each in own if not each.usable]
    shown: tuple[Evidence, ...] = tuple(evidence(each.answer) for each in absent[:4])
    if usable:
        names = " and ".join(each.name for each in absent)
        return [
            Finding(
                f"dkim-{service.key}-second",
                Harm.RISKY,
                f"{service.name} has only one of its DKIM keys: {names} is missing",
                f"{service.name} changes between its keys. After the next change its mail carries a signature that nobody can verify.",
                f"Add it. The exact value: {service.where}.",
                shown,
                tuple(_pointer(each, service, way, zone) for each in absent),
            )
        ]
    return [
        Finding(
            f"dkim-{service.key}-missing",
            Harm.RISKY if service.include else Harm.HARMFUL,
            f"Mail of {way.signing} by {service.name} (outgoing server {way.server}) carries no DKIM signature of its own domain",
            "The signature proves who sent a mail, also after it was forwarded, where SPF fails. "
            + (
                "DMARC then stands on SPF alone."
                if service.include
                else f"{service.name} has an envelope sender of its own, so that DMARC fails."
            )
            + " Gmail and Yahoo demand it of everybody who sends much.",
            f"Switch it on: {service.where}.",
            shown,
            tuple(_pointer(each, service, way, zone) for each in own) if service.alias else (),
        )
    ]


def _pointer(key: Key, service: Service, way: Way, zone: str) -> Record:
    """The CNAME as far as it is known; what only its owner knows stands in capitals."""
    dashed = way.signing.replace(".", "-")
    value = {
        "microsoft": f"{key.selector}-{dashed}._domainkey.TENANT.onmicrosoft.com.",
        "odoo": "odoo._domainkey.odoo.com.",
    }.get(
        service.key, f"{key.selector}.domainkey.NUMBER.wl.sendgrid.net." if service.key == "sendgrid" else f"AS-{service.key.upper()}-SHOWS"
    )
    return Record(key.name, "CNAME", value, zone)


def _key_findings(key: Key) -> list[Finding]:
    shown = (evidence(key.answer),)
    if key.problem:
        return [
            Finding(
                "dkim-broken-key",
                Harm.RISKY if "revoked" in key.problem else Harm.HARMFUL,
                f"The DKIM key {key.name} proves nothing: {key.problem}",
                "A signature that can't be verified counts as none, and some filters mind it more than none.",
                "Copy the record again from the service that signs with it; a long one may be several strings of one record.",
                shown,
            )
        ]
    found = []
    if key.testing:
        found.append(
            Finding(
                "dkim-testing",
                Harm.ADVICE,
                f"The DKIM key {key.name} is marked as a test (t=y)",
                "Receivers may treat the mail as if it were not signed (RFC 6376 3.6.1).",
                "Take t=y out of the record.",
                shown,
            )
        )
    if key.usable and key.kind == "rsa" and key.bits < STRONG:
        found.append(
            Finding(
                "dkim-short-key",
                Harm.ADVICE,
                f"The DKIM key {key.name} has {key.bits} bits",
                f"It can be broken with enough money; {STRONG} bits are the rule today (RFC 8301 3.2).",
                f"Let the service that signs make a new key of {STRONG} bits.",
                shown,
            )
        )
    return found
