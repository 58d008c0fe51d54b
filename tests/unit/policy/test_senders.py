"""As whom an application may send."""

from __future__ import annotations

import pytest

from mailroom_core.policy.senders import allowed


@pytest.mark.parametrize(
    ("senders", "address", "may"),
    [
        (("*",), "anybody@any.where", True),
        (("example.com",), "Tom@EXAMPLE.com", True),
        (("@example.com",), "tom@example.com", True),
        (("example.com",), "tom@sub.example.com", False),
        (("example.com",), "tom@notexample.com", False),
        (("tom@example.com",), "TOM@example.com", True),
        (("tom@example.com",), "mary@example.com", False),
        (("tom@example.com", "other.example"), "mary@other.example", True),
        ((), "tom@example.com", False),
        (("example.com",), "example.com", False),
        (("",), "nobody", False),
        (("@",), "nobody", False),
    ],
)
def test_addresses_domains_and_the_star_allow(senders: tuple[str, ...], address: str, may: bool) -> None:
    assert allowed(senders, address) is may
