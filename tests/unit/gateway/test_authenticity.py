"""SPF, DKIM, ARC and DMARC over mails that are signed here and made-up names; the real name server is asked in tests/walk/test_mx.py."""

from __future__ import annotations

import base64
import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import dkim
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dkim.canonicalization import Relaxed, Simple

from mailroom.authenticity.bodies import Bodies
from mailroom.authenticity.evaluate import Evaluator, Peer, Results, header
from mailroom.authenticity.names import Found, Unanswered
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import authentication
from mailroom_core.mime.source import InMemory
from mailroom_core.policy.dmarc import Wish

CLIENT = ip_address("192.0.2.7")
MAIL = (
    b"From: Anna <anna@shop.example>\r\nTo: sales@desk.example\r\nSubject: An  order\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@shop.example>\r\n\r\nTwo  chairs, \t please. \r\n\r\n\r\n"
)


@dataclass
class Names:
    """`name TYPE` -> records as in a zone file; None: not answered."""

    records: dict[str, Sequence[str] | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, name: str, kind: str) -> Found:
        key = f"{name.rstrip('.').lower()} {kind}"
        self.asked.append(key)
        said = self.records.get(key, ())
        if said is None:
            raise Unanswered(f"{name}: silence")
        exists = any(known.partition(" ")[0] == name.rstrip(".").lower() for known in self.records)
        kinds = dns.rdatatype.from_text(kind)
        return Found([dns.rdata.from_text(dns.rdataclass.IN, kinds, each) for each in said], exists=exists or bool(said))


class Key:
    def __init__(self) -> None:
        made = rsa.generate_private_key(65537, 2048)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        self.pem = made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        public = made.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        text = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
        self.record = " ".join(f'"{text[start : start + 200]}"' for start in range(0, len(text), 200))


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


@pytest.fixture
def names(key: Key) -> Names:
    return Names(
        {
            "shop.example TXT": ['"v=spf1 ip4:192.0.2.0/29 -all"'],
            "_dmarc.shop.example TXT": ['"v=DMARC1; p=reject"'],
            "s1._domainkey.shop.example TXT": [key.record],
            "s1._domainkey.list.example TXT": [key.record],
        }
    )


def signed(key: Key, mail: bytes = MAIL, *, domain: bytes = b"shop.example", **options: Any) -> bytes:
    made: bytes = dkim.sign(mail, b"s1", domain, key.pem, **{"canonicalize": (b"relaxed", b"relaxed"), **options})
    return made + mail


def evaluate(names: Names, mail: bytes, *, sender: str | None = "anna@shop.example", **options: Any) -> Results:
    passed_on = options.pop("passed_on", False)
    client = options.pop("client", CLIENT)
    evaluator = Evaluator(asking=lambda within: names, within=timedelta(seconds=5), sealers=options.pop("sealers", ()))
    return evaluator(InMemory(mail), Peer(client=client, helo="mx.shop.example", sender=sender), passed_on=passed_on)


def told(results: Results) -> tuple[str, list[str], str]:
    return (results.spf.result if results.spf else "", [each.result for each in results.dkim], results.dmarc.result)


def test_an_honest_mail_passes_everything_and_the_field_says_so(names: Names, key: Key) -> None:
    results = evaluate(names, signed(key))
    assert told(results) == ("pass", ["pass"], "pass")
    field_of = header(results, "mx.desk.example")
    assert field_of.startswith(b"Authentication-Results: mx.desk.example;\r\n\tspf=pass smtp.mailfrom=shop.example;\r\n\tdkim=pass ")
    found = authentication(Fields(field_of), "mx.desk.example")
    assert found is not None
    assert found.proves("anna@shop.example")
    assert not found.proves("anna@else.example")


@pytest.mark.parametrize("canonicalize", [(a, b) for a in (b"simple", b"relaxed") for b in (b"simple", b"relaxed")])
def test_every_canonicalization_of_the_body_is_that_of_the_library(names: Names, key: Key, canonicalize: tuple[bytes, bytes]) -> None:
    for body in (b"", b"\r\n", b"\r\n\r\n", b"x", b" \t\r\n", b"a b\r\n", b"a  \t b \r\n \r\n\r\n", b"." * 300_000 + b" \r\n" * 9):
        mail = MAIL.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
        assert told(evaluate(names, signed(key, mail, canonicalize=canonicalize)))[1] == ["pass"], body[:40]


def test_the_hash_of_a_body_in_pieces_is_that_of_the_whole() -> None:
    chance = random.Random(7)
    for _ in range(300):
        words = chance.choices([b"a", b"  ", b"\t", b"\r\n", b"\r\n\r\n", b" \r\n", b"\r\n" * 9000], k=chance.randrange(12))
        body = b"".join(words)
        for form, library in ((b"simple", Simple), (b"relaxed", Relaxed)):
            whole = library.canonicalize_body(body)
            digest, size = Bodies(InMemory(body), 0).sha256(form)
            if body.endswith(b"\r\n") or not body:  # as every mail that came by SMTP
                assert (digest, size) == (hashlib.sha256(whole).digest(), len(whole)), (form, body[:80])


def test_a_mail_that_was_changed_on_its_way_fails(names: Names, key: Key) -> None:
    for old, new in ((b"Two", b"Ten"), (b"Subject: An  order", b"Subject: Another order"), (b"anna@shop", b"emma@shop")):
        results = evaluate(names, signed(key).replace(old, new), client=ip_address("198.51.100.1"))
        assert told(results) == ("fail", ["fail"], "fail")
        assert results.wish is Wish.REJECT


def test_a_second_from_that_was_put_in_front_fails(names: Names, key: Key) -> None:
    results = evaluate(names, b"From: boss@shop.example\r\n" + signed(key), client=ip_address("198.51.100.1"))
    assert told(results)[1:] == (["fail"], "fail")


def test_what_proves_little_proves_nothing(names: Names, key: Key) -> None:
    sha1 = signed(key, signature_algorithm=b"rsa-sha1")
    part = signed(key, length=True) + b"and much more\r\n"
    for mail in (sha1, part):
        assert told(evaluate(names, mail))[1] == ["fail"], mail[:80]
    whole = signed(key, length=True)
    assert told(evaluate(names, whole))[1] == ["pass"]
    unsigned_from = signed(key).replace(b"from : ", b"").replace(b"from :\r\n", b"")
    assert told(evaluate(names, unsigned_from))[1] == ["fail"]


def test_the_envelope_alone_is_enough_where_it_is_aligned(names: Names) -> None:
    assert told(evaluate(names, MAIL)) == ("pass", [], "pass")
    names.records["other.example TXT"] = ['"v=spf1 +all"']
    assert told(evaluate(names, MAIL, sender="x@other.example")) == ("pass", [], "fail")


def test_a_null_sender_is_known_by_its_helo(names: Names) -> None:
    names.records["mx.shop.example TXT"] = ['"v=spf1 ip4:192.0.2.7 -all"']
    results = evaluate(names, MAIL, sender=None)
    assert told(results) == ("pass", [], "pass")
    assert b"smtp.helo=mx.shop.example" in header(results, "mx")


def test_a_silent_name_server_costs_no_mail(names: Names, key: Key) -> None:
    names.records["shop.example TXT"] = None
    assert told(evaluate(names, MAIL)) == ("temperror", [], "temperror")
    assert told(evaluate(names, signed(key))) == ("temperror", ["pass"], "pass")
    names.records["s1._domainkey.shop.example TXT"] = None
    results = evaluate(names, signed(key))
    assert told(results) == ("temperror", ["temperror"], "temperror")
    assert results.wish is Wish.NONE
    names.records["_dmarc.shop.example TXT"] = None
    assert told(evaluate(names, signed(key)))[2] == "temperror"


def test_a_sender_with_a_silent_name_server_does_not_hide_that_the_author_is_forged(names: Names, key: Key) -> None:
    names.records |= {"evil.example TXT": None, "s1._domainkey.evil.example TXT": None}
    mail = signed(key, domain=b"evil.example")
    results = evaluate(names, mail, sender="x@evil.example", client=ip_address("198.51.100.1"))
    assert told(results) == ("temperror", ["temperror"], "fail")
    assert results.wish is Wish.REJECT
    assert names.asked.index("_dmarc.shop.example TXT") < names.asked.index("s1._domainkey.evil.example TXT")


def test_the_signature_of_the_author_is_looked_at_first(names: Names, key: Key) -> None:
    mail = signed(key, signed(key), domain=b"list.example")
    assert [each.domain for each in evaluate(names, mail).dkim] == ["list.example", "shop.example"]
    assert names.asked.index("s1._domainkey.shop.example TXT") < names.asked.index("s1._domainkey.list.example TXT")


def test_nobody_is_believed_because_they_are_on_this_machine(names: Names) -> None:
    assert told(evaluate(names, MAIL, client=ip_address("127.0.0.1"))) == ("fail", [], "fail")


def test_a_key_that_is_not_there_is_told_from_one_that_does_not_fit(names: Names, key: Key) -> None:
    del names.records["s1._domainkey.shop.example TXT"]
    results = evaluate(names, signed(key))
    assert told(results)[1] == ["permerror"]
    assert "there is no key" in results.dkim[0].why


def test_an_absurd_key_is_not_even_tried(names: Names, key: Key) -> None:
    names.records["s1._domainkey.shop.example TXT"] = [_huge_key()]
    before = time.monotonic()
    results = evaluate(names, signed(key))
    assert told(results)[1] == ["fail"]
    assert "larger than any honest one" in results.dkim[0].why
    assert time.monotonic() - before < 5


def _huge_key() -> str:
    """An RSA key of 16,384 bits with an exponent as long, which nobody can have made for a good reason."""
    numbers = [(1 << 16384) - 1, (1 << 16384) - 3]

    def der(tag: int, content: bytes) -> bytes:
        length = len(content)
        size = length.to_bytes((length.bit_length() + 7) // 8 or 1, "big")
        return bytes([tag]) + (bytes([length]) if length < 128 else bytes([0x80 | len(size)]) + size) + content

    integers = b"".join(der(2, b"\0" + number.to_bytes(2048, "big")) for number in numbers)
    identifier = der(0x30, bytes.fromhex("06092a864886f70d010101") + b"\x05\x00")
    whole = der(0x30, identifier + der(3, b"\0" + der(0x30, integers)))
    text = f"v=DKIM1; p={base64.b64encode(whole).decode()}"
    return " ".join(f'"{text[start : start + 250]}"' for start in range(0, len(text), 250))


HOSTILE: list[Callable[[], bytes]] = [
    lambda: b"DKIM-Signature:" + b" " * 100_000 + b"x\r\n" + MAIL,
    lambda: b"DKIM-Signature: v=1; b=" + b"A \t" * 30_000 + b"!\r\n" + MAIL,
    lambda: b"X: " + b"\r\n \t" * 40_000 + b"x\r\n" + MAIL,
    lambda: b"".join(b"X%d: y\r\n" % number for number in range(20_000)) + MAIL,
    lambda: b"DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s1; h=from; bh=AAAA; b=AAAA\r\n" * 60 + MAIL,
    lambda: b"DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s1; h=" + b"from:" * 3000 + b"; bh=AAAA; b=AAAA\r\n" + MAIL,
    lambda: b"DKIM-Signature: \xff\xfe; d=\xe4; ;;; =\r\n" + MAIL,
    lambda: b"DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s1; h=from; bh=AAA; b=====; l=99999999999999999999\r\n" + MAIL,
    lambda: b"ARC-Seal: i=1; a=rsa-sha256\r\n" * 30 + MAIL,
    lambda: b"ARC-Seal: i=99999999999999999999999; cv=none\r\nARC-Message-Signature: i=x\r\nARC-Authentication-Results: i=1\r\n" + MAIL,
    lambda: b" continued\r\nFrom: x@shop.example\r\n\r\n",
    lambda: b"\r\n",
    lambda: b"",
    lambda: b"From: <@>, \xff@\xff, anna@" + b"a" * 300 + b".example\r\n\r\n",
    lambda: b"From: anna@sh\xc3\xb6p.example\r\n\r\n",
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_mail_is_judged_soon(names: Names, number: int) -> None:
    before = time.monotonic()
    results = evaluate(names, HOSTILE[number](), sender="x@[127.0.0.1]", client=ip_address("2001:db8::1"))
    assert time.monotonic() - before < 10
    assert len(results.dkim) <= 10
    assert "pass" not in {each.result for each in results.dkim}
    field_of = header(results, "mx.desk.example")
    assert field_of.isascii()
    assert all(line.startswith((b"Authentication-Results: ", b"\t")) for line in field_of.splitlines())


@pytest.fixture
def listed(names: Names, key: Key) -> Callable[..., bytes]:
    """A mail that a list has changed, and sealed with what it had found."""

    def made(said: bytes = b"dmarc=pass header.from=shop.example", domain: bytes = b"list.example") -> bytes:
        changed = signed(key).replace(b"Subject: ", b"Subject: [list] ")
        results = b"Authentication-Results: list.example; " + said + b"\r\n"
        sealed = dkim.arc_sign(results + changed, b"s1", domain, key.pem, b"list.example")
        return b"".join(sealed) + results + changed

    return made


def test_the_word_of_a_trusted_sealer_counts_and_nobody_elses(names: Names, listed: Callable[..., bytes]) -> None:
    elsewhere: dict[str, Any] = {"client": ip_address("198.51.100.1"), "sender": "list@list.example"}
    results = evaluate(names, listed(), **elsewhere)
    assert (results.arc.result, results.dmarc.result, results.wish) == ("pass", "fail", Wish.REJECT)
    results = evaluate(names, listed(), sealers=["list.example"], **elsewhere)
    assert (results.trusted, results.wish) == ("list.example", Wish.NONE)
    assert b"arc=pass header.as-d=list.example" in header(results, "mx")
    assert b"dmarc=fail (p=reject, but list.example has seen it pass)" in header(results, "mx")
    for said in (b"dmarc=fail header.from=shop.example", b"dmarc=pass header.from=else.example", b"spf=pass"):
        assert evaluate(names, listed(said), sealers=["list.example"], **elsewhere).wish is Wish.REJECT
    tampered = listed().replace(b"chairs", b"tables")
    results = evaluate(names, tampered, sealers=["list.example"], **elsewhere)
    assert (results.arc.result, results.wish) == ("fail", Wish.REJECT)


def test_who_passes_mail_on_is_not_asked_for_spf(names: Names, key: Key) -> None:
    results = evaluate(names, signed(key), client=ip_address("198.51.100.1"), passed_on=True)
    assert told(results) == ("", ["pass"], "pass")
    assert b"spf=" not in header(results, "mx")
