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
from enum import Enum
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import TypeAdapter, ValidationError

from mailroom.objects import (
    Account,
    AliasDomain,
    Application,
    Directory,
    GraphRoute,
    Object,
    OutgoingServer,
    Route,
    SinkRoute,
    SmarthostRoute,
    object_kind,
)
from mailroom.settings import line_of
from mailroom_core.errors import ConfigError

KINDS: dict[str, type[Account | OutgoingServer | AliasDomain | Application]] = {
    "account": Account,
    "alias_domain": AliasDomain,
    "server": OutgoingServer,
    "application": Application,
}
ROUTES: dict[str, type[Route]] = {"graph": GraphRoute, "smarthost": SmarthostRoute, "sink": SinkRoute}
_NOT_IN_FILE = {"name", "key"}


@dataclass(frozen=True, slots=True)
class Change:
    """What `apply` would do to one object."""

    kind: str
    name: str
    what: str
    """`add`, `change` or `remove`."""
    fields: tuple[str, ...] = ()
    """Each changed field as `name: old -> new`."""


def read(path: Path) -> list[Object]:
    """All objects of the file. Raises ConfigError with every mistake and its line."""
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except OSError as problem:
        raise ConfigError(f"{path}: can't be read ({problem.strerror})") from None
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{path}: not valid TOML: {problem}") from None
    objects: list[Object] = []
    mistakes: list[str] = []
    for kind, tables in document.items():
        if kind not in KINDS or not isinstance(tables, dict):
            mistakes.append(f"{path}:{line_of(text, (kind,)) or 1}: there is no kind of object {kind!r}; there are {', '.join(KINDS)}")
            continue
        for name, table in tables.items():
            try:
                objects.append(_object(kind, name, table))
            except ValidationError as problem:
                for error in problem.errors():
                    line = line_of(text, (kind, name, *error["loc"])) or line_of(text, (f"{kind}.{name}",)) or 1
                    where = ".".join(str(part) for part in error["loc"])
                    mistakes.append(f"{path}:{line}: {kind} {name!r}: {where}: {error['msg'].removeprefix('Value error, ')}")
            except ConfigError as problem:
                mistakes.append(f"{path}:{line_of(text, (f'{kind}.{name}',)) or 1}: {kind} {name!r}: {problem}")
    mistakes += [f"{path}: {mistake}" for mistake in dangling(objects)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return objects


def _object(kind: str, name: str, table: dict[str, Any]) -> Object:
    values = {key: value for key, value in table.items() if key not in ROUTES or kind != "server"}
    if kind == "server":
        routes = [key for key in table if key in ROUTES]
        if len(routes) != 1:
            raise ConfigError(f"needs one of the tables {', '.join(ROUTES)}; it has {len(routes)}")
        values["route"] = _made(ROUTES[routes[0]], table[routes[0]])
    made: Object = _made(KINDS[kind], values, name=name)
    return made


def _made(cls: type[Any], values: dict[str, Any], **given: str) -> Any:
    known = {field.name for field in fields(cls)} - _NOT_IN_FILE
    if unknown := set(values) - known:
        raise ConfigError(f"there is no setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return TypeAdapter(cls).validate_python({**values, **given})


def dangling(objects: list[Object]) -> list[str]:
    """Names that point nowhere."""
    accounts = {item.name for item in objects if isinstance(item, Account)}
    domains = {item.name for item in objects if isinstance(item, AliasDomain)}
    found = []
    for item in objects:
        if isinstance(item, OutgoingServer) and isinstance(item.route, GraphRoute | SmarthostRoute):
            account = item.route.account
            if account not in accounts and (account or isinstance(item.route, GraphRoute)):
                found.append(f"server {item.name!r} names the account {account!r}, which does not exist; add [account.{account or 'NAME'}]")
        if isinstance(item, Application) and item.alias_domain and item.alias_domain not in domains:
            found.append(f"application {item.name!r} names the alias domain {item.alias_domain!r}, which does not exist")
    return found


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
    return tuple(f"{name}: {_plain(a)} -> {_plain(b)}" for name, a, b in pairs if a != b)


def write(directory: Directory) -> str:
    """All objects as TOML, with what differs from the default."""
    document = tomlkit.document()
    for kind, items in _by_kind(directory).items():
        if not items:
            continue
        section = tomlkit.table(is_super_table=True)
        for name, item in items.items():
            table = tomlkit.table()
            for key, value in _changed(item).items():
                if key == "route":
                    route = tomlkit.inline_table()
                    route.update(_changed(value))
                    table[next(word for word, cls in ROUTES.items() if isinstance(value, cls))] = route
                else:
                    table[key] = _plain(value)
            section[name] = table
        document[kind] = section
    return tomlkit.dumps(document)


def _changed(item: Any) -> dict[str, Any]:
    values = {field.name: (getattr(item, field.name), field.default) for field in fields(item) if field.name not in _NOT_IN_FILE}
    return {name: value if name == "route" else _plain(value) for name, (value, default) in values.items() if value != default}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _by_kind(directory: Directory) -> dict[str, dict[str, Any]]:
    return {
        "account": dict(directory.accounts),
        "alias_domain": dict(directory.alias_domains),
        "server": dict(directory.servers),
        "application": dict(directory.applications),
    }


def _name(item: Object) -> str:
    return getattr(item, "name", "") or getattr(item, "address", "")
