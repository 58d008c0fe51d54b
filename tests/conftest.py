"""For all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure; what may take long is bounded by pytest's own timeout.
settings.register_profile("mailroom", deadline=None)
settings.load_profile("mailroom")
