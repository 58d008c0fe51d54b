"""Bytes as a network may deliver them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

cuts = st.lists(st.integers(min_value=0, max_value=600), max_size=12)


def chunks_of(data: bytes, at: list[int]) -> list[bytes]:
    """Cut at these offsets, as far as there are so many bytes."""
    edges = [0, *sorted(cut for cut in at if cut <= len(data)), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]
