"""Which addresses are ours and what each is for: aliases, catchall, bounce and notification addresses of the alias domains.

Matching is Odoo 19's (`message_route` in addons/mail/models/mail_thread.py): by the full address, and for an alias with local-part
matching by what stands before the `@`, in the domains that the alias names or in all. Plus addresses are not taken apart.
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
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Values of what is opened by it, for its target to know."""
    who: Who = Who.EVERYONE
    domains: tuple[str, ...] = ()
    """Other domains in which it is an address as well."""
    local_part: bool = False
    """Every domain will do."""
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

    def __init__(self, aliases: Iterable[Alias], domains: Iterable[Domain]) -> None:
        self._by_address: dict[str, list[Alias]] = {}
        self._by_local: dict[str, list[Alias]] = {}
        for alias in aliases:
            for domain in dict.fromkeys(filter(None, (alias.domain.lower(), *(each.lower() for each in alias.domains)))):
                self._by_address.setdefault(normalize(f"{alias.name}@{domain}"), []).append(alias)
            if alias.local_part:
                self._by_local.setdefault(normalize(alias.name), []).append(alias)
        self.domains = {domain.name.lower(): domain for domain in domains}
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
        return normal in self._by_address or self.is_unread(normal)

    def is_unread(self, address: str) -> bool:
        """Whether it is a catchall, bounce or notification address, whose mail is for nobody in particular. `address` is normalised."""
        return address in self.catchalls or address in self.notifications or self.bounce_domain([address]) is not None

    def is_postmaster(self, address: str) -> bool:
        """Every domain that takes mail has one (RFC 5321 4.5.1)."""
        local, _, domain = normalize(address).rpartition("@")
        return local == "postmaster" and domain in self.domains

    def takes(self, address: str) -> bool:
        """Whether there is such an address here at all, whoever may write to it. A local part alone makes one in our domains only:
        in others, mail servers would bring us the mail of strangers."""
        if self.is_ours(address) or self.is_postmaster(address):
            return True
        return normalize(address).rpartition("@")[2] in self.domains and bool(self.matching([normalize(address)]))

    def _local(self, address: str) -> Sequence[Alias]:
        local, at, _ = address.rpartition("@")
        return self._by_local.get(local, ()) if at else ()
