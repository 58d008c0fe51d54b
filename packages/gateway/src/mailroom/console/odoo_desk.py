"""What the page about setting an Odoo up needs; `wiring` makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailroom_core.providers.odoo.setup import Change, Found, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What would be done."""

    destination: str
    state: Found
    wanted: Wanted
    changes: Sequence[Change]
    new_password: bool
    """Odoo needs one: its server is new, or signs in as somebody else."""
    warnings: Sequence[str]


class OdooDesk(Protocol):
    """Each raises ConfigError and VaultError, which say what to do."""

    async def prepared(self, name: str, *, host: str = "", port: int = 0, domain: str = "") -> Prepared:
        """Asks Odoo what it has, and changes nothing."""

    def carried_out(self, plan: Prepared, *, by: str) -> AsyncIterator[str]:
        """Says each thing that was done."""

    def taken_back(self, name: str, *, by: str) -> AsyncIterator[str]:
        """Says each thing that is as before."""

    def was_set_up(self, name: str) -> bool:
        """Blocking."""
