"""Objects as JSON documents, with one version number for all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mailroom.objects import (
    CHOICES,
    OBJECT_KINDS,
    Account,
    Alias,
    AliasDomain,
    Application,
    Destination,
    Directory,
    IncomingServer,
    Object,
    OutgoingServer,
    Suppression,
    Token,
    Webhook,
    chosen,
    object_kind,
)
from mailroom.store import following
from mailroom.store.auditing import audit, audit_object
from mailroom.store.database import Tx
from mailroom.store.keeping import put_secret
from mailroom_core.errors import StoreError
from mailroom_core.policy.addresses import normalize

_CHOSEN = [of for _, words in CHOICES.values() for of in words.values()]
ADAPTERS: dict[type, TypeAdapter[Any]] = {of: TypeAdapter(of) for of in (*OBJECT_KINDS.values(), *_CHOSEN)}

VERSION = "SELECT value FROM meta WHERE name = 'directory'"
NEW_VERSION = "UPDATE meta SET value = value + 1 WHERE name = 'directory'"
OBJECTS = "SELECT kind, name, body FROM objects ORDER BY kind, name"
PUT = """INSERT INTO objects (kind, name, body, changed_at, changed_by) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, name)
    DO UPDATE SET body = excluded.body, changed_at = excluded.changed_at, changed_by = excluded.changed_by"""
PUT_SUPPRESSION = """INSERT INTO suppressions (address, reason, source, changed_at, changed_by) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (address) DO UPDATE SET reason = excluded.reason, source = excluded.source, changed_at = excluded.changed_at,
    changed_by = excluded.changed_by"""
OBJECT = "SELECT body FROM objects WHERE kind = ? AND name = ?"
SUPPRESSION = "SELECT reason FROM suppressions WHERE address = ?"
REMOVE = "DELETE FROM objects WHERE kind = ? AND name = ?"
REMOVE_SUPPRESSION = "DELETE FROM suppressions WHERE address = ?"


def directory(tx: Tx) -> Directory:
    """See `Store.directory`."""
    version = directory_version(tx)
    objects = [load(kind, name, body) for kind, name, body in tx.rows(OBJECTS)]
    return Directory(
        version=version,
        accounts={o.name: o for o in objects if isinstance(o, Account)},
        servers={o.name: o for o in objects if isinstance(o, OutgoingServer)},
        alias_domains={o.name: o for o in objects if isinstance(o, AliasDomain)},
        applications={o.name: o for o in objects if isinstance(o, Application)},
        destinations={o.name: o for o in objects if isinstance(o, Destination)},
        aliases={o.name: o for o in objects if isinstance(o, Alias)},
        incoming={o.name: o for o in objects if isinstance(o, IncomingServer)},
        tokens={o.name: o for o in objects if isinstance(o, Token)},
        webhooks={o.name: o for o in objects if isinstance(o, Webhook)},
    )


def directory_version(tx: Tx) -> int:
    row = tx.one(VERSION)
    assert row is not None
    return int(row[0])


def apply(tx: Tx, put: Sequence[Object], remove: Sequence[tuple[str, str]], by: str) -> int:
    """See `Store.apply`. Removes first, so that a name may pass from one object to another."""
    for kind, name in remove:
        if kind == "suppression":
            _unsuppress(tx, normalize(name), by)
        elif (old := _document(tx, kind, name)) is not None:
            tx.run(REMOVE, kind, name)
            audit_object(tx, by=by, kind=kind, name=name, before=old, after=None)
    for thing in put:
        if isinstance(thing, Suppression):
            _suppress(tx, thing, by)
        else:
            kind, new = object_kind(thing), dump(thing)
            audit_object(tx, by=by, kind=kind, name=thing.name, before=_document(tx, kind, thing.name), after=new)
            tx.run(PUT, kind, thing.name, new, tx.now, by)
    tx.run(NEW_VERSION)
    _drop_secrets(tx, put, remove)
    gone = [name for kind, name in remove if kind == "webhook"]
    if gone or any(isinstance(thing, Webhook) for thing in put):
        following.follow(tx, [name for name in gone if name not in {t.name for t in put if isinstance(t, Webhook)}])
    return directory_version(tx)


def _drop_secrets(tx: Tx, put: Sequence[Object], remove: Sequence[tuple[str, str]]) -> None:
    """Those of destinations that are gone; who comes under the same name brings its own."""
    there = {thing.name for thing in put if isinstance(thing, Destination)}
    for kind, name in remove:
        if kind == "destination" and name not in there:
            put_secret(tx, f"destination:{name}", None)


def _document(tx: Tx, kind: str, name: str) -> str | None:
    row = tx.one(OBJECT, kind, name)
    return None if row is None else str(row[0])


def _suppress(tx: Tx, thing: Suppression, by: str) -> None:
    address = normalize(thing.address)
    old = tx.one(SUPPRESSION, address)
    tx.run(PUT_SUPPRESSION, address, thing.reason, thing.source, tx.now, by)
    what, before = ("add", "") if old is None else ("change", old[0])
    audit(tx, by=by, what=what, kind="suppression", name=address, before=before, after=thing.reason)


def _unsuppress(tx: Tx, address: str, by: str) -> None:
    old = tx.one(SUPPRESSION, address)
    if old is not None:
        tx.run(REMOVE_SUPPRESSION, address)
        audit(tx, by=by, what="remove", kind="suppression", name=address, before=old[0])


def dump(thing: Object) -> str:
    """The document of an object; a choice says which one it is."""
    body = ADAPTERS[type(thing)].dump_python(thing, mode="json")
    field_name, word = chosen(object_kind(thing), thing)
    if word:
        body[field_name]["type"] = word
    return json.dumps(body)


def load(kind: str, name: str, document: str) -> Object:
    """The object of a document. Raises StoreError if this version of Mailroom can't read it."""
    try:
        body = json.loads(document)
        if kind in CHOICES:
            field_name, words = CHOICES[kind]
            choice = body.pop(field_name)
            body[field_name] = ADAPTERS[words[choice.pop("type")]].validate_python(choice)
        thing: Object = ADAPTERS[OBJECT_KINDS[kind]].validate_python(body)
    except (KeyError, ValidationError) as problem:
        raise StoreError(f"the {kind} {name!r} in the database can't be read: {problem}; apply your object file again") from problem
    return thing
