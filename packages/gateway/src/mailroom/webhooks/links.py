"""Links to a received mail and its parts: signed, and good for a while, so that a program can fetch them without a token."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailroom_core.model import MessageId, show_id

LIFETIME = timedelta(days=7)
"""As long as bytes are kept by default (`queue.keep_raw`)."""


@dataclass(frozen=True, slots=True)
class Links:
    """`key` signs; `site` is `public_url`, empty for none."""

    key: bytes = field(repr=False)
    site: str = ""

    def to(self, message: MessageId, part: str, now: datetime) -> str:
        if not self.site:
            return ""
        ends = int((now + LIFETIME).timestamp())
        return f"{self.site.rstrip('/')}/v1/inbound/{show_id(message)}/{part}/{ends}-{self._signature(message, part, ends)}"

    def opens(self, message: MessageId, part: str, proof: str, now: datetime) -> bool:
        """Whether the last piece of a link is one of ours, and still good."""
        ends, _, signature = proof.partition("-")
        if not (ends.isascii() and ends.isdigit() and len(ends) < 15 and int(ends) > now.timestamp()):
            return False
        return hmac.compare_digest(signature.encode(), self._signature(message, part, int(ends)).encode())

    def _signature(self, message: MessageId, part: str, ends: int) -> str:
        return hmac.new(self.key, f"inbound link {message} {part} {ends}".encode(), hashlib.sha256).hexdigest()[:40]
