"""The name server, asked from threads. What it said is kept for as long as the records live."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.txtbase import TXTBase

from mailroom.hosts import name_server
from mailroom_core.errors import ConfigError

_KEPT = 5_000
"""Answers; some 4 kB each in memory."""
_LARGEST_KEPT = 2_048
"""Bytes of an answer: what strangers have at their name servers must not fill our memory."""
_ONE = 5.0
"""Seconds for one question."""


class Unanswered(Exception):
    """The name server does not say, for now."""


@dataclass(frozen=True, slots=True)
class Found:
    """Records of one name. `exists` is false if there is no such name."""

    records: Sequence[Any]
    exists: bool = True


Ask = Callable[[str, str], Found]
"""A name and a type of records. Raises Unanswered."""


class Kept(dns.resolver.LRUCache):
    """Answers that were asked for last, but none of unusual size."""

    def put(self, key: dns.resolver.CacheKey, value: dns.resolver.Answer) -> None:
        if len(value.response.wire or b"") <= _LARGEST_KEPT:
            super().put(key, value)


class Names:
    """The name servers of this machine, or these addresses: `10.0.0.1`, `10.0.0.1:5353`, `[2001:db8::1]:53`."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """Raises ConfigError."""
        try:
            self._resolver = dns.resolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration:
            raise ConfigError("this machine names no name server in /etc/resolv.conf; set mx.resolver") from None
        if servers:
            parsed = [name_server(each) for each in servers]
            self._resolver.nameservers = [host for host, _ in parsed]
            self._resolver.nameserver_ports = dict(parsed)
        self._resolver.cache = Kept(_KEPT)
        self._resolver.timeout = 2.0

    def asking(self, within: timedelta) -> Ask:
        """To ask until this time is over."""
        return Asking(self._resolver, time.monotonic() + within.total_seconds())


@dataclass(slots=True)
class Asking:
    """The questions of one mail. Each is asked once, also if it was not answered."""

    resolver: dns.resolver.Resolver
    until: float
    asked: dict[tuple[str, str], Found | Unanswered] = field(default_factory=dict)

    def __call__(self, name: str, kind: str) -> Found:
        key = (name.rstrip(".").lower(), kind)
        if key not in self.asked:
            self.asked[key] = self._ask(*key)
        found = self.asked[key]
        if isinstance(found, Unanswered):
            raise found
        return found

    def _ask(self, name: str, kind: str) -> Found | Unanswered:
        left = self.until - time.monotonic()
        if left <= 0:
            return Unanswered("there was no time left to ask")
        try:
            asked = dns.name.from_text(f"{name}.")
        except (dns.exception.DNSException, UnicodeError):
            return Found((), exists=False)  # no name at all
        try:
            answer = self.resolver.resolve(asked, kind, raise_on_no_answer=False, lifetime=min(_ONE, left), search=False)
        except dns.resolver.NXDOMAIN:
            return Found((), exists=False)
        except (dns.exception.DNSException, OSError) as problem:
            return Unanswered(f"{name}: {problem or type(problem).__name__}")
        return Found(tuple(answer.rrset or ()))


def texts(ask: Ask, name: str) -> list[bytes] | None:
    """TXT records, the parts of each joined; None if there is no such name. Raises Unanswered."""
    found = ask(name, "TXT")
    if not found.exists:
        return None
    return [b"".join(each.strings) for each in found.records if isinstance(each, TXTBase)]
