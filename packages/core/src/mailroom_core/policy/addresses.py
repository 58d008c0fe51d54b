"""Addresses of envelopes and lists: compare them, take them apart, refuse what can't be one. Headers are read in `mime.headers`."""

from __future__ import annotations

import re

from mailroom_core.model import Address

_DOT_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"'
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"  # hosts with an underscore exist, and get mail
_LITERAL = r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+)\]"
_MAILBOX = re.compile(rf"(?P<local>{_DOT_ATOM}|{_QUOTED})@(?:{_LABEL}(?:\.{_LABEL})*|{_LITERAL})")
_NEEDLESS_QUOTES = re.compile(rf'"({_DOT_ATOM})"')


def normalize(address: str) -> Address:
    """The form in which addresses are compared and stored; spellings of one mailbox become equal.

    The domain becomes lower-case, the local part too if it is ASCII (as Odoo does it); quotes that say nothing go. Plus
    addresses stay what they are. Takes anything, `postmaster` too, and never fails.
    """
    local, at, domain = address.strip().rpartition("@")
    if not at:
        local, domain = domain, ""
    quoted = _NEEDLESS_QUOTES.fullmatch(local)
    if quoted:
        local = quoted[1]
    if local.isascii():
        local = local.lower()
    return Address(local + at + domain.lower())


def domain_of(address: str) -> str:
    """The lower-case domain, or "" if the address has none."""
    _, at, domain = address.strip().rpartition("@")
    return domain.lower() if at else ""


def is_deliverable(address: str) -> bool:
    """Whether it could be somebody's address: local@domain by RFC 5321 4.1.2 and 4.5.3.1, letters outside of ASCII allowed (RFC 6531).

    It says nothing of whether the mailbox exists. `postmaster` alone is not deliverable, because no route could be chosen for it.
    """
    try:
        octets = len(address.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    match = _MAILBOX.fullmatch(address)
    return match is not None and octets <= 254 and len(match["local"].encode("utf-8")) <= 64
