"""A received mail, taken apart: who vouches for it, by which ways it came, and what it is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from mailroom.doctor.spam import Opinion
from mailroom_core.errors import MimeError
from mailroom_core.inbound import Authentication
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import WITHOUT_ID, authentication
from mailroom_core.mime.index import MAX_HEAD, index
from mailroom_core.mime.source import ReadAt
from mailroom_core.policy import dmarc
from mailroom_core.policy.addresses import domain_of
from mailroom_core.policy.dmarc import Dmarc

MOST_HOPS = 50
MOST_SERVERS = 10
LONGEST = 500
_WORD = re.compile(r"\b(from|by|with)\s+([^\s;()]+)", re.IGNORECASE)
_COMMENT = re.compile(r"\([^()]*\)")
_SECURE = re.compile(r"\b(?:TLS|SSL|cipher|MAPI|HTTPS)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM signature, verified now; `result` as in RFC 8601 2.7.1."""

    result: str
    domain: str
    selector: str
    why: str


@dataclass(frozen=True, slots=True)
class Seal:
    """The ARC chain (RFC 8617): what forwarders vouch for."""

    result: str
    sealer: str
    why: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One server that has handed the mail on, the first one first."""

    came_from: str
    by: str
    protocol: str
    at: datetime | None
    delay: timedelta | None
    """Since the hop before; None where a time is missing."""
    encrypted: bool | None
    """None: it does not say."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What only a name server can tell; made by `wiring`."""

    signatures: tuple[Signature, ...]
    seal: Seal
    problem: str = ""
    """Why nothing was verified."""


class Unanswered(Exception):
    """The name server did not tell."""


Texts = Callable[[str], Sequence[str] | None]
"""TXT records of a name; None if there is no such name. Raises Unanswered."""


@dataclass(frozen=True, slots=True)
class Mail:
    """All that is known about one mail."""

    subject: str
    author: str
    """The header From."""
    domains: tuple[str, ...]
    """Those of its addresses."""
    message_id: str
    date: datetime | None
    bulk: bool
    unsubscribe: str
    one_click: bool
    content: frozenset[str]
    """Types of its text parts."""
    size: int
    servers: tuple[Authentication, ...]
    """What servers on the way have found out, the last one first."""
    spf: str
    """As the last server that looked says; empty: none did."""
    spf_domain: str
    spf_by: str
    verified: Verified
    dmarc: Dmarc | None
    """Out of the signatures as they are now, and SPF as it was found; None: the name server did not tell."""
    hops: tuple[Hop, ...]
    spam: Opinion | str


def take_apart(source: ReadAt, verified: Verified, texts: Texts, spam: Opinion | str) -> Mail:
    """Blocking, where `texts` is. Raises MimeError for what is no mail."""
    fields = Fields(source.read_at(0, MAX_HEAD))
    root = index(source)
    authors = [address for _, address in fields.addresses("from")][:10]
    domains = tuple(dict.fromkeys(domain_of(each).lower() for each in authors if "@" in each))
    if not domains:
        raise MimeError("it has no From with an address; is it a mail as it was received, with its header?")
    servers = _servers(fields)
    by = next((each for each in servers if any(one.method == "spf" for one in each.results)), None)
    said = next((one for one in by.results if one.method == "spf"), None) if by else None
    spf_domain = _domain(said.properties) if said else ""
    return Mail(
        subject=(fields.get("Subject") or "")[:LONGEST],
        author=", ".join(authors)[:LONGEST],
        domains=domains,
        message_id=(fields.get("Message-ID") or "").strip()[:LONGEST],
        date=_moment(fields.get("Date") or ""),
        bulk="List-Id" in fields or (fields.get("Precedence") or "").strip().lower() in ("bulk", "list"),
        unsubscribe=(fields.get("List-Unsubscribe") or "").strip()[:LONGEST],
        one_click="one-click" in (fields.get("List-Unsubscribe-Post") or "").lower(),
        content=frozenset(part.content_type for part in root.walk() if part.content_type.startswith("text/")),
        size=source.size,
        servers=servers,
        spf=said.result if said else "",
        spf_domain=spf_domain,
        spf_by=by.server if by else "",
        verified=verified,
        dmarc=_judged(domains, verified, spf_domain if said and said.result == "pass" else "", texts),
        hops=_hops(fields),
        spam=spam,
    )


def _servers(fields: Fields) -> tuple[Authentication, ...]:
    names: dict[str, None] = {}
    for value in fields.all("Authentication-Results")[:MOST_SERVERS]:
        first = _COMMENT.sub(" ", value[:LONGEST]).partition(";")[0]
        names[WITHOUT_ID if "=" in first else next(iter(first.split()), WITHOUT_ID)] = None
    found = (authentication(fields, each) for each in names)
    return tuple(each for each in found if each is not None)


def _domain(properties: dict[str, str]) -> str:
    value = properties.get("smtp.mailfrom") or properties.get("smtp.helo") or ""
    return value.rpartition("@")[2].strip("<>").lower()


def _judged(domains: Sequence[str], verified: Verified, spf: str, texts: Texts) -> Dmarc | None:
    look = dmarc.evaluate(domains, dkim=[each.domain for each in verified.signatures if each.result == "pass"], spf=spf)
    try:
        name = next(look)
        while True:
            name = look.send(texts(name))
    except StopIteration as end:
        found: Dmarc = end.value
        return found
    except Unanswered:
        return None


def _hops(fields: Fields) -> tuple[Hop, ...]:
    made: list[Hop] = []
    before: datetime | None = None
    for value in reversed(fields.all("Received")[:MOST_HOPS]):
        text, _, when = value[: 4 * LONGEST].rpartition(";")
        text = text or value[: 4 * LONGEST]
        words = {name.lower(): word for name, word in reversed(_WORD.findall(_COMMENT.sub(" ", text)))}
        at = _moment(when)
        delay = at - before if at is not None and before is not None else None
        protocol = words.get("with", "")
        made.append(Hop(words.get("from", ""), words.get("by", ""), protocol, at, delay, _encrypted(protocol, text)))
        before = at or before
    return tuple(made)


def _encrypted(protocol: str, text: str) -> bool | None:
    """RFC 3848: an S behind SMTP; else by the words of the field."""
    if _SECURE.search(text) or protocol.upper() in ("ESMTPS", "ESMTPSA", "LMTPS", "UTF8SMTPS", "UTF8SMTPSA"):
        return True
    return False if protocol.upper() in ("SMTP", "ESMTP", "ESMTPA") else None


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(_COMMENT.sub(" ", text[:200]).strip())
        return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
