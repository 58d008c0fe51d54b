"""The ports: what the gateway needs from the outside, as protocols. One contract suite runs over every implementation of each.

`Store` is blocking and is called in threads. Its clock is its own (a test can set it); every method that looks at leases or due
times uses that clock. `put`, `begin` and `settle` take batches: one call is one transaction, all or nothing.

Each file has one theme; everything is imported from here.
"""

from mailroom.ports.attempts import (
    ALONE,
    SENT_AGAIN,
    TURN,
    Attempt,
    DeliveryResult,
    Further,
    Lane,
    LaneStatus,
    NewAttempt,
    Note,
    Resolution,
    Settled,
    Usage,
    Work,
)
from mailroom.ports.budgets import Budgets, Slice
from mailroom.ports.cutover import Cutovers, Mover
from mailroom.ports.diagnoses import AggregateReport, Diagnoses, KeptLook, ReportRow, Seen
from mailroom.ports.fetching import Watch, Watched
from mailroom.ports.looking import ANSWERS, Action, CameBack, Found, Lately, Move, Query, Story
from mailroom.ports.messages import Delivery, Event, Message, NewDelivery, NewMessage
from mailroom.ports.process import Clock, Vault, Wakeup
from mailroom.ports.storage import Blobs, OpenBlob, Store
from mailroom.ports.wire import Job, Remember, Transport

__all__ = [
    "ALONE",
    "ANSWERS",
    "SENT_AGAIN",
    "TURN",
    "Action",
    "AggregateReport",
    "Attempt",
    "Blobs",
    "Budgets",
    "CameBack",
    "Clock",
    "Cutovers",
    "Delivery",
    "DeliveryResult",
    "Diagnoses",
    "Event",
    "Found",
    "Further",
    "Job",
    "KeptLook",
    "Lane",
    "LaneStatus",
    "Lately",
    "Message",
    "Move",
    "Mover",
    "NewAttempt",
    "NewDelivery",
    "NewMessage",
    "Note",
    "OpenBlob",
    "Query",
    "Remember",
    "ReportRow",
    "Resolution",
    "Seen",
    "Settled",
    "Slice",
    "Store",
    "Story",
    "Transport",
    "Usage",
    "Vault",
    "Wakeup",
    "Watch",
    "Watched",
    "Work",
]
