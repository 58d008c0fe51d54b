"""What one mailbox may do in what time.

Sources, read 2026-11-20: Microsoft Graph docs, concepts/throttling-limits.md (requests, uploads; per app and mailbox); Exchange
Online limits (recipients per day, a distribution list counts as one). Four requests at once are allowed, but what others do in the
mailbox with our app counts too, so we stay at three. "150 MB" is read as 10^6, to be on the safe side.
"""

from __future__ import annotations

from datetime import timedelta

from mailroom_core.policy.pace import Limits, Unit, Window

RECIPIENTS_PER_DAY = 10_000
MIME_LIMIT = 2_900_000
"""Bytes of a mail that go as MIME: what four MB of request hold after base64, less what completing it adds."""

MAILBOX = Limits(
    windows=(
        Window(Unit.REQUESTS, 9_900, timedelta(minutes=10)),
        Window(Unit.BYTES, 150_000_000, timedelta(minutes=5)),
        Window(Unit.RECIPIENTS, RECIPIENTS_PER_DAY, timedelta(days=1)),
    ),
    concurrency=3,
)
