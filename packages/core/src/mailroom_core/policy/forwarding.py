"""As whom a mail is forwarded: the author stays in From only where receivers will still believe it.

What we forward comes from a server that the author's domain does not know, so SPF never speaks for the author any more. DMARC
(RFC 7489) then holds only by a DKIM signature of the author's domain, and that only as long as the bytes are those that were signed.
"""

from __future__ import annotations

from collections.abc import Collection

from mailroom_core.inbound import Head, aligned
from mailroom_core.policy.addresses import domain_of


def why_rewritten(mail: Head, signed_by: Collection[str], *, untouched: bool, ours: Collection[str]) -> str:
    """Why From has to name us and not the author, to follow "because"; empty if the author can stay.

    `signed_by` are the domains whose DKIM signatures the mail bears, `untouched` that its bytes are those that its sender signed,
    `ours` our own domains. What our own servers would sign for us must not be a stranger's word: a mail that only says to be of ours
    is rewritten as well.
    """
    if mail.defect or len(mail.from_) != 1:
        return "it has no single author that all readers agree on"
    domain = domain_of(mail.sender)
    if domain in ours:
        proven = mail.authentication is not None and mail.authentication.proves(mail.sender)
        return "" if proven else f"it says to be of {domain}, and nobody has proven that"
    if not untouched:
        return "its mailbox has made its bytes anew, so that no signature of its author holds"
    if not any(aligned(each.lower(), domain) for each in signed_by):
        return f"{domain} has not signed it (DKIM)"
    if mail.authentication is not None and not _signature_passed(mail, domain):
        return f"{mail.authentication.server or 'the mailbox'} did not believe the signature of {domain}"
    return ""


def _signature_passed(mail: Head, domain: str) -> bool:
    assert mail.authentication is not None
    results = [each for each in mail.authentication.results if each.method == "dkim" and each.result == "pass"]
    found = [each.properties.get(name, "") for each in results for name in ("header.d", "header.i")]
    return any(aligned(each.rpartition("@")[2].lower(), domain) for each in found)
