"""Whatever stands in `next`, the browser stays with us."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from mailroom.console.visitor import local

OURS = "https://mail.example.com/signin"
TRICKY = st.text(st.sampled_from("/\\.:@?#%&=ae \t\r\n\x00\x0bé。／"), max_size=12)


def as_browsers_read(address: str) -> str:
    """URL Standard 4.4: tabs and line ends inside are dropped, blanks around too, and a backslash is a slash."""
    return re.sub(r"[\t\r\n]", "", address.strip("".join(map(chr, range(33))))).replace("\\", "/")


@given(st.one_of(st.text(), TRICKY, TRICKY.map(lambda rest: f"/{rest}")))
@example("/\t/evil.example")
@example("/\\evil.example")
@example("/.//evil.example")
def test_the_way_after_the_sign_in_stays_with_us(text: str) -> None:
    path = local(text)
    arrived = urlsplit(urljoin(OURS, as_browsers_read(path)))
    assert (arrived.scheme, arrived.netloc) == ("https", "mail.example.com")
    assert path.isascii()
    assert path.isprintable()
    assert local(path) == path
