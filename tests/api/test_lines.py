"""Line ends of MIME that comes by HTTP, in chunks that are cut anywhere."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mailroom.api.bodies import Lines

pieces = st.lists(st.text("a\r\n", max_size=6).map(str.encode), max_size=8)


@given(pieces)
def test_every_line_ends_with_cr_lf_however_it_was_cut(chunks: list[bytes]) -> None:
    lines = Lines()
    found = b"".join([*map(lines.feed, chunks), lines.close()])
    wanted = re.sub(rb"\r\n|\r|\n", b"\r\n", b"".join(chunks))
    assert found == (wanted if wanted.endswith(b"\r\n") or not wanted else wanted + b"\r\n")
