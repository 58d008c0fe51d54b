"""SPF with pyspf, asking our name servers."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import spf

from mailroom.authenticity.names import Ask, Unanswered
from mailroom_core.policy.addresses import domain_of

_MOST_VOID = 2
"""RFC 7208 4.6.4."""


@dataclass(frozen=True, slots=True)
class SpfResult:
    """`result` as in RFC 7208 2.6."""

    result: str
    domain: str
    """Of MAIL FROM, or with a null sender the name of HELO."""
    helo: bool
    """It is that."""
    why: str = ""


def check(ask: Ask, client: IPv4Address | IPv6Address, sender: str | None, helo: str) -> SpfResult:
    domain = domain_of(sender) if sender else helo.lower()
    try:
        result, _, why = _Query(ask, str(client), sender or "", helo).check()
    except Unanswered as problem:
        result, why = "temperror", str(problem)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, RecursionError) as problem:
        result, why = "permerror", f"the record can't be read ({type(problem).__name__})"  # a record of strangers
    return SpfResult(result, domain, helo=not sender, why="" if result in ("pass", "none") else why)


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """Its own `dns` asks the machine's name servers, and one question at a time."""

    def __init__(self, ask: Ask, client: str, sender: str, helo: str) -> None:
        super().__init__(i=client, s=sender, h=helo, timeout=0)
        self._ask = ask

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        found = self._ask(str(name), qtype).records
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > _MOST_VOID:
                raise spf.PermError(f"Void lookup limit of {_MOST_VOID} exceeded")
        return [_value(each, qtype) for each in found]


def _value(record: Any, qtype: str) -> Any:
    """As pyspf wants it."""
    match qtype:
        case "A" | "AAAA":
            return record.address
        case "MX":
            return record.preference, record.exchange.to_text(omit_final_dot=True)
        case "PTR":
            return record.target.to_text(omit_final_dot=True)
    return record.strings
