"""`mailroom alias`: addresses of ours, and where their mail goes."""

from __future__ import annotations

import click

from mailroom.cli.context import Context, json_option, show
from mailroom.cli.objects import add_object, remove_object


@click.group()
def alias() -> None:
    """Aliases: addresses of ours, and where their mail goes."""


@alias.command("add")
@click.argument("address")
@click.option("--destination", required=True, help="Who takes its mail.")
@click.option(
    "--writers",
    type=click.Choice(["everyone", "known", "followers"]),
    default="everyone",
    show_default=True,
    help="Who may write to it; `known` are those whom we have written to.",
)
@click.option("--authenticated", is_flag=True, help="Only mail whose sender is proven.")
@click.option("--any-domain", is_flag=True, help="What stands before the @ decides alone.")
@click.option("--refusal", default="", help="What somebody is told who may not write to it; empty is our own words.")
@click.pass_obj
def add_alias(context: Context, address: str, destination: str, writers: str, authenticated: bool, any_domain: bool, refusal: str) -> None:
    """Mail to ADDRESS goes to a destination."""
    table: dict[str, object] = {
        "destination": destination,
        "writers": writers,
        "authenticated": authenticated,
        "any_domain": any_domain,
        "refusal": refusal,
    }
    with context.parts() as parts:
        add_object(parts, "alias", address, table)
    click.echo(f"Mail to {address} goes to {destination}, if it comes to a mailbox that is fetched (mailroom incoming list).")


@alias.command("list")
@json_option
@click.pass_obj
def list_aliases(context: Context, as_json: bool) -> None:
    """All aliases."""
    with context.parts() as parts:
        found = parts.directory().aliases.values()
    rows: list[dict[str, object]] = [
        {
            "address": each.name,
            "destination": each.destination,
            "writers": each.writers.value,
            "authenticated": "yes" if each.authenticated else "no",
            "any_domain": "yes" if each.any_domain else "no",
            "active": each.active,
        }
        for each in found
    ]
    show(rows, as_json=as_json, empty="No alias yet. Add one with: mailroom alias add sales@your.domain --destination NAME")


@alias.command("remove")
@click.argument("address")
@click.pass_obj
def remove_alias(context: Context, address: str) -> None:
    """Mail to ADDRESS goes to the fallback of its incoming server from now on, or to quarantine."""
    remove_object(context, "alias", address)


COMMANDS = (alias,)
