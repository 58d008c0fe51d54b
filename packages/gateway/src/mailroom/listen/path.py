"""The path in MAIL FROM and RCPT TO (RFC 5321 4.1.2): strict where mail could be smuggled or misrouted, kind to old devices elsewhere."""

from __future__ import annotations

import re

from mailroom_core.errors import Refused

NULL = "<>"
"""The null reverse-path, as aiosmtpd calls it: an empty string would be no address at all."""

_LOCAL = r"""[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+|"(?:[ !#-\[\]-~]|\\[ -~])*\""""
_DOMAIN = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
# Consecutive dots in the local part are against the RFC but in use, as are underscores in host names.
_ADDRESS = re.compile(rf"({_LOCAL})@({_DOMAIN})\Z")
_USUAL = re.compile(rf"<(({_LOCAL})@({_DOMAIN}))>(?: +([ -~]*))?\Z")
_UNUSUAL = re.compile(r"(?:<([^<>]*)>|([^ <>]+))(?: +(.*))?\Z")


def read_path(text: str) -> tuple[str, str]:
    """The address (or `NULL`) and the parameters after it. Raises Refused with a 501 or 553."""
    usual = _USUAL.match(text)
    if usual is not None and len(usual[2]) <= 64 and len(usual[3]) <= 253:  # RFC 5321 4.5.3.1; a name in DNS has 253 at most
        return usual[1], usual[4] or ""
    if not text.isascii():
        raise Refused(553, "5.6.7", "Addresses with characters outside ASCII are not supported here: SMTPUTF8 is not offered")
    if not text.isprintable():
        raise Refused(501, "5.1.7", "Control characters in an address: remove them")
    found = _UNUSUAL.match(text)
    if found is None:
        raise Refused(501, "5.1.7", "This is no address: write <name@example.com>")
    address, parameters = found[1] or found[2], found[3] or ""  # devices exist that leave the brackets out
    if not address:
        return NULL, parameters
    _check(address)
    return address, parameters


def _check(address: str) -> None:
    local, _, domain = address.rpartition("@")
    if len(local) > 64 or len(domain) > 253:
        raise Refused(553, "5.1.3", "This address is too long: 64 characters before the @ and 253 after it are allowed")
    if address.startswith("@"):
        raise Refused(553, "5.1.3", "Source routes are not supported: write <name@example.com>")
    if domain.startswith("["):
        raise Refused(553, "5.1.3", "Address literals are not supported: write a domain name after the @")
    if not _ADDRESS.match(address):
        raise Refused(553, "5.1.3", "This is no address: write <name@example.com>")
