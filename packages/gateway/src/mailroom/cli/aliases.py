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
@click.option("--any-domain", is_flag=True, help="In every domain: what stands before the @ decides alone.")
@click.option("--domain", "domains", multiple=True, help="Another domain in which it is an address as well; several times for more.")
@click.option("--automatic", is_flag=True, help="Takes automatic answers and mailing lists as well.")
@click.option("--refusal", default="", help="What somebody is told who may not write to it; empty is our own words.")
@click.option("--default", "values", multiple=True, help="NAME=VALUE of what its mail opens, such as team_id=3; several times for more.")
@click.pass_obj
def add_alias(
    context: Context,
    address: str,
    destination: str,
    writers: str,
    authenticated: bool,
    any_domain: bool,
    domains: tuple[str, ...],
    automatic: bool,
    refusal: str,
    values: tuple[str, ...],
) -> None:
    """Mail to ADDRESS goes to a destination."""
    from mailroom import defaults
    from mailroom_core.errors import ConfigError

    try:
        given = defaults.read(values)
    except ConfigError as problem:
        raise click.ClickException(str(problem)) from None
    table: dict[str, object] = {
        "destination": destination,
        "writers": writers,
        "authenticated": authenticated,
        "any_domain": any_domain,
        "domains": list(domains),
        "automatic": automatic,
        "refusal": refusal,
        "defaults": given,
    }
    with context.parts() as parts:
        add_object(parts, "alias", address, table)
    click.echo(f"Mail to {address} goes to {destination}, if it comes to a mailbox that is fetched (mailroom incoming list).")


@alias.command("list")
@json_option
@click.pass_obj
def list_aliases(context: Context, as_json: bool) -> None:
    """All aliases."""
    from mailroom import defaults

    with context.parts() as parts:
        found = parts.directory().aliases.values()
    rows: list[dict[str, object]] = [
        {
            "address": each.name,
            "destination": each.destination,
            "writers": each.writers.value,
            "authenticated": "yes" if each.authenticated else "no",
            "any_domain": "yes" if each.any_domain else "no",
            "domains": each.domains,
            "automatic": "yes" if each.automatic else "no",
            "refusal": each.refusal,
            "defaults": dict(each.defaults) if as_json else defaults.lines(each.defaults),
            "active": each.active,
        }
        for each in found
    ]
    show(
        rows,
        as_json=as_json,
        empty="No alias yet. Add one with: mailroom alias add sales@your.domain --destination NAME",
        spare=("domains", "automatic", "refusal", "defaults"),
    )


@alias.command("remove")
@click.argument("address")
@click.pass_obj
def remove_alias(context: Context, address: str) -> None:
    """Mail to ADDRESS goes to the fallback of its incoming server from now on, or to quarantine."""
    remove_object(context, "alias", address)


COMMANDS = (alias,)
