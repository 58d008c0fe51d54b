"""What an overview shows, cheaply: every number is a walk through a part of the index `deliveries_state`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from mailroom.ids import first_id
from mailroom.store.database import Tx
from mailroom.store.values import micros
from mailroom_core.model import State

IN_STATE = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = ? LIMIT ?) AS found"
CAME_IN = "substr(d.lane, 1, 12) = 'destination:'"
CAME_IN_STATE = f"SELECT count(*) FROM (SELECT 1 FROM deliveries d WHERE d.state = ? AND {CAME_IN} LIMIT ?) AS found"  # noqa: S608  # a text
QUARANTINED = f"SELECT count(*) FROM (SELECT 1 FROM deliveries d WHERE d.state = 'held' AND {CAME_IN} LIMIT ?) AS found"  # noqa: S608  # a text
"""The state stands there: with a parameter in its place, the index for this would not be taken."""
CHANGED = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = ? AND id >= ? AND updated_at >= ? LIMIT ?) AS found"


def how_many(tx: Tx, state: State, accepted: datetime | None, changed: datetime | None, came_in: bool, limit: int) -> int:
    """See `Store.how_many`."""
    if accepted is None and came_in and state is State.HELD:
        row = tx.one(QUARANTINED, limit)
    elif accepted is None or changed is None:
        row = tx.one(CAME_IN_STATE if came_in else IN_STATE, state.value, limit)
    else:
        row = tx.one(CHANGED, state.value, first_id(accepted), micros(changed), limit)
    return int(row[0]) if row else 0


def fates(tx: Tx, edges: Sequence[datetime]) -> list[dict[State, int]]:
    """See `Store.fates`."""
    spans = list(pairwise(map(first_id, edges)))
    rows = tx.rows(_fates(len(spans) * len(State)), *(each for low, high in spans for state in State for each in (state.value, low, high)))
    places = {low: place for place, (low, _) in enumerate(spans)}
    found = [dict.fromkeys(State, 0) for _ in spans]
    for state, low, count in rows:
        found[places[low]][State(state)] = count
    return found


def _fates(spans: int) -> str:
    return f"""WITH spans (state, low, high) AS (VALUES {", ".join(["(?, ?, ?)"] * spans)})
        SELECT s.state, s.low, (SELECT count(*) FROM deliveries d WHERE d.state = s.state AND d.id >= s.low AND d.id < s.high)
        FROM spans s"""  # noqa: S608  # only their number
