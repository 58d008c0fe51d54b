"""Who may work on what: leases with an epoch, holds, and pauses that a provider asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from mailroom.ids import first_id
from mailroom.notices import NOTICING
from mailroom.ports import Lane, LaneStatus, Usage
from mailroom.store.accepting import EVENTS
from mailroom.store.database import Row, Tx
from mailroom.store.values import dump_map, micros, moment, span
from mailroom_core.model import LaneName

MAIL = """SELECT min(due_at) AS at FROM deliveries WHERE lane = l.name AND state = 'queued' AND bulk = 0
        UNION ALL SELECT min(due_at) FROM deliveries WHERE lane = l.name AND state = 'queued' AND bulk = 1
        UNION ALL SELECT min(look_at) FROM attempts WHERE lane = l.name AND look_at IS NOT NULL"""
NEXT = f"(SELECT min(at) FROM ({MAIL} UNION ALL SELECT min(due_at) FROM sources WHERE lane = l.name) AS times)"  # noqa: S608  # ours
"""The earliest time that something of lane `l` is to be done: four looks into indices."""
NEXT_MAIL = f"(SELECT min(at) FROM ({MAIL}) AS times)"  # noqa: S608  # ours

# A lane waits from when its first delivery was due or from when it was given back, whichever is later: so lanes take turns, and one
# with an old backlog does not come first for ever.
CLAIMABLE = f"""WITH free AS MATERIALIZED (
        SELECT l.name, l.released_at, {NEXT} AS next FROM lanes l WHERE l.lease_until <= ? AND l.held_at IS NULL AND l.defer_until <= ?)
    SELECT l.name, l.epoch FROM lanes l JOIN free ON free.name = l.name
    WHERE free.next <= ? AND l.lease_until <= ? AND l.held_at IS NULL
    ORDER BY CASE WHEN free.next > free.released_at THEN free.next ELSE free.released_at END, l.name
    LIMIT ? {{skip locked}}"""  # noqa: S608  # NEXT is ours
CLAIM = "UPDATE lanes SET owner = ?, epoch = ?, lease_until = ? WHERE name = ?"
OURS = "SELECT name, epoch FROM lanes WHERE name {names} AND owner = ? ORDER BY name {update}"
RENEW = "UPDATE lanes SET lease_until = ? WHERE name = ?"
RELEASE = "UPDATE lanes SET owner = '', lease_until = 0, released_at = ? WHERE name = ? AND owner = ? AND epoch = ?"
END_LEASES = "UPDATE lanes SET owner = '', lease_until = 0 WHERE owner <> '' AND substr(owner, 1, ?) = ?"
END_NOTICING = "DELETE FROM leases WHERE (name = ? OR substr(name, 1, 5) = 'idle:') AND substr(owner, 1, ?) = ?"
END_DEADLINES = "UPDATE attempts SET deadline = ?, look_at = ? WHERE resolution = 'open' AND look_at > ?"
# Not those that another owner began on the lane before: that one may be alive.
THEIRS = """ AND EXISTS (SELECT 1 FROM lanes l WHERE l.name = attempts.lane AND l.epoch = attempts.epoch AND substr(l.owner, 1, ?) = ?)"""
HOLD = """INSERT INTO lanes (name, held, held_at) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET held = excluded.held, held_at = COALESCE(lanes.held_at, excluded.held_at)"""
HELD = "SELECT held FROM lanes WHERE name = ? AND held_at IS NOT NULL {update}"
FREE = "UPDATE lanes SET held = '', paused = paused + ? - held_at, held_at = NULL WHERE name = ? AND held_at IS NOT NULL"
DEFER = "UPDATE lanes SET defer_until = ? WHERE name = ? AND epoch = ? AND defer_until < ?"
STATUS = f"SELECT l.name, l.held, l.lease_until, l.defer_until, {NEXT_MAIL} FROM lanes l ORDER BY l.name"  # noqa: S608  # ours
FETCHED = """SELECT count(*) FROM sources s JOIN messages m ON m.source = s.name
    WHERE s.lane = ? AND m.source <> '' AND m.id >= ? AND m.id < ?"""
WAITING = """SELECT lane, count(*) FROM deliveries WHERE state = 'queued' GROUP BY lane
    UNION ALL SELECT lane, count(*) FROM deliveries WHERE state = 'unsure' GROUP BY lane"""
USAGE = """SELECT sum(mails), sum(recipients), sum(size) FROM (
        SELECT count(*) AS mails, COALESCE(sum(recipients), 0) AS recipients, COALESCE(sum(size), 0) AS size
        FROM attempts WHERE lane = ? AND started_at >= ?
        UNION ALL SELECT count(*), COALESCE(sum(recipients), 0), 0 FROM further WHERE lane = ? AND at >= ?) AS sums"""


def claimable(tx: Tx, want: int, but: Collection[LaneName]) -> bool:
    """Whether it is worth while to ask for the right to write."""
    if want <= 0:
        return False
    found = tx.rows(CLAIMABLE.replace("{skip locked}", ""), tx.now, tx.now, tx.now, tx.now, len(but) + 1)
    return any(name not in but for name, _ in found)


def claim(tx: Tx, owner: str, want: int, ttl: timedelta, but: Collection[LaneName]) -> list[Lane]:
    """See `Store.claim`."""
    found = tx.rows(CLAIMABLE, tx.now, tx.now, tx.now, tx.now, want + len(but))
    taken = [(name, epoch) for name, epoch in found if name not in but][:want]
    tx.many(CLAIM, [(owner, epoch + 1, tx.now + span(ttl), name) for name, epoch in taken])
    return [Lane(LaneName(name), epoch + 1) for name, epoch in taken]


def renew(tx: Tx, owner: str, lanes: Sequence[Lane], ttl: timedelta) -> set[LaneName]:
    """See `Store.renew`. A lease that has run out is still ours as long as nobody else has claimed the lane."""
    wanted = {lane.name: lane.epoch for lane in lanes}
    ours = {LaneName(name) for name, epoch in tx.by(OURS, list(wanted), owner) if wanted[name] == epoch}
    tx.many(RENEW, [(tx.now + span(ttl), name) for name in sorted(ours)])
    return ours


def release(tx: Tx, owner: str, lanes: Sequence[Lane]) -> None:
    tx.many(RELEASE, [(tx.now, lane.name, owner, lane.epoch) for lane in lanes])


def end_leases(tx: Tx, owners: str) -> int:
    """See `Store.end_leases`; how many leases it were."""
    begins = (len(owners), owners)
    if owners:
        tx.run(END_DEADLINES + THEIRS, tx.now, tx.now, tx.now, *begins)
    else:
        tx.run(END_DEADLINES, tx.now, tx.now, tx.now)
    tx.run(END_NOTICING, NOTICING, *begins)
    return tx.run(END_LEASES, *begins)


def hold_lane(tx: Tx, lane: LaneName, reason: str, account: str) -> None:
    """See `Store.hold_lane`. Held already: only the reason changes."""
    if account and tx.one(HELD, lane) is None:
        tx.run(EVENTS, 0, None, tx.now, "account.needs_attention", reason, dump_map({"account": account, "lane": lane}))
    tx.run(HOLD, lane, reason, tx.now)


def free_lane(tx: Tx, lane: LaneName) -> str:
    """See `Store.free_lane`. Why it was held; empty if it was not."""
    row = tx.one(HELD, lane)
    tx.run(FREE, tx.now, lane)
    return "" if row is None else str(row[0])


def defer_lane(tx: Tx, lane: LaneName, epoch: int, until: datetime) -> None:
    """See `Store.defer_lane`. A longer pause that was wished before stays."""
    tx.run(DEFER, micros(until), lane, epoch, micros(until))


def lanes(tx: Tx) -> list[LaneStatus]:
    waiting: dict[str, int] = {}
    for lane, count in tx.rows(WAITING):
        waiting[lane] = waiting.get(lane, 0) + count
    return [
        LaneStatus(LaneName(name), waiting.get(name, 0), None if due is None else moment(max(due, deferred)), held, lease_until > tx.now)
        for name, held, lease_until, deferred, due in tx.rows(STATUS)
    ]


def usage(tx: Tx, lane: LaneName, since: datetime) -> Usage:
    row = tx.one(USAGE, lane, micros(since), lane, micros(since))
    assert row is not None
    return Usage(*map(int, row))


def usage_history(tx: Tx, lane: LaneName, edges: Sequence[datetime]) -> list[Usage]:
    """See `Store.usage_history`."""
    pairs = list(pairwise(map(micros, edges)))
    if not pairs:
        return []
    found = {low: Usage(int(count), int(recipients), int(size)) for low, count, recipients, size in _history(tx, lane, pairs)}
    return [found.get(low, Usage(0, 0, 0)) for low, _ in pairs]


def fetched_history(tx: Tx, lane: LaneName, edges: Sequence[datetime]) -> list[int]:
    """See `Store.fetched_history`. Ids grow with time, so that a span of it is a range of them."""
    spans = pairwise(map(first_id, edges))
    return [int(row[0]) if (row := tx.one(FETCHED, lane, low, high)) else 0 for low, high in spans]


def _history(tx: Tx, lane: LaneName, pairs: Sequence[tuple[int, int]]) -> Sequence[Row]:
    return tx.rows(history(len(pairs)), *(edge for pair in pairs for edge in pair), lane, lane)


def history(spans: int) -> str:
    """One look into the index for each span of time; CROSS JOIN, so that SQLite begins with the spans."""
    return f"""WITH spans (low, high) AS (VALUES {", ".join(["(?, ?)"] * spans)})
        SELECT low, sum(mails), sum(recipients), sum(size) FROM (
            SELECT s.low, count(*) AS mails, sum(a.recipients) AS recipients, sum(a.size) AS size FROM spans s CROSS JOIN attempts a
            WHERE a.lane = ? AND a.started_at >= s.low AND a.started_at < s.high GROUP BY s.low
            UNION ALL SELECT s.low, count(*), sum(f.recipients), 0 FROM spans s CROSS JOIN further f
            WHERE f.lane = ? AND f.at >= s.low AND f.at < s.high GROUP BY s.low) AS sums GROUP BY low"""  # noqa: S608  # only their number
