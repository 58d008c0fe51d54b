"""What the pages about mail that comes in need from the house."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.intake.correspond import Correspondence


@dataclass(frozen=True, slots=True, kw_only=True)
class WayIn:
    """Made by `wiring`."""

    correspondence: Correspondence
