"""SRS: the envelope sender of a mail that is forwarded, so that SPF passes and a bounce finds its way back.

`mary@shop.example`, forwarded by example.com, becomes `SRS0=h7k2=5d=shop.example=mary@example.com`: a mac, the day, the domain, the
local part. Who forwards that again makes it `SRS1=mac=example.com==h7k2=5d=shop.example=mary@other.example`, so that the bounce takes
two steps back, however often it was forwarded. The scheme is the one of libsrs2 and postsrsd, as S. Wong described it in "The Sender
Rewriting Scheme" (2004); nobody but who made an address has to be able to read it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from mailroom_core.policy.addresses import domain_of, is_deliverable

Mac = Callable[[bytes], bytes]
"""A keyed hash with a secret key, such as HMAC-SHA-256; at least 3 bytes."""

LIFETIME = timedelta(days=21)
"""For how long a bounce may come back; a mail lives five days, and its bounce may take as long again."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, without case, because servers on the way change it
_DAYS = 1024  # two digits
_SRS0 = re.compile(r"SRS0[=+-]([^=]+)=([0-9a-z]{2})=([^=]+)=(.+)", re.IGNORECASE)
_SRS1 = re.compile(r"SRS1[=+-]([^=]+)=([^=]+)=(.+)", re.IGNORECASE)


def rewrite(sender: str | None, domain: str, our_domains: Iterable[str], mac: Mac, now: datetime) -> str | None:
    """The envelope sender for a mail from `sender` that we forward as `domain`. The null sender stays, and so do our own.

    Raises ValueError if it has no room in an address: then a bounce can only come to us.
    """
    if sender is None or domain_of(sender) in {each.lower() for each in our_domains}:
        return sender
    local, _, origin = sender.rpartition("@")
    if match := _SRS1.fullmatch(local):
        local = _srs1(match[2], match[3], mac)
    elif _SRS0.fullmatch(local):
        local = _srs1(origin, local[4:], mac)
    else:
        day = _day(now)
        local = f"SRS0={_mac(mac, 'srs0', day, origin, local)}={day}={origin}={local}"
    address = f"{local}@{domain}"
    if '"' in local or not is_deliverable(address):
        raise ValueError(f"{sender!r} can't be a part of another address: it is too long, or quoted; use a bounce address of ours")
    return address


def read(address: str, mac: Mac, now: datetime) -> str:
    """To whom a bounce to an address of `rewrite` goes on; empty if it is none of ours, forged, or too old."""
    local = address.rpartition("@")[0]
    if match := _SRS0.fullmatch(local):
        digest, day, origin, name = match.groups()
        wanted = _mac(mac, "srs0", day.lower(), origin, name)
        return f"{name}@{origin}" if hmac.compare_digest(digest.lower().encode(), wanted.encode()) and _is_fresh(day, now) else ""
    if match := _SRS1.fullmatch(local):
        digest, origin, rest = match.groups()
        wanted = _mac(mac, "srs1", origin, rest)
        return f"SRS0{rest}@{origin}" if hmac.compare_digest(digest.lower().encode(), wanted.encode()) else ""
    return ""


def _srs1(origin: str, rest: str, mac: Mac) -> str:
    """`rest` is what follows `SRS0`, its separator included: another one's business."""
    return f"SRS1={_mac(mac, 'srs1', origin, rest)}={origin}={rest}"


def _mac(mac: Mac, *parts: str) -> str:
    """20 bits, 4 characters, as everybody has them: the address shall stay short. Case does not count."""
    number = int.from_bytes(mac("\0".join(parts).lower().encode("utf-8"))[:3], "big") >> 4
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(15, -1, -5))


def _day(now: datetime) -> str:
    number = int(now.timestamp() // 86400) % _DAYS
    return _ALPHABET[number >> 5] + _ALPHABET[number & 31]


def _is_fresh(day: str, now: datetime) -> bool:
    high, low = (_ALPHABET.find(digit) for digit in day.lower())
    if min(high, low) < 0:
        return False
    age = (int(now.timestamp() // 86400) - (high * 32 + low)) % _DAYS
    return age <= LIFETIME.days
