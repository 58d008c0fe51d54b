from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.listen.path import NULL, read_path
from mailroom_core.errors import Refused


@given(st.text(alphabet='<>@.:"\\ ab\r\n\t\x00[]%!é,;()', max_size=40))
def test_whatever_is_read_is_one_address_without_anything_that_could_begin_a_command(text: str) -> None:
    try:
        address, parameters = read_path(text)
    except Refused:
        return
    assert (address + parameters).isprintable()
    assert (address + parameters).isascii()
    assert address == NULL or re.fullmatch(r'("([^"\\]|\\.)*"|[^@"<>()\[\]\\:; ,]+)@[\w.-]+', address)


def test_the_address_and_its_parameters_are_told_apart() -> None:
    assert read_path("<a@example.com> SIZE=1 BODY=7BIT") == ("a@example.com", "SIZE=1 BODY=7BIT")
    assert read_path("a@example.com SIZE=1") == ("a@example.com", "SIZE=1")
    assert read_path("<>") == (NULL, "")
    assert read_path('<"a>b"@example.com>') == ('"a>b"@example.com', "")


def test_an_address_may_be_as_long_as_the_rfc_allows_and_no_longer() -> None:
    local = "l" * 64
    domain = ".".join(["d" * 60] * 4)
    assert read_path(f"<{local}@{domain}>")[0] == f"{local}@{domain}"
    for too_long in (f"<l{local}@{domain}>", f"<{local}@{domain}.{'d' * 12}>"):
        with pytest.raises(Refused, match="too long"):
            read_path(too_long)
