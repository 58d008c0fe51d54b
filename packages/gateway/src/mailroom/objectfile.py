"""Objects as a TOML file: `mailroom apply` reads it, `mailroom export` writes it.

    [server."Microsoft 365"]
    priority = 1
    from_filter = ["example.com"]
    graph = { account = "office" }

One table per object; its route is the table `graph`, `smarthost` or `sink`. What a program makes (the hash of a credential) is not in
the file and stays as it is in the store.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError

from mailroom import tables
from mailroom.objects import Application, Directory, Object, object_kind
from mailroom.settings import line_of
from mailroom.units import size
from mailroom_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Change:
    """What `apply` would do to one object."""

    kind: str
    name: str
    what: str
    """`add`, `change` or `remove`."""
    fields: tuple[str, ...] = ()
    """Each changed field as `name: old -> new`."""


def read(path: Path, directory: Directory | None = None) -> list[Object]:
    """All objects of the file, over those that are there. Raises ConfigError with every mistake and its line."""
    present = _by_kind(directory or Directory())
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except OSError as problem:
        raise ConfigError(f"{path}: can't be read ({problem.strerror})") from None
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{path}: not valid TOML: {problem}") from None
    objects: list[Object] = []
    mistakes: list[str] = []
    for kind, section in document.items():
        if kind not in tables.KINDS or not isinstance(section, dict):
            known = ", ".join(tables.KINDS)
            mistakes.append(f"{path}:{line_of(text, (kind,)) or 1}: there is no kind of object {kind!r}; there are {known}")
            continue
        for name, table in section.items():
            try:
                objects.append(tables.read(kind, name, _with_sizes(table), present[kind].get(name)))
            except ValidationError as problem:
                for error in problem.errors():
                    line = line_of(text, (kind, name, *error["loc"])) or line_of(text, (f"{kind}.{name}",)) or 1
                    where = ".".join(str(part) for part in error["loc"])
                    mistakes.append(f"{path}:{line}: {kind} {name!r}: {where}: {error['msg'].removeprefix('Value error, ')}")
            except (ConfigError, ValueError) as problem:
                mistakes.append(f"{path}:{line_of(text, (f'{kind}.{name}',)) or 1}: {kind} {name!r}: {problem}")
    mistakes += [f"{path}: {mistake}" for mistake in tables.dangling(objects)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return objects


def _with_sizes(table: Any) -> Any:
    """People write `"35MiB"`; a table has bytes. Raises ValueError."""
    if not isinstance(table, dict) or not isinstance(table.get("max_size"), str):
        return table
    return {**table, "max_size": size(table["max_size"])}


def plan(directory: Directory, wanted: list[Object]) -> tuple[list[Change], list[Object], list[tuple[str, str]]]:
    """How to make the store match: the changes for people, the objects to put, the (kind, name) to remove."""
    present = {(kind, name): item for kind, items in _by_kind(directory).items() for name, item in items.items()}
    changes: list[Change] = []
    put: list[Object] = []
    for item in wanted:
        kind, name = object_kind(item), _name(item)
        old = present.pop((kind, name), None)
        if old is None:
            changes.append(Change(kind, name, "add"))
        else:
            if isinstance(item, Application) and isinstance(old, Application):
                item = replace(item, key=old.key)
            if item == old:
                continue
            changes.append(Change(kind, name, "change", _differences(old, item)))
        put.append(item)
    changes += [Change(kind, name, "remove") for kind, name in present]
    return changes, put, list(present)


def _differences(old: Object, new: Object) -> tuple[str, ...]:
    pairs = ((field.name, getattr(old, field.name), getattr(new, field.name)) for field in fields(new))
    return tuple(f"{name}: {tables.plain(a)} -> {tables.plain(b)}" for name, a, b in pairs if a != b)


def write(directory: Directory) -> str:
    """All objects as TOML, with what differs from the default."""
    document = tomlkit.document()
    for kind, items in _by_kind(directory).items():
        if not items:
            continue
        section = tomlkit.table(is_super_table=True)
        for name, item in items.items():
            table = tomlkit.table()
            for key, value in tables.write(item).items():
                if isinstance(value, dict):
                    route = tomlkit.inline_table()
                    route.update(value)
                    table[key] = route
                else:
                    table[key] = value
            section[name] = table
        document[kind] = section
    return tomlkit.dumps(document)


def _by_kind(directory: Directory) -> dict[str, dict[str, Any]]:
    return {
        "account": dict(directory.accounts),
        "alias_domain": dict(directory.alias_domains),
        "server": dict(directory.servers),
        "application": dict(directory.applications),
        "webhook": dict(directory.webhooks),
        "destination": dict(directory.destinations),
        "alias": dict(directory.aliases),
        "incoming": dict(directory.incoming),
    }


def _name(item: Object) -> str:
    return getattr(item, "name", "") or getattr(item, "address", "")
