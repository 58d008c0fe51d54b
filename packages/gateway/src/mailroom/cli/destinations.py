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


def _go_on(parts: Parts, item: Destination) -> str:
    """What was held for the old secret goes on. Why it stays held, if it does."""
    from mailroom.holds import free_after_sign_in

    _, staying = free_after_sign_in(parts.store, lambda lane: lane == f"destination:{item.name}", by=by())
    return staying[0].held if staying else ""


@destination.command("key")
@click.argument("name")
@click.pass_obj
def destination_key(context: Context, name: str) -> None:
    """The API key of an Odoo (or its user's password, by XML-RPC); asked for, or read from standard input. Held mail goes on."""
    from mailroom.cli.configuration import ask_password
    from mailroom.objects import OdooTarget
    from mailroom.webhooks.desk import secret_of

    with context.parts() as parts:
        known = _known(parts, name)
        if not isinstance(known.target, OdooTarget):
            raise click.ClickException(f"the destination {name!r} has no key; only one that is an Odoo has")
        key = ask_password(known.target.user, known.target.url)
        parts.vault.seal(secret_of(name), {"key": key})
        parts.store.apply([known], [], by=by())  # so that the running gateway reads it
        parts.store.audit(by=by(), what="new key", kind="destination", name=name)
        held = _go_on(parts, known)
    click.echo(f"The key is kept; {held or 'mail that waited for it goes on'}. Try it with: mailroom destination test {name}")


@destination.command("secret")
@click.argument("name")
@click.pass_obj
def destination_secret(context: Context, name: str) -> None:
    """A new secret for a destination that is a webhook, shown once. For a day, calls are signed with the one of before as well."""
    from mailroom.objects import WebhookTarget
    from mailroom.wiring.parts import webhook_desk

    with context.parts() as parts:
        known = _known(parts, name)
        if not isinstance(known.target, WebhookTarget):
            raise click.ClickException(f"the destination {name!r} has no secret; only one that is a webhook has")
        made = webhook_desk(parts).rotate_of(known, by=by())
        _go_on(parts, known)
    click.echo(made)
    click.echo("The secret is shown this once. Give it to the target, which checks the calls with it (standardwebhooks.com).", err=True)


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
