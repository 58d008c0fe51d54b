"""Suppressed addresses, sealed secrets, and locks between processes and machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mailroom.objects import Suppression
from mailroom.store.database import Tx
from mailroom.store.values import span
from mailroom_core.policy.addresses import normalize

SUPPRESS = """INSERT INTO suppressions (address, reason, source, changed_at, changed_by) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (address) DO NOTHING"""
SUPPRESSED = "SELECT address, reason, source FROM suppressions WHERE address {names}"
SUPPRESSIONS = "SELECT address, reason, source FROM suppressions ORDER BY address"
SEALED = "SELECT sealed FROM secrets WHERE name = ?"
SEALED_NAMES = "SELECT name FROM secrets ORDER BY name"
PUT_SEALED = "INSERT INTO secrets (name, sealed) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed"
REPLACE_SEALED = "UPDATE secrets SET sealed = ? WHERE name = ? AND sealed = ?"
DROP_SEALED = "DELETE FROM secrets WHERE name = ?"
LEASE = """INSERT INTO leases (name, owner, until) VALUES (?, ?, ?) ON CONFLICT (name)
    DO UPDATE SET owner = excluded.owner, until = excluded.until WHERE leases.owner = excluded.owner OR leases.until <= ?"""
UNLEASE = "DELETE FROM leases WHERE name = ? AND owner = ?"


def suppress(tx: Tx, entries: Sequence[Suppression], *, by: str) -> None:
    """Adds those that are new: what a person wrote about an address stays."""
    tx.many(SUPPRESS, [(normalize(s.address), s.reason, s.source, tx.now, by) for s in entries])


def suppressed(tx: Tx, addresses: Sequence[str]) -> dict[str, Suppression]:
    """Keyed by the addresses as they were asked for."""
    asked = {address: normalize(address) for address in addresses}
    found = {row[0]: Suppression(address=row[0], reason=row[1], source=row[2]) for row in tx.by(SUPPRESSED, sorted(set(asked.values())))}
    return {address: found[key] for address, key in asked.items() if key in found}


def suppressions(tx: Tx) -> list[Suppression]:
    return [Suppression(address=address, reason=reason, source=source) for address, reason, source in tx.rows(SUPPRESSIONS)]


def secret(tx: Tx, name: str) -> bytes | None:
    row = tx.one(SEALED, name)
    return None if row is None else bytes(row[0])


def secrets(tx: Tx) -> list[str]:
    return [row[0] for row in tx.rows(SEALED_NAMES)]


def put_secret(tx: Tx, name: str, sealed: bytes | None) -> None:
    if sealed is None:
        tx.run(DROP_SEALED, name)
    else:
        tx.run(PUT_SEALED, name, sealed)


def replace_secret(tx: Tx, name: str, old: bytes, new: bytes) -> bool:
    return tx.run(REPLACE_SEALED, new, name, old) > 0


def lease(tx: Tx, name: str, owner: str, ttl: timedelta) -> bool:
    """See `Store.lease`. Its owner may prolong it."""
    return tx.run(LEASE, name, owner, tx.now + span(ttl), tx.now) > 0


def unlease(tx: Tx, name: str, owner: str) -> None:
    tx.run(UNLEASE, name, owner)
