"""What the doctor is asked, and what it says: domains, the installation, symptoms; and the support bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from mailroom_client.calls import Call
from mailroom_client.values import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    asked: str
    said: str
    source: str
    dnssec: bool
    """It says that DNSSEC proves the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A DNS record to copy."""

    type: str
    name: str
    """For DNS providers that append the domain by themselves."""
    full_name: str
    """For those that append nothing."""
    value: str
    zone: str
    zone_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What mends it: a command to copy, or a page of the console."""

    label: str
    command: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong."""

    code: str
    """Stays the same from version to version."""
    harm: str
    """`harmful`, `risky` or `advice`."""
    title: str
    why: str
    todo: str
    evidence: tuple[Evidence, ...]
    add: tuple[Record, ...]
    remove: tuple[Record, ...]
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    area: str
    verdict: str
    """`good`, `see findings`, `not used` or `unchecked`."""
    text: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A look at a domain."""

    domain: str
    at: datetime
    seconds: float
    resolver: str
    harmful: bool
    findings: tuple[Finding, ...]
    """Worst first."""
    unchecked: tuple[Unchecked, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFinding(Finding):
    """Something that is wrong with an object of the installation."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectUnchecked(Unchecked):
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    owner: str
    what: str
    at: datetime
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    name: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    what: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One object of the installation."""

    kind: str
    name: str
    verdict: str
    text: str
    seconds: float
    facts: tuple[Fact, ...]
    usage: tuple[Usage, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A look at the installation."""

    at: datetime
    seconds: float
    harmful: bool
    findings: tuple[ObjectFinding, ...]
    """Worst first."""
    unchecked: tuple[ObjectUnchecked, ...]
    ends: tuple[Ends, ...]
    """What ends when, the nearest first."""
    objects: tuple[Looked, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLooks:
    domains: tuple[Report, ...]
    installation: Health | None
    """None: nobody has looked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAs:
    """May we send as an address?"""

    address: str
    may: str
    """`yes`, `no` or `not known`."""
    how: str
    why: str
    todo: str
    server: str
    leaves_as: str
    mailbox: str
    applications: tuple[str, ...]
    facts: tuple[Fact, ...]
    evidence: tuple[Evidence, ...]
    unchecked: tuple[Unchecked, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Of a question about a symptom."""

    question: str
    name: str
    subject: str
    at: datetime
    harmful: bool
    verdict: str
    """The cause in one sentence, or that nothing was found."""
    findings: tuple[Finding, ...]
    """Worst first: the first is the cause."""
    unchecked: tuple[Unchecked, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What somebody who helps needs: look through it before you give it away."""

    files: tuple[BundleFile, ...]
    legend: Mapping[str, str] | None
    """Who is behind which mask, if it was asked for. Keep it."""


def look(domain: str, *, selectors: Sequence[str] = ()) -> Call[Report]:
    """Look at the DNS of a domain now. `selectors`: DKIM keys besides those of known services."""
    path = f"/doctor/{quote(domain, safe='')}"
    return Call("GET", path, lambda _, body: read(Report, body), query={"selector": list(selectors)} if selectors else {})


def installation() -> Call[Health]:
    """Look at the installation now; it may take a minute."""
    return Call("GET", "/doctor/installation", lambda _, body: read(Health, body))


def last_looks() -> Call[LastLooks]:
    """What was found last at each alias domain, and at the installation."""
    return Call("GET", "/doctor", lambda _, body: read(LastLooks, body))


def send_as(address: str, *, application: str = "") -> Call[SendAs]:
    """May mail leave as this address, handed in by this application?"""
    query = {"address": address, **({"application": application} if application else {})}
    return Call("GET", "/doctor/send-as", lambda _, body: read(SendAs, body), query=query)


def ask(question: str, *, message: str = "", address: str = "") -> Call[Answer]:
    """Why mail does not do what it should; `GET /v1/doctor/questions` lists the names of the questions."""
    body = {"question": question, "message": message, "address": address}
    return Call("POST", "/doctor/questions", lambda _, answer: read(Answer, answer), json=body)


def support_bundle(*, mails: Sequence[str] = (), content: bool = False, keep_names: bool = False, legend: bool = False) -> Call[Bundle]:
    """Versions, settings, health and the mails in question, without secrets, addresses masked."""
    body = {"mails": list(mails), "content": content, "keep_names": keep_names, "legend": legend}
    return Call("POST", "/support/bundle", _bundle, json=body)


def _bundle(_: bytes, body: Any) -> Bundle:
    return read(Bundle, body)
