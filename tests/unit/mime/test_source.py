"""Bytes on their way."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.mime.source import Streamed, in_base64


@given(st.lists(st.binary(max_size=10)))
def test_base64_of_a_body_is_that_of_all_its_pieces_together_as_often_as_it_is_read(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    encoded = in_base64(Streamed(len(whole), lambda: iter(pieces)))
    for _ in range(2):
        assert b"".join(encoded.chunks()) == base64.b64encode(whole)
    assert encoded.length == len(base64.b64encode(whole))
