"""The audit log; its rows are written in the transaction of the change that they tell of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mailroom.audit import Change, Wanted, is_somebody
from mailroom.store.database import Row, Tx
from mailroom.store.values import micros, moment

COLUMNS = "id, at, changed_by, what, kind, name, before, after"
ADD = "INSERT INTO audit (at, changed_by, what, kind, name, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)"
OLD = "SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?"
DROP = "DELETE FROM audit WHERE id {ids}"
SECRETS = {"key", "password", "secret"}
"""Fields that are only said to have changed."""
SHORT = 200
"""Characters of one value."""
LONGEST = 4000


def audit(tx: Tx, *, by: str, what: str, kind: str, name: str, before: str = "", after: str = "") -> None:
    """See `Store.audit`. What a rule of the gateway does is not written down here."""
    if is_somebody(by):
        tx.run(ADD, tx.now, by, what, kind, name, before[:LONGEST], after[:LONGEST])


def audit_object(tx: Tx, *, by: str, kind: str, name: str, before: str | None, after: str | None) -> None:
    """From documents; None: it was not there, or is not any more. Only what differs is told, and nothing if nothing does."""
    old, new = _fields(before), _fields(after)
    what = "add" if before is None else "remove" if after is None else "change"
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if differing or what != "change":
        audit(tx, by=by, what=what, kind=kind, name=name, before=_told(old, differing), after=_told(new, differing))


def _fields(document: str | None) -> dict[str, Any]:
    """Those of a choice stand beside the others, as `route.host`."""
    found: dict[str, Any] = {}
    for key, value in (json.loads(document) if document else {}).items():
        found |= {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
    found.pop("name", None)
    return found


def _told(found: Mapping[str, Any], keys: list[str]) -> str:
    return "\n".join(f"{key}: {_value(key, found[key])}" for key in keys if found.get(key) not in (None, "", [], ()))


def _value(key: str, value: Any) -> str:
    word = key.rpartition(".")[2]
    if word in SECRETS:
        return "(kept secret)"
    if word == "url":
        value = str(value).partition("?")[0]  # there are services that want their password there
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]} ..."


def find(tx: Tx, wanted: Wanted, limit: int, after: str) -> tuple[list[Change], str]:
    """See `Store.audited`."""
    terms, values = ["TRUE"], list[object]()
    for term, value in (
        ("changed_by = ?", wanted.by),
        ("kind = ?", wanted.kind),
        ("name = ?", wanted.name),
        ("what = ?", wanted.what),
        ("at >= ?", wanted.since and micros(wanted.since)),
        ("at < ?", wanted.until and micros(wanted.until)),
        ("id < ?", after and int(after)),
    ):
        if value not in ("", None):
            terms.append(term)
            values.append(value)
    statement = f"SELECT {COLUMNS} FROM audit WHERE {' AND '.join(terms)} ORDER BY id DESC LIMIT ?"  # noqa: S608  # the terms above
    found = [_change(row) for row in tx.rows(statement, *values, limit + 1)]
    return found[:limit], str(found[limit - 1].id) if len(found) > limit else ""


def _change(row: Row) -> Change:
    number, at, by, what, kind, name, before, after = row
    return Change(id=number, at=moment(at), by=by, what=what, kind=kind, name=name, before=before, after=after)


def old(tx: Tx, before: datetime, limit: int) -> list[int]:
    return [row[0] for row in tx.rows(OLD, micros(before), limit)]


def forget(tx: Tx, numbers: list[int]) -> None:
    tx.change(DROP, numbers)
