"""Hosts that people enter: which of them nobody can mean, and where clear text will do."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import inet_aton

from mailroom_core.errors import ConfigError

_METADATA = [
    ip_network("168.63.129.16/32"),  # Azure: learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    ip_network("100.100.100.200/32"),  # Alibaba Cloud
    ip_network("192.0.0.192/32"),  # Oracle Cloud
    ip_network("fd00:ec2::254/128"),  # Amazon, by IPv6
    ip_network("fd20:ce::254/128"),  # Google, by IPv6
]
"""What answers every program of a rented machine with that machine's own secrets, where it is not link-local."""
DNS_PORT = 53
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, also in the forms that the C library reads (127.1, 0x7f000001); None for a name."""
    text = host.strip("[]").rstrip(".").partition("%")[0]
    try:
        known: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        try:
            known = IPv4Address(inet_aton(text))
        except (OSError, ValueError):
            return None
    return (known.ipv4_mapped or known) if isinstance(known, IPv6Address) else known


def is_nobodys(host: str) -> bool:
    """No mail server, no Odoo and no provider is there: link-local, multicast, unspecified, a cloud's metadata."""
    known = address_of(host)
    if known is None:
        return host.rstrip(".").lower() in _METADATA_NAMES
    return known.is_link_local or known.is_multicast or known.is_unspecified or any(known in each for each in _METADATA)


def is_here(host: str) -> bool:
    """Loopback: what is sent in clear text stays within the machine."""
    known = address_of(host)
    return known.is_loopback if known else host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost")


def is_near(host: str) -> bool:
    """Within the machine, a container network or the house."""
    known = address_of(host)
    if is_nobodys(host):
        return False
    return is_here(host) or (known.is_private if known else "." not in host)


def name_server(text: str) -> tuple[str, int]:
    """Address and port of a name server: `10.0.0.1`, `10.0.0.1:5353`, `[2001:db8::1]:53`. Raises ConfigError."""
    host, port = text.strip(), ""
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    try:
        return str(ip_address(host)), int(port or DNS_PORT)
    except ValueError:
        raise ConfigError(f"{text!r} is no address of a name server; write for example 10.0.0.1 or 10.0.0.1:5353") from None
