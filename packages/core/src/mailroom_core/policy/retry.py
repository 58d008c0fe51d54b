"""When a deferred mail is tried again.

The first waits are short, because most trouble is; then they grow to four hours, until the mail's lifetime ends (RFC 5321 4.5.4.1
wants 4 to 5 days). Jitter keeps a thousand mails that failed together from coming back together.
"""

from __future__ import annotations

from datetime import timedelta

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 120, 240))
"""After the first try, the second, ...; then the last one again and again."""
JITTER = 0.2
"""A wait of our own is stretched or shortened by up to this share; one that the next hop asked for is only stretched."""
SHORTEST = timedelta(seconds=1)
"""Whatever the next hop asks for: `Retry-After: 0` is no invitation to a loop."""


def wait(tries: int, retry_after: timedelta | None, chance: float) -> timedelta:
    """How long to wait after `tries` tries (at least 1). `chance` is a random number in [0, 1)."""
    if retry_after is not None:
        return max(retry_after, SHORTEST) * (1 + JITTER * chance)
    return WAITS[min(max(tries, 1), len(WAITS)) - 1] * (1 + JITTER * (2 * chance - 1))
