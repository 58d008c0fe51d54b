"""As whom an application may send."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from mailroom_core.policy.addresses import domain_of, normalize


def allowed(senders: Iterable[str], address: str) -> bool:
    """Whether `address` is among the allowed senders: full addresses, domains (without their sub-domains), or `*` for everybody."""
    senders = tuple(senders)
    if "*" in senders:
        return True
    addresses, domains = _sorted(senders)
    return domain_of(address) in domains or normalize(address) in addresses


@lru_cache(maxsize=1024)
def _sorted(senders: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Full addresses and domains, as they are compared. An empty domain allows nobody: it is that of an address without one."""
    addresses = frozenset(normalize(sender) for sender in senders if "@" in sender.lstrip("@"))
    domains = frozenset(sender.strip().lstrip("@").lower() for sender in senders if "@" not in sender.lstrip("@"))
    return addresses, domains - {""}
