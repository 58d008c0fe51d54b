"""By which outgoing server a mail leaves, and as whom: the header From decides, as in Odoo.

The order is that of Odoo 19 (`_find_mail_server` in odoo/addons/base/models/ir_mail_server.py); a lower priority number goes first,
then the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mailroom_core.policy.addresses import domain_of, normalize


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An outgoing server as far as the choice needs to know it. An empty filter matches every sender."""

    name: str
    priority: int = 10
    from_filter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    server: str
    from_address: str
    """The header From that the mail leaves with."""
    rewritten: bool
    """Whether that is another one than the sender's; then the sender's name stays and the old address becomes Reply-To."""
    why: str
    """In words for a person, to follow "it"."""


def choose(candidates: Iterable[Candidate], *, header_from: str, notification: str = "", always: bool = False) -> Choice:
    """The server for a mail from `header_from`. `notification` is the notification address of its alias domain, if there is one;
    with `always`, every mail uses it. Raises ValueError without a candidate.
    """
    servers = sorted(candidates, key=lambda server: (server.priority, server.name))
    if not servers:
        raise ValueError("there is no outgoing server to choose from")
    if not always and (choice := _by_filter(servers, header_from, header_from, "its sender")):
        return choice
    if notification and (choice := _by_filter(servers, notification, header_from, "the notification address")):
        return choice
    address = notification or header_from
    for server in servers:
        if not server.from_filter:
            return _choice(server, address, header_from, f"leaves through {server.name!r}, which serves every sender")
    why = f"leaves through {servers[0].name!r}, because no server's FROM filter names {header_from} and none is without a filter"
    return _choice(servers[0], address, header_from, why)


def _by_filter(servers: Sequence[Candidate], address: str, header_from: str, whose: str) -> Choice | None:
    """A filter with the full address on a later server goes before one with the domain on an earlier one."""
    for wanted in (normalize(address), domain_of(address)):
        for server in servers:
            if wanted and wanted in _parts(server.from_filter):
                why = f"leaves through {server.name!r}, whose FROM filter names {wanted} ({whose})"
                return _choice(server, address, header_from, why)
    return None


@lru_cache(maxsize=1024)
def _parts(from_filter: tuple[str, ...]) -> frozenset[str]:
    """Full addresses normalised, domains in lower case; a domain may be written with a leading `@`."""
    return frozenset(normalize(part) if "@" in part.lstrip("@ ") else part.strip().lstrip("@").lower() for part in from_filter)


def _choice(server: Candidate, address: str, header_from: str, why: str) -> Choice:
    rewritten = normalize(address) != normalize(header_from)
    if rewritten:
        why += f", as {address}"
    return Choice(server=server.name, from_address=address, rewritten=rewritten, why=why)
