"""Which addresses are ours and what each is for: aliases, catchall, bounce and notification addresses of the alias domains.

Matching is Odoo 19's (`message_route` in addons/mail/models/mail_thread.py): by the full address, and for an alias with local-part
matching by what stands before the `@`, if the domain is one of ours or an allowed one. Plus addresses are not taken apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mailroom_core.policy.addresses import normalize


@dataclass(frozen=True, slots=True)
class Target:
    """Who takes a mail, and what it becomes there: a model of Odoo, or nothing more than a conversation."""

    destination: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.destination} ({self.kind})" if self.kind else self.destination


class Who(Enum):
    """Who may write to an alias."""

    EVERYONE = "everyone"
    KNOWN = "known senders"
    FOLLOWERS = "followers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An address that opens something new, or adds to one thing."""

    name: str
    """The local part."""
    domain: str = ""
    """Its alias domain; an alias without one is found by its local part alone."""
    target: Target
    thread: str = ""
    """What every mail is added to; empty: each opens something new."""
    parent: str = ""
    """Whose followers count where there is no thread."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    who: Who = Who.EVERYONE
    local_part: bool = False
    """Any of our domains will do."""
    authenticated: bool = False
    """The sender's domain must be proven (DMARC, or aligned DKIM or SPF)."""
    automatic: bool = False
    """Takes automatic answers and mailing lists as well."""
    refusal: str = ""
    """What a sender reads who may not write; empty for our own words."""

    @property
    def address(self) -> str:
        return f"{self.name}@{self.domain}" if self.domain else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """An alias domain as far as routing needs to know it. The three are local parts, or full addresses."""

    name: str
    bounce: str = "bounce"
    catchall: str = "catchall"
    default_from: str = "notifications"
    reach: str = ""
    """How people reach the company, for the answer to those who wrote to the catchall."""

    def full(self, name: str) -> str:
        return normalize(name if "@" in name else f"{name}@{self.name}") if name else ""


class Tables:
    """All addresses of one moment, looked up in dictionaries. Made once, used for many mails."""

    def __init__(self, aliases: Iterable[Alias], domains: Iterable[Domain], allowed_domains: Iterable[str] = ()) -> None:
        """`allowed_domains`: where local parts count besides our own domains. Without any they count everywhere, as in Odoo."""
        self._by_address: dict[str, list[Alias]] = {}
        self._by_local: dict[str, list[Alias]] = {}
        for alias in aliases:
            if alias.domain:
                self._by_address.setdefault(normalize(alias.address), []).append(alias)
            if alias.local_part:
                self._by_local.setdefault(normalize(alias.name), []).append(alias)
        self.domains = {domain.name.lower(): domain for domain in domains}
        allowed = {each.strip().lower() for each in allowed_domains}
        self._local_domains = allowed | self.domains.keys() if allowed else None
        self.bounces = {domain.full(domain.bounce): domain for domain in self.domains.values() if domain.bounce}
        self.catchalls = {domain.full(domain.catchall): domain for domain in self.domains.values() if domain.catchall}
        self.notifications = {domain.full(domain.default_from): domain for domain in self.domains.values() if domain.default_from}

    def matching(self, addresses: Iterable[str]) -> list[Alias]:
        """Every alias that one of these addresses (normalised) means, each once, in the order of targets and names."""
        found: dict[str, Alias] = {}
        for address in addresses:
            for alias in (*self._by_address.get(address, ()), *self._local(address)):
                found[f"{alias.address}\0{alias.target}\0{alias.thread}"] = alias
        return sorted(found.values(), key=lambda alias: (str(alias.target), alias.name, alias.domain))

    def bounce_domain(self, addresses: Iterable[str]) -> Domain | None:
        """The domain whose bounce address is among these, with an envelope in it (VERP) or without."""
        for address in addresses:
            local, _, domain = address.rpartition("@")
            base = f"{local.partition('+')[0]}@{domain}"
            if found := self.bounces.get(address) or self.bounces.get(base):
                return found
        return None

    def is_ours(self, address: str) -> bool:
        """Whether a program of ours reads what is sent there: nobody answers it automatically."""
        normal = normalize(address)
        own = (self.bounces, self.catchalls, self.notifications, self._by_address)
        return any(normal in each for each in own) or self.bounce_domain([normal]) is not None

    def is_postmaster(self, address: str) -> bool:
        """Every domain that takes mail has one (RFC 5321 4.5.1)."""
        local, _, domain = normalize(address).rpartition("@")
        return local == "postmaster" and domain in self.domains

    def takes(self, address: str) -> bool:
        """Whether there is such an address here at all, whoever may write to it."""
        return self.is_ours(address) or self.is_postmaster(address) or bool(self.matching([normalize(address)]))

    def _local(self, address: str) -> Sequence[Alias]:
        local, at, domain = address.rpartition("@")
        if not at or (self._local_domains is not None and domain not in self._local_domains):
            return ()
        return self._by_local.get(local, ())
