"""`mailroom destination`: who takes mail that has come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, json_option, show, show_steps
from mailroom.cli.objects import add_object, remove_object

if TYPE_CHECKING:
    from mailroom.objects import Destination, Target
    from mailroom.wiring.parts import Parts


@click.group()
def destination() -> None:
    """Destinations: who takes mail that has come in."""


@destination.command("add")
@click.argument("name")
@click.option("--follower", "followers", multiple=True, help="An address that gets a copy of every mail; several times for more.")
@click.pass_obj
def add_destination(context: Context, name: str, followers: tuple[str, ...]) -> None:
    """A built-in inbox under NAME: conversations, where answers stand with what they answer."""
    with context.parts() as parts:
        add_object(parts, "destination", name, {"inbox": {"followers": list(followers)}})
    click.echo(f"{name} is there. Give it an address with: mailroom alias add ADDRESS --destination {name}")


@destination.command("add-forward")
@click.argument("name")
@click.option("--to", "to", required=True, multiple=True, help="An address that gets all of its mail; several times for more.")
@click.pass_obj
def add_forward(context: Context, name: str, to: tuple[str, ...]) -> None:
    """Other addresses under NAME: what comes in for it is forwarded by mail."""
    with context.parts() as parts:
        add_object(parts, "destination", name, {"forward": {"to": list(to)}})
        domains = parts.directory().alias_domains
    click.echo(f"{name} is there. Give it an address with: mailroom alias add ADDRESS --destination {name}")
    if not domains:
        click.echo("Nothing can be forwarded before there is an alias domain, whose address the sender becomes: mailroom apply", err=True)


@destination.command("add-doctor")
@click.argument("name")
@click.pass_obj
def add_doctor(context: Context, name: str) -> None:
    """The doctor under NAME: it reads DMARC reports that come in for it, and takes other mail apart."""
    with context.parts() as parts:
        add_object(parts, "destination", name, {"doctor": {}})
    click.echo(f"{name} is there. Give it an address with: mailroom alias add ADDRESS --destination {name}")


@destination.command("list")
@json_option
@click.pass_obj
def list_destinations(context: Context, as_json: bool) -> None:
    """All destinations, with the aliases that lead there."""
    from mailroom.objects import chosen

    with context.parts() as parts:
        directory = parts.directory()
    rows: list[dict[str, object]] = [
        {
            "name": each.name,
            "kind": chosen("destination", each)[1],
            "to": _where(each.target),
            "aliases": [alias.name for alias in directory.aliases.values() if alias.destination == each.name],
            "active": each.active,
        }
        for each in directory.destinations.values()
    ]
    show(rows, as_json=as_json, empty="No destination yet: what comes in waits in quarantine. Add one with: mailroom destination add NAME")


def _where(target: Target) -> tuple[str, ...]:
    """Where its mail goes: an inbox has followers."""
    from mailroom.objects import DoctorTarget, ForwardTarget, InboxTarget

    if isinstance(target, ForwardTarget):
        return target.to
    if isinstance(target, DoctorTarget):
        return ()
    return target.followers if isinstance(target, InboxTarget) else (target.url,)


@destination.command("remove")
@click.argument("name")
@click.pass_obj
def remove_destination(context: Context, name: str) -> None:
    """Mail that waits for it is held until there is one of that name again; its conversations stay."""
    remove_object(context, "destination", name)


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
@click.option("--add-on", is_flag=True, help="The key of the add-on in that Odoo, for a destination with that api.")
@click.pass_obj
def destination_key(context: Context, name: str, add_on: bool) -> None:
    """The API key of an Odoo (or its user's password, by XML-RPC); asked for, or read from standard input. Held mail goes on."""
    from mailroom.cli.configuration import ask_password
    from mailroom.objects import OdooApi, OdooTarget
    from mailroom.webhooks.desk import secret_of

    with context.parts() as parts:
        known = _known(parts, name)
        if not isinstance(known.target, OdooTarget):
            raise click.ClickException(f"the destination {name!r} has no key; only one that is an Odoo has")
        if add_on and known.target.api is not OdooApi.ADD_ON:
            raise click.ClickException(f'{name!r} does not use the add-on; set api = "add-on" first, with: mailroom apply')
        key = ask_password("the add-on" if add_on else known.target.user, known.target.url)
        parts.vault.seal(f"add-on:{name}" if add_on else secret_of(name), {"key": key})
        parts.store.apply([known], [], by=by())  # so that the running gateway reads it
        parts.store.audit(by=by(), what="new key of the add-on" if add_on else "new key", kind="destination", name=name)
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


COMMANDS = (destination,)
