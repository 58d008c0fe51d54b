"""Random ids, and what is stored and derived of them."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from mailroom.vault.credentials import digest


def new_id() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Keyed:
    """HMAC-SHA-256 under the gateway's own key, with a word for each use, so that no value serves two of them."""

    key: bytes = field(repr=False)

    def stored(self, use: str, secret: str) -> str:
        """What the store knows of a secret."""
        return digest(self.key, f"{use}:{secret}".encode("utf-8", "replace").decode())

    def derived(self, use: str, secret: str) -> str:
        """Another secret that only the holder of the first one, with us, can have."""
        return digest(self.key, f"{use} of {secret}")

    def fits(self, use: str, secret: str, given: str) -> bool:
        """In the same time for every guess."""
        return hmac.compare_digest(self.derived(use, secret).encode(), given.encode("utf-8", "replace"))
