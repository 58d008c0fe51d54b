"""What the pages about mail that comes in need from the house."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from mailroom.console.odoo_desk import OdooDesk
from mailroom.doctor.trial import Step
from mailroom.intake.correspond import Correspondence
from mailroom.intake.judge import Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class WayIn:
    """Made by `wiring`."""

    correspondence: Correspondence
    trial: Callable[[str], AsyncIterator[Step]]
    """A test of an incoming server, or of `mx`, which takes nothing. Raises ConfigError."""
    judge: Judge
    odoo: OdooDesk
    destination_trial: Callable[[str], AsyncIterator[Step]]
    """Tries a destination without handing anything over. Raises ConfigError, at once, for what can't be tried."""
    mx: str = ""
    """Where the MX listener is, in words; empty: it is off."""
