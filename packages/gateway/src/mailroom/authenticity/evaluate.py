"""All together: what is found out about the sender of one mail, and the field that says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

import authres
import authres.arc
import authres.dmarc

from mailroom.authenticity import spf
from mailroom.authenticity.bodies import Bodies
from mailroom.authenticity.names import Ask, Unanswered, texts
from mailroom.authenticity.signatures import Chain, Signature, Signed
from mailroom.authenticity.spf import SpfResult
from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import authentication
from mailroom_core.mime.index import MAX_HEAD
from mailroom_core.mime.source import ReadAt
from mailroom_core.policy import dmarc
from mailroom_core.policy.addresses import domain_of
from mailroom_core.policy.dmarc import Dmarc, Look, Wish

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
_NOT_SAID = re.compile(r"[^ !#-'*-\[\]-~]")
"""What can't stand in a comment as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who brought the mail, and the envelope sender (None: the null sender)."""

    client: IPv4Address | IPv6Address
    helo: str
    sender: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    spf: SpfResult | None
    """None: not asked, because the client passes on mail of others."""
    dkim: Sequence[Signature]
    arc: Chain
    dmarc: Dmarc
    trusted: str = ""
    """The sealer that has seen DMARC pass, and that we believe."""

    @property
    def wish(self) -> Wish:
        """What its domain wants done with it."""
        return self.dmarc.wish if self.dmarc.result == "fail" and not self.trusted else Wish.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Blocking."""

    asking: Callable[[timedelta], Ask]
    within: timedelta
    sealers: Collection[str]
    """Domains whose word about mail that they have passed on (ARC) is believed."""

    def __call__(self, source: ReadAt, peer: Peer, *, passed_on: bool = False) -> Results:
        """`passed_on`: the client is one of ours that redirects mail of others, so that its address says nothing about the sender."""
        ask = self.asking(self.within)
        head = source.read_at(0, MAX_HEAD)
        fields = Fields(head)
        authors = _authors(fields)
        _look_ahead(ask, authors)
        try:
            signed = Signed(head, Bodies(source, fields.body_start), ask)
        except MimeError as problem:
            signatures, chain = [Signature("permerror", "", why=str(problem))], Chain("none")
        else:
            signatures, chain = signed.dkim(first=authors), signed.arc()
        found = None if passed_on else spf.check(ask, peer.client, peer.sender, peer.helo)
        judged = _dmarc(ask, authors, found, signatures)
        trusted = self._trusted(chain, judged)
        return Results(spf=found, dkim=signatures, arc=chain, dmarc=judged, trusted=trusted)

    def _trusted(self, chain: Chain, judged: Dmarc) -> str:
        """RFC 8617 7.2: a forwarder breaks SPF, and a list often DKIM; what they had found is sealed."""
        if chain.result != "pass" or judged.result != "fail" or chain.sealer.lower() not in self.sealers:
            return ""
        return chain.sealer if _has_passed(chain.said, judged.domain) else ""


def _has_passed(said: str, domain: str) -> bool:
    """Whether sealed results say that DMARC has passed for this domain."""
    server = next(iter(said.partition(";")[0].split()), "")
    field = b"Authentication-Results: " + said.encode("ascii", "replace") + b"\r\n"
    found = authentication(Fields(field), server) if server else None
    passed = [each for each in found.results if each.method == "dmarc" and each.result == "pass"] if found else []
    return any(each.properties.get("header.from", "").lower() == domain for each in passed)


def undecided(why: str) -> Results:
    """Where time was over."""
    nothing = Dmarc(result="temperror", domain="", why=why)
    return Results(spf=None, dkim=(), arc=Chain("none"), dmarc=nothing)


def _authors(fields: Fields) -> list[str]:
    return list(dict.fromkeys(domain_of(address) for _, address in fields.addresses("from")))


def _look_ahead(ask: Ask, authors: Sequence[str]) -> None:
    """What the author's domain wants is asked first: a sender who has a slow name server must not use up the time for it."""
    for each in authors[: dmarc.MOST_AUTHORS]:
        with suppress(Unanswered):
            _driven(dmarc.find(each), ask)


def _dmarc(ask: Ask, authors: Sequence[str], found: SpfResult | None, signatures: Sequence[Signature]) -> Dmarc:
    def judged(*good: str) -> Dmarc:
        signed = [each.domain for each in signatures if each.result in good]
        sender = found.domain if found is not None and found.result in good else ""
        return _driven(dmarc.evaluate(authors, dkim=signed, spf=sender), ask)

    try:
        known = judged("pass")
        if known.result == "fail" and judged("pass", "temperror").result == "pass":
            return Dmarc(result="temperror", domain=known.domain, why="SPF or DKIM could not be looked up")
    except Unanswered as problem:
        return Dmarc(result="temperror", domain=authors[0], why=str(problem))
    return known


def _driven(look: Look[T], ask: Ask) -> T:
    try:
        name = next(look)
        while True:
            found = texts(ask, name)
            name = look.send(None if found is None else [each.decode("ascii", "replace") for each in found])
    except StopIteration as end:
        result: T = end.value
        return result


def header(results: Results, authserv_id: str) -> bytes:
    """The Authentication-Results field."""
    said: list[authres.AuthenticationResult] = []
    if results.spf is not None:
        where = {"smtp_helo" if results.spf.helo else "smtp_mailfrom": _name(results.spf.domain)}
        said.append(authres.SPFAuthenticationResult(result=results.spf.result, result_comment=_comment(results.spf.why), **where))
    for each in results.dkim:
        where = {"header_d": _name(each.domain), "header_s": _name(each.selector)}
        said.append(authres.DKIMAuthenticationResult(result=each.result, result_comment=_comment(each.why), **where))
    if not results.dkim:
        said.append(authres.DKIMAuthenticationResult(result="none"))
    if results.arc.result != "none":
        sealer = _name(results.arc.sealer)
        said.append(
            authres.arc.ARCAuthenticationResult(result=results.arc.result, result_comment=_comment(results.arc.why), header_as_d=sealer)
        )
    judged = results.dmarc
    wish = f"p={judged.wish.value}" if judged.result in ("pass", "fail") else judged.why
    if results.trusted:
        wish = f"{wish}, but {results.trusted} has seen it pass"
    domain = _name(judged.domain)
    said.append(authres.dmarc.DMARCAuthenticationResult(result=judged.result, result_comment=_comment(wish), header_from=domain))
    shown = ";\r\n\t".join((authserv_id, *map(str, said)))
    return f"Authentication-Results: {shown}\r\n".encode("ascii")


def _name(domain: str) -> str | None:
    """Nothing but a name: it comes from the mail."""
    return domain if _NAME.fullmatch(domain) else None


def _comment(why: str) -> str | None:
    return _NOT_SAID.sub(" ", why)[:200].strip() or None
