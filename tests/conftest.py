"""For all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A busy machine is no failure; what may take long is bounded by pytest's own timeout.
settings.register_profile("mailroom", deadline=None)
settings.load_profile("mailroom")

LONGEST_FIRST = ("tests/walk/test_crashes.py", "tests/walk/", "tests/browser/", "tests/clients/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files go to the next process that is free: those that take minutes come first, and all processes end together."""
    items.sort(key=lambda item: next((n for n, start in enumerate(LONGEST_FIRST) if item.nodeid.startswith(start)), len(LONGEST_FIRST)))
