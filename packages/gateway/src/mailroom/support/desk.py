"""Makes bundles for whoever asks, few at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import Semaphore

from mailroom.support.bundle import Bundle, Wanted
from mailroom_core.errors import MailroomError

AT_ONCE = 2
"""Each looks at the whole installation, and opens every secret to look for it."""


class Busy(MailroomError):
    """Too many are being made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportDesk:
    """Made by `wiring`."""

    made: Callable[[Wanted, str], Awaitable[Bundle]]
    """For whom, as the audit log has it. Raises ConfigError, VaultError."""
    _places: Semaphore = field(default_factory=lambda: Semaphore(AT_ONCE))

    async def make(self, wanted: Wanted, *, by: str) -> Bundle:
        """Raises ConfigError, VaultError, Busy; all say what to do."""
        if not self._places.acquire(blocking=False):
            raise Busy(f"{AT_ONCE} bundles are being made; try again in half a minute")
        try:
            return await self.made(wanted, by)
        finally:
            self._places.release()
