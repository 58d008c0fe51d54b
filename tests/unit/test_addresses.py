"""policy.addresses: comparing addresses and refusing what can't be one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.policy.addresses import domain_of, is_deliverable, normalize


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Mary.Jones@Example.COM", "mary.jones@example.com"),
        (" mary@example.com ", "mary@example.com"),
        ('"mary"@example.com', "mary@example.com"),
        ('"ma ry"@Example.com', '"ma ry"@example.com'),
        ("Müller@Example.com", "Müller@example.com"),
        ("mary+crm@Example.com", "mary+crm@example.com"),
        ("Postmaster", "postmaster"),
        ('"a@b"@Example.com', '"a@b"@example.com'),
        ("", ""),
    ],
)
def test_spellings_of_one_mailbox_become_equal(written: str, normal: str) -> None:
    assert normalize(written) == normal


@given(st.text())
def test_a_normal_address_stays_as_it_is(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


@pytest.mark.parametrize(("address", "domain"), [("a@Example.COM", "example.com"), ("postmaster", ""), ('"a@b"@c.d', "c.d"), ("", "")])
def test_the_domain_is_what_follows_the_last_at(address: str, domain: str) -> None:
    assert domain_of(address) == domain


@pytest.mark.parametrize(
    "address",
    [
        "mary@example.com",
        "o'hara@example.com",
        "mary+crm@sub.example.co.uk",
        "root@localhost",
        '"ma ry"@example.com',
        "x@[192.0.2.1]",
        "x@[IPv6:2001:db8::1]",
        "x@my_host.example.com",
        "müller@münchen.example",
        "a" * 64 + "@example.com",
    ],
)
def test_what_could_be_an_address_is_deliverable(address: str) -> None:
    assert is_deliverable(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "mary",
        "@example.com",
        "mary@",
        "ma ry@example.com",
        "mary@exam ple.com",
        "mary@example..com",
        ".mary@example.com",
        "mary@-example.com",
        "mary@example.com\r\nBcc: eve@example.org",
        "mary@example.com\n",
        "<mary@example.com>",
        "a@b@example.com",
        "a,b@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + "b." * 130 + "com",
        "\udc80@example.com",
    ],
)
def test_what_can_be_no_address_is_not_deliverable(address: str) -> None:
    assert not is_deliverable(address)
