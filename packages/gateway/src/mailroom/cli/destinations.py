"""What destinations need beside their object: `mailroom destination`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, json_option, show_steps
from mailroom.cli.incoming import destination

if TYPE_CHECKING:
    from mailroom.objects import Destination
    from mailroom.wiring.parts import Parts


def _known(parts: Parts, name: str) -> Destination:
    found = parts.directory().destinations.get(name)
    if found is None:
        raise click.ClickException(f"there is no destination {name!r}; add [destination.{name}] with: mailroom apply")
    return found


def _go_on(parts: Parts, item: Destination, what: str) -> str:
    """The running gateway uses the new secret, and what was held for the old one goes on. Why it stays held, if it does."""
    from mailroom.holds import free_after_sign_in

    parts.store.apply([item], [], by=by())
    parts.store.audit(by=by(), what=what, kind="destination", name=item.name)
    _, staying = free_after_sign_in(parts.store, lambda lane: lane == f"destination:{item.name}", by=by())
    return staying[0].held if staying else ""


@destination.command("key")
@click.argument("name")
@click.pass_obj
def destination_key(context: Context, name: str) -> None:
    """The API key of an Odoo (or its user's password, by XML-RPC); asked for, or read from standard input. Held mail goes on."""
    from mailroom.cli.configuration import ask_password
    from mailroom.objects import OdooTarget
    from mailroom.wiring.handing import secret_of

    with context.parts() as parts:
        known = _known(parts, name)
        if not isinstance(known.target, OdooTarget):
            raise click.ClickException(f"the destination {name!r} has no key; only one that is an Odoo has")
        key = ask_password(known.target.user, known.target.url)
        parts.vault.seal(secret_of(name), {"key": key})
        held = _go_on(parts, known, "new key")
    click.echo(f"The key is kept; {held or 'mail that waited for it goes on'}. Try it with: mailroom destination test {name}")


@destination.command("test")
@click.argument("name")
@json_option
@click.pass_obj
def destination_test(context: Context, name: str, as_json: bool) -> None:
    """Try a destination without handing mail over, and show each step. Ends with 1 if it would not take mail."""
    import asyncio

    from mailroom.wiring.handing import destination_trial

    with context.parts() as parts:
        if not asyncio.run(show_steps(destination_trial(parts, name), as_json=as_json)):
            raise click.exceptions.Exit(1)


COMMANDS: tuple[click.Command, ...] = ()
"""They belong to the group `destination`."""
