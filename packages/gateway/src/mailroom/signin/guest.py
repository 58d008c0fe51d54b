"""Who asks, before we know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A browser."""

    visit: str = field(repr=False)
    """A random id in its cookie; what happens before somebody is signed in is bound to it."""
    address: str
    agent: str

    @property
    def network(self) -> str:
        """What attempts are counted by: an address, or the /64 that one IPv6 customer has."""
        try:
            address = ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, IPv6Address) and not address.ipv4_mapped:
            return f"{IPv6Address(int(address) >> 64 << 64)}/64"
        return str(getattr(address, "ipv4_mapped", None) or address)
