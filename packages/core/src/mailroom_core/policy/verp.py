"""VERP: the envelope sender of each delivery bears its id, so that whatever comes back there names the delivery.

`bounce+06xqfhxnc2400-k3n8w2qp@example.com`: the bounce address, the id, and a mac over id and domain, without which everybody could
declare everybody's mail for bounced. Lower-case letters and digits only, because servers on the way change the case.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable

from mailroom_core.policy.addresses import normalize

Mac = Callable[[bytes], bytes]
"""A keyed hash with a secret key, such as HMAC-SHA-256; at least 5 bytes."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_ADDRESS = re.compile(r"([^@+]+)\+([0-9a-z]{1,20})-([0-9a-z]{8})@([^@]+)")


def make(bounce_address: str, name: str, mac: Mac) -> str:
    """The envelope sender for the delivery `name` (at most 20 lower-case letters and digits, such as `model.show_id` gives)."""
    local, _, domain = normalize(bounce_address).rpartition("@")
    if not re.fullmatch(r"[0-9a-z]{1,20}", name):
        raise ValueError(f"{name!r} can't be a part of an address: use up to 20 lower-case letters and digits")
    return f"{local}+{name}-{_mac(mac, name, domain)}@{domain}"


def read(address: str, bounce_addresses: Iterable[str], mac: Mac) -> str:
    """The name in an address that `make` has made of one of these bounce addresses; empty if it is none, or forged."""
    match = _ADDRESS.fullmatch(address.strip().lower())
    if match is None or f"{match[1]}@{match[4]}" not in {normalize(each) for each in bounce_addresses}:
        return ""
    name = match[2]
    return name if hmac.compare_digest(_mac(mac, name, match[4]), match[3]) else ""


def _mac(mac: Mac, name: str, domain: str) -> str:
    """40 bits, 8 characters."""
    number = int.from_bytes(mac(f"verp\0{name}\0{domain}".encode())[:5], "big")
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(35, -1, -5))
