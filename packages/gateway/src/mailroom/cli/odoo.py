"""`mailroom odoo`: a stock Odoo sends through Mailroom, and gets its answers from it, without anybody entering anything there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailroom.console.odoo_desk import Prepared


@click.group()
def odoo() -> None:
    """A stock Odoo: its outgoing server, alias domain and FROM filter, set up from here and taken back."""


@odoo.command("setup")
@click.argument("destination")
@click.option("--host", default="", help="Where Odoo reaches this gateway; otherwise as it is called.")
@click.option("--port", default=0, help="Of its submission listener; otherwise the first one's.")
@click.option("--domain", default="", help="The alias domain; needed if there are several.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.pass_obj
def setup(context: Context, destination: str, host: str, port: int, domain: str, yes: bool) -> None:
    """Set up the Odoo of a DESTINATION: says what will change there, asks, and remembers what was before."""
    import asyncio

    from mailroom.wiring.odoo import OdooSetup

    with context.parts() as parts:
        desk = OdooSetup(parts)
        plan = asyncio.run(desk.prepared(destination, host=host, port=port, domain=domain))
        _show(plan)
        if not plan.changes:
            click.echo("Nothing is to be done: Odoo has it all.")
            return
        if not yes:
            click.confirm("Do this?", abort=True)
        asyncio.run(_told(desk.carried_out(plan, by=by())))
    click.echo(f"Done. Send a mail from Odoo to try it; mailroom odoo undo {destination} brings back what was before.")


@odoo.command("undo")
@click.argument("destination")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.pass_obj
def undo(context: Context, destination: str, yes: bool) -> None:
    """Bring back what the Odoo of a DESTINATION had before; what somebody has changed there since stays."""
    import asyncio

    from mailroom.wiring.odoo import OdooSetup

    if not yes:
        click.confirm(f"Take back what was set up in {destination}? Its mail does not leave through Mailroom any more", abort=True)
    with context.parts() as parts:
        asyncio.run(_told(OdooSetup(parts).taken_back(destination, by=by())))


def _show(plan: Prepared) -> None:
    for change in plan.changes:
        click.echo(f"{'Change' if change.id else 'Add'} {change.title}")
        for line in change.lines():
            click.echo(f"    {line}")
    for warning in plan.warnings:
        click.echo(f"Note: {warning}.", err=True)


async def _told(said: AsyncIterator[str]) -> None:
    async for each in said:
        click.echo(f"{each[0].upper()}{each[1:]}.")


COMMANDS = (odoo,)
