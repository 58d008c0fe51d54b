"""Adding and removing one object, checked as in an object file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailroom.objects import Object
    from mailroom.wiring.parts import Parts


def check_new(made: Object, *named: Object) -> None:
    """What has no table yet, as in an object file; `named` are those that it may name. Raises ClickException."""
    from mailroom import tables
    from mailroom_core.errors import ConfigError

    try:
        tables.check(made)
    except ConfigError as problem:
        raise click.ClickException(str(problem)) from None
    if mistakes := tables.dangling([*named, made]):
        raise click.ClickException(mistakes[-1])


def add_object(parts: Parts, kind: str, name: str, table: dict[str, object]) -> Object:
    """Checked as in an object file. Raises ClickException."""
    from pydantic import ValidationError

    from mailroom import tables
    from mailroom_core.errors import ConfigError

    directory = parts.directory()
    if name in _of_kind(parts, kind):
        raise click.ClickException(f"there is {_NAMES[kind]} {name!r} already; remove it first, or change it with: mailroom apply")
    try:
        made = tables.read(kind, name, table)
    except (ConfigError, ValidationError) as problem:
        raise click.ClickException(str(problem)) from None
    if mistakes := tables.dangling([*directory.accounts.values(), *directory.destinations.values(), made]):
        raise click.ClickException(mistakes[-1])
    parts.store.apply([made], [], by=by())
    return made


def remove_object(context: Context, kind: str, name: str) -> None:
    with context.parts() as parts:
        if name not in _of_kind(parts, kind):
            raise click.ClickException(f"there is no {_NAMES[kind].partition(' ')[2]} {name!r}; see: mailroom {kind} list")
        if kind == "destination" and (users := _users_of(parts, name)):
            raise click.ClickException(f"{name!r} is still named by {', '.join(users)}; change that first")
        parts.store.apply([], [(kind, name)], by=by())
    click.echo(f"{name} is gone.")


def _users_of(parts: Parts, destination: str) -> list[str]:
    """What names a destination."""
    directory = parts.directory()
    fallbacks = [f"the incoming server {each.name}" for each in directory.incoming.values() if each.destination == destination]
    aliases = [f"the alias {each.name}" for each in directory.aliases.values() if each.destination == destination]
    answers = [f"the application {each.name}" for each in directory.applications.values() if each.answers == destination]
    return fallbacks + aliases + answers


_NAMES = {"incoming": "an incoming server", "destination": "a destination", "alias": "an alias"}


def _of_kind(parts: Parts, kind: str) -> set[str]:
    """The names of all objects of a kind."""
    directory = parts.directory()
    kinds: dict[str, Mapping[str, object]] = {
        "incoming": directory.incoming,
        "destination": directory.destinations,
        "alias": directory.aliases,
    }
    return set(kinds[kind])
