"""Every event of the gateway, one typed function each.

Each writes one structured line and counts one. Where it belongs to a message's timeline as well, the store keeps a row of the
same name (`ports.Event`). Never logged: tokens, secrets, bodies, subjects.
"""

from __future__ import annotations

from prometheus_client import Counter

from mailroom.observe.logs import log

EVENTS = Counter("mailroom_events_total", "What happened, by name", ["event"])


def _emit(level: str, event: str, **fields: object) -> None:
    EVENTS.labels(event).inc()
    log(level, event, **fields)
