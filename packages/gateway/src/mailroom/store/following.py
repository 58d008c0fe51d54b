"""Whether webhooks follow what happens: the cursor over the events, there as long as there is a webhook."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.store.database import Tx

CURSOR = "SELECT value FROM meta WHERE name = 'webhooks'"
NEWEST = "SELECT COALESCE(max(id), 0) FROM events"
WEBHOOKS = "SELECT name, body FROM objects WHERE kind = 'webhook' ORDER BY name"
FOLLOW = "INSERT INTO meta (name, value) SELECT 'webhooks', COALESCE(max(id), 0) FROM events WHERE true ON CONFLICT (name) DO NOTHING"
STOP_FOLLOWING = "DELETE FROM meta WHERE name = 'webhooks'"
STEP_BACK = f"UPDATE meta SET value = ({NEWEST}) WHERE name = 'webhooks' AND value > ({NEWEST})"  # noqa: S608  # ours
DROP_WEBHOOK = (
    "DELETE FROM notice_tries WHERE notice_id IN (SELECT id FROM notices WHERE webhook = ?)",
    "DELETE FROM notices WHERE webhook = ?",
    "DELETE FROM webhook_targets WHERE webhook = ?",
    "DELETE FROM secrets WHERE name = 'webhook:' || ?",
)


def step_back(tx: Tx) -> None:
    """SQLite gives the highest numbers out again when their rows are gone; nothing above the cursor is ever dropped."""
    if tx.sqlite:
        tx.run(STEP_BACK)


def follow(tx: Tx, removed: Sequence[str]) -> None:
    """Webhooks have changed: a cursor while there is one, from what is committed now; nothing of those that were removed."""
    for name in removed:
        for statement in DROP_WEBHOOK:
            tx.run(statement, name)
    if not tx.rows(WEBHOOKS):
        tx.run(STOP_FOLLOWING)
    elif tx.one(CURSOR) is None:
        if not tx.sqlite:
            tx.run("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE")  # whoever writes ends first, or begins after us
        tx.run(FOLLOW)
