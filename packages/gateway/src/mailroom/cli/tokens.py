"""Tokens of the HTTP API: `mailroom token`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, json_option, show

if TYPE_CHECKING:
    from mailroom.objects import Directory, Scope

SCOPES = (
    "messages:send",
    "messages:read",
    "messages:act",
    "objects:read",
    "objects:write",
    "conversations:read",
    "conversations:write",
    "inbound:write",
)


@click.group()
def token() -> None:
    """Tokens: which program may use the HTTP API, and for what."""


@token.command("add")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="What it may do; several times for more.")
@click.option("--application", default="", help="Sends as this one, and sees its mail alone; without one, it sees all mail.")
@click.option("--expires", default="", help="After this time it ends, for example 90d; without one, never.")
@click.option("--per-minute", default=6000, show_default=True, type=click.IntRange(0), help="Requests; 0 is no limit.")
@click.pass_obj
def add_token(context: Context, name: str, scopes: tuple[str, ...], application: str, expires: str, per_minute: int) -> None:
    """Add a token and show it, once."""
    from mailroom.objects import Scope, Token
    from mailroom.vault import credentials
    from mailroom.wiring.parts import credential_key

    wanted = tuple(dict.fromkeys(Scope(scope) for scope in scopes))
    ends = _end(expires)
    with context.parts() as parts:
        _check(parts.directory(), name, wanted, application)
        secret = credentials.TOKEN + credentials.generate()
        key = credentials.digest(credential_key(parts), secret)
        made = Token(name=name, key=key, scopes=wanted, application=application, expires_at=ends, per_minute=per_minute)
        parts.store.apply([made], [], by=by())
    click.echo(secret)
    click.echo("The token is shown this once; only its hash is kept. Send it as `Authorization: Bearer ...`.", err=True)


def _end(expires: str) -> datetime | None:
    from datetime import timedelta

    from mailroom.units import span

    if not expires:
        return None
    try:
        length = span(expires)
        assert isinstance(length, timedelta)
        return datetime.now(UTC) + length
    except (ValueError, OverflowError) as problem:
        raise click.ClickException(str(problem)) from None


def _check(directory: Directory, name: str, scopes: tuple[Scope, ...], application: str) -> None:
    from mailroom.objects import Scope

    if not name.strip() or not name.isprintable():
        raise click.ClickException("give the token a name in printable characters")
    if name in directory.tokens:
        raise click.ClickException(f"there is a token {name!r} already; remove it first, or take another name")
    if application and application not in directory.applications:
        raise click.ClickException(f"there is no application {application!r}; see: mailroom app list")
    if Scope.SEND in scopes and not application:
        raise click.ClickException("a token that sends belongs to an application, whose senders it may use: say --application NAME")
    if application and {Scope.OBJECTS_READ, Scope.OBJECTS_WRITE} & set(scopes):
        raise click.ClickException("objects belong to all applications: make another token for them, without --application")
    if application and Scope.INBOUND_WRITE in scopes:
        raise click.ClickException("what comes in belongs to no application: make another token for it, without --application")


@token.command("list")
@json_option
@click.pass_obj
def list_tokens(context: Context, as_json: bool) -> None:
    """All tokens; what they are themselves, nobody knows any more."""
    with context.parts() as parts:
        found = parts.directory().tokens.values()
    now = datetime.now(UTC)
    rows: list[dict[str, object]] = [
        {
            "name": item.name,
            "scopes": [scope.value for scope in item.scopes],
            "application": item.application or "all",
            "expires": item.expires_at or "never",
            "state": "expired" if item.expires_at and item.expires_at <= now else "valid",
        }
        for item in found
    ]
    show(rows, as_json=as_json, empty="No token yet. Add one with: mailroom token add NAME --scope messages:send --application NAME")


@token.command("remove")
@click.argument("name")
@click.pass_obj
def remove_token(context: Context, name: str) -> None:
    """It stops working within a second or two."""
    with context.parts() as parts:
        if name not in parts.directory().tokens:
            raise click.ClickException(f"there is no token {name!r}; see: mailroom token list")
        parts.store.apply([], [("token", name)], by=by())
    click.echo(f"{name} is gone.")


COMMANDS = (token,)
