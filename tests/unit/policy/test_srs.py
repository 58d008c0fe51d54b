"""policy.srs: what we forward can come back, and nobody else can use the way."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta, timezone

import pytest

from mailroom_core.policy.addresses import is_deliverable
from mailroom_core.policy.srs import LIFETIME, read, rewrite

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
OURS = ("example.com", "Example.org")


def mac(data: bytes) -> bytes:
    return hmac.digest(b"key", data, hashlib.sha256)


def other_mac(data: bytes) -> bytes:
    return hmac.digest(b"another", data, hashlib.sha256)


def forward(sender: str | None, domain: str = "example.com") -> str:
    made = rewrite(sender, domain, OURS, mac, NOW)
    assert made is not None
    return made


def test_a_forwarded_mail_has_a_sender_of_ours_and_its_bounce_goes_back() -> None:
    made = forward("Mary+x=y@shop.example")
    assert re.fullmatch(r"SRS0=[0-9a-z]{4}=[0-9a-z]{2}=shop\.example=Mary\+x=y@example\.com", made)
    assert is_deliverable(made)
    assert read(made, mac, NOW) == "Mary+x=y@shop.example"


def test_a_server_on_the_way_may_change_the_case() -> None:
    made = forward("mary@shop.example")
    assert read(made.lower(), mac, NOW) == "mary@shop.example"
    assert read(made.upper(), mac, NOW) == "MARY@SHOP.EXAMPLE"


def test_the_null_sender_and_our_own_stay() -> None:
    assert rewrite(None, "example.com", OURS, mac, NOW) is None
    assert forward("mary@Example.com") == "mary@Example.com"
    assert forward("mary@example.org") == "mary@example.org"


def test_what_was_forwarded_before_takes_two_steps_back() -> None:
    first = "SRS0=abcd=5d=shop.example=mary@first.example"
    second = forward(first)
    assert re.fullmatch(r"SRS1=[0-9a-z]{4}=first\.example==abcd=5d=shop\.example=mary@example\.com", second)
    assert read(second, mac, NOW) == first
    third = rewrite(second.replace("@example.com", "@second.example"), "example.com", OURS, other_mac, NOW)
    assert third is not None
    assert read(third, other_mac, NOW) == first, "however often, it is two steps"


def test_a_bounce_may_come_for_three_weeks() -> None:
    made = forward("mary@shop.example")
    assert read(made, mac, NOW + LIFETIME) == "mary@shop.example"
    assert read(made, mac, NOW + LIFETIME + timedelta(days=1)) == ""
    assert read(made, mac, NOW - timedelta(days=1)) == "", "made tomorrow"


def test_forged_and_foreign_addresses_lead_nowhere() -> None:
    made = forward("mary@shop.example")
    forged = (
        made.replace("mary", "eve"),
        made.replace("shop", "bank"),
        made.replace("SRS0=", "SRS0=0"),
        forward("SRS0=abcd=5d=shop.example=mary@first.example").replace("first", "bank"),
        "SRS0=ab\N{LATIN SMALL LETTER A WITH DIAERESIS}d=5d=shop.example=mary@example.com",
        "mary@example.com",
        "SRS0=x@example.com",
        "",
    )
    for wrong in forged:
        assert read(wrong, mac, NOW) == "", wrong
    assert read(made, other_mac, NOW) == ""


def test_a_day_that_is_no_number_leads_nowhere() -> None:
    number = int.from_bytes(mac(b"srs0\0il\0shop.example\0mary")[:3], "big") >> 4
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    digest = "".join(digits[(number >> shift) & 31] for shift in (15, 10, 5, 0))
    assert read(f"SRS0={digest}=il=shop.example=mary@example.com", mac, NOW) == ""


@pytest.mark.parametrize("sender", [f"{'x' * 60}@shop.example", '"a b"@shop.example'])
def test_what_has_no_room_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="bounce address"):
        forward(sender)
