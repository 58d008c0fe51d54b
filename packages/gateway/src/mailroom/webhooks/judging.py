"""What an answer of a target makes of a notice. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from mailroom.notices import Notice, NoticeState, Tried, Try
from mailroom_core.flow import Response

# Standard Webhooks, "Retry schedule", read on 2026-11-21.
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Before each further try; after the last one the notice is given up."""
SPREAD = 0.2
"""Each wait is up to a fifth longer, so that what failed together does not come back together."""
WHOLE = sum(WAITS, timedelta()) * (1 + SPREAD)
"""How long a notice is tried at most."""
LONGEST = timedelta(days=1)
"""What a target may ask for."""
GONE = 410
BUSY = (429, 503)


def delivered(notice: Notice, tried: Try) -> Tried:
    return Tried(notice_id=notice.id, webhook=notice.webhook, tried=tried, state=NoticeState.DELIVERED, due_at=None)


def judge(notice: Notice, tried: Try, answer: Response | None, *, now: datetime, chance: float) -> Tried:
    """`chance` is a number in [0, 1) for the spread."""
    if answer is not None and 200 <= answer.status < 300:
        return delivered(notice, tried)
    wish = None if answer is None else retry_after(answer, now)
    given_up = notice.tries >= len(WAITS)
    wait = WAITS[min(notice.tries, len(WAITS) - 1)] * (1 + SPREAD * chance)
    return Tried(
        notice_id=notice.id,
        webhook=notice.webhook,
        tried=tried,
        state=NoticeState.GIVEN_UP if given_up else NoticeState.WAITING,
        due_at=None if given_up else now + max(wait, wish or wait),
        pause_until=now + wish if wish and answer is not None and answer.status in BUSY else None,
        gone=answer is not None and answer.status == GONE,
    )


def retry_after(answer: Response, now: datetime) -> timedelta | None:
    """Seconds or a date (RFC 9110 10.2.3), a day at most; None if there is none that can be read."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        wish = timedelta(seconds=float(text)) if text[:1].isdigit() else parsedate_to_datetime(text) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wish, timedelta()), LONGEST)
