"""As whom an application may send."""

from __future__ import annotations

from collections.abc import Iterable

from mailroom_core.policy.addresses import domain_of, normalize


def allowed(senders: Iterable[str], address: str) -> bool:
    """Whether `address` is among the allowed senders: full addresses, domains (without their sub-domains), or `*` for everybody."""
    wanted, domain = normalize(address), domain_of(address)
    for sender in senders:
        if sender == "*":
            return True
        if "@" in sender.lstrip("@"):
            if normalize(sender) == wanted:
                return True
        elif domain and sender.strip().lstrip("@").lower() == domain:
            return True
    return False
