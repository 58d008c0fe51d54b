"""By which outgoing server a mail leaves, and as whom: the header From decides, as in Odoo.

The order is that of Odoo 19 (`_find_mail_server` in odoo/addons/base/models/ir_mail_server.py); a lower priority number goes first,
then the name.
"""

from __future__ import annotations

from collections.abc import Iterable
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


@dataclass(frozen=True, slots=True)
class Step:
    """One rule of the order, and whether it has decided."""

    rule: str
    """In words for a person: what was looked for."""
    server: str
    """Which server it has found; empty: none, so that the next rule was asked."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A choice, with the rules that were asked, the deciding one last."""

    choice: Choice
    steps: tuple[Step, ...]


def choose(candidates: Iterable[Candidate], *, header_from: str, notification: str = "", always: bool = False) -> Choice:
    """The server for a mail from `header_from`. `notification` is the notification address of its alias domain, if there is one;
    with `always`, every mail uses it. Raises ValueError without a candidate.
    """
    return explain(candidates, header_from=header_from, notification=notification, always=always).choice


def explain(candidates: Iterable[Candidate], *, header_from: str, notification: str = "", always: bool = False) -> Explanation:
    """The same choice, rule by rule."""
    servers = sorted(candidates, key=lambda server: (server.priority, server.name))
    if not servers:
        raise ValueError("there is no outgoing server to choose from")
    steps: list[Step] = []
    addresses = [] if always else [(header_from, "its sender")]
    for address, whose in [*addresses, *([(notification, "the notification address")] if notification else [])]:
        # A filter with the full address on a later server goes before one with the domain on an earlier one.
        for wanted in (normalize(address), domain_of(address)):
            found = next((server for server in servers if wanted and wanted in _parts(server.from_filter)), None)
            steps.append(Step(f"a FROM filter that names {wanted or 'nothing'} ({whose})", found.name if found else ""))
            if found:
                why = f"leaves through {found.name!r}, whose FROM filter names {wanted} ({whose})"
                return Explanation(_choice(found, address, header_from, why), tuple(steps))
    address = notification or header_from
    open_to_all = next((server for server in servers if not server.from_filter), None)
    steps.append(Step("the first server without a FROM filter", open_to_all.name if open_to_all else ""))
    if open_to_all:
        why = f"leaves through {open_to_all.name!r}, which serves every sender"
        return Explanation(_choice(open_to_all, address, header_from, why), tuple(steps))
    steps.append(Step("the first server of all", servers[0].name))
    why = f"leaves through {servers[0].name!r}, because no server's FROM filter names {header_from} and none is without a filter"
    return Explanation(_choice(servers[0], address, header_from, why), tuple(steps))


def for_author(candidates: Iterable[Candidate], author: str) -> Choice | None:
    """A server that takes mail from this author as it is; None if their FROM filters let none of them."""
    own = {normalize(author), domain_of(author)}
    serving = [each for each in candidates if not each.from_filter or own & _parts(each.from_filter)]
    return choose(serving, header_from=author) if serving else None


@lru_cache(maxsize=1024)
def _parts(from_filter: tuple[str, ...]) -> frozenset[str]:
    """Full addresses normalised, domains in lower case; a domain may be written with a leading `@`."""
    return frozenset(normalize(part) if "@" in part.lstrip("@ ") else part.strip().lstrip("@").lower() for part in from_filter)


def _choice(server: Candidate, address: str, header_from: str, why: str) -> Choice:
    rewritten = normalize(address) != normalize(header_from)
    if rewritten:
        why += f", as {address}"
    return Choice(server=server.name, from_address=address, rewritten=rewritten, why=why)
