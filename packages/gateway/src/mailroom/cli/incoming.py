"""The way in: `mailroom incoming`, `destination`, `alias`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, json_option, show, show_steps
from mailroom.cli.objects import add_object, remove_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mailroom.objects import IncomingServer
    from mailroom.ports import Watched
    from mailroom.wiring.parts import Parts
    from mailroom_core.model import LaneName

POLL = 0.3
"""Seconds between two looks at how far a look has come."""
NOBODY = 20.0
"""Seconds after which a lane that nobody owns says that no gateway is running."""


@click.group()
def incoming() -> None:
    """Incoming servers: the mailboxes that mail is fetched from."""


@incoming.command("add")
@click.argument("name")
@click.option("--account", required=True, help="Made by `mailroom connect`.")
@click.option("--mailbox", default="", help="The address of another mailbox that the account may read; empty is its own.")
@click.option("--folder", default="inbox", show_default=True, help="A well-known name, or a path such as Inbox/Invoices.")
@click.option(
    "--after",
    type=click.Choice(["read", "move", "delete", "nothing"]),
    default="read",
    show_default=True,
    help="What becomes of a mail there when it is safe here; `nothing` for who may only read.",
)
@click.option("--move-to", default="", help="The folder for --after move.")
@click.option("--destination", default="", help="Takes what no alias wants; without one, it waits in quarantine.")
@click.option("--every", default=5, show_default=True, help="Minutes between two looks, where nobody tells of new mail.")
@click.option("--authserv-id", default="", help="The name in the mailbox's own Authentication-Results; without it, nobody is proven.")
@click.pass_obj
def add_incoming(
    context: Context,
    name: str,
    account: str,
    mailbox: str,
    folder: str,
    after: str,
    move_to: str,
    destination: str,
    every: int,
    authserv_id: str,
) -> None:
    """Fetch mail from a mailbox at Microsoft 365 under NAME."""
    from mailroom.mailboxes import address_of
    from mailroom.objects import IncomingServer
    from mailroom.wiring.incoming import warning

    table: dict[str, object] = {
        "graph": {"account": account, "mailbox": mailbox, "folder": folder},
        "after": after,
        "move_to": move_to,
        "destination": destination,
        "every_minutes": every,
        "authserv_id": authserv_id,
    }
    with context.parts() as parts:
        made = add_object(parts, "incoming", name, table)
        assert isinstance(made, IncomingServer)
        click.echo(f"{name} is there. Try it with: mailroom incoming test {name}")
        click.echo(warning(made, address_of(parts.directory(), made)), err=True)


@incoming.command("list")
@json_option
@click.pass_obj
def list_incoming(context: Context, as_json: bool) -> None:
    """All incoming servers: when each was looked at, whether its provider tells of new mail, and what is wrong."""
    with context.parts() as parts:
        watched = {each.name: each for each in parts.store.watch.all()}
        held = {lane.name: lane.held for lane in parts.store.lanes() if lane.held}
        rows = [_row(parts, server, watched.get(server.name), held) for server in parts.directory().incoming.values()]
    show(
        rows,
        as_json=as_json,
        empty="No mail is fetched yet. Add a mailbox at Microsoft 365 with: mailroom incoming add NAME --account ACCOUNT; "
        "another one with: mailroom incoming add-imap NAME --host HOST --user USER",
        columns=("name", "kind", "mailbox", "folder", "after", "looked_at", "next", "told", "trouble"),
        spare=("kind", "folder", "next"),
    )


def _row(parts: Parts, server: IncomingServer, watched: Watched | None, held: Mapping[LaneName, str]) -> dict[str, object]:
    from mailroom.mailboxes import address_of, folder_of
    from mailroom.objects import chosen
    from mailroom.wiring.parts import utc_now

    told = watched.subscribed_until if watched else None
    trouble = (held.get(watched.lane, "") or watched.trouble) if watched else ""
    return {
        "name": server.name,
        "kind": chosen("incoming", server)[1],
        "account": server.source.account,
        "mailbox": address_of(parts.directory(), server),
        "folder": folder_of(server),
        "after": server.after.value,
        "destination": server.destination,
        "every_minutes": server.every_minutes,
        "active": server.active,
        "looked_at": watched.looked_at if watched else None,
        "next": watched.due_at if watched else None,
        "told": "yes" if told is not None and told > utc_now() else "no",
        "told_until": told,
        "trouble": trouble if server.active else "not active",
    }


@incoming.command("remove")
@click.argument("name")
@click.pass_obj
def remove_incoming(context: Context, name: str) -> None:
    """Nothing is fetched there any more; mail that was fetched stays."""
    remove_object(context, "incoming", name)


@incoming.command("fetch")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every incoming server.")
@click.option("--wait/--no-wait", default=True, help="Watch until each look has ended.")
@click.pass_obj
def fetch(context: Context, names: tuple[str, ...], everything: bool, wait: bool) -> None:
    """Look at the mailboxes of NAMES now. Ends with 1 if one of them could not be read."""
    if not (names or everything):
        raise click.ClickException("name an incoming server, or say --all; see: mailroom incoming list")
    with context.parts() as parts:
        known = parts.directory().incoming
        wanted = list(dict.fromkeys(names)) or [name for name, each in known.items() if each.active]
        for name in wanted:
            if name not in known:
                raise click.ClickException(f"there is no incoming server {name!r}; see: mailroom incoming list")
            if not known[name].active:
                raise click.ClickException(f"{name} is not active; make it active again with: mailroom apply")
        if not wanted:
            raise click.ClickException("there is no incoming server yet; see: mailroom incoming add --help")
        before = {each.name: each for each in parts.store.watch.all()}
        parts.store.watch.now(wanted)
        if not wait:
            click.echo("They are looked at as soon as their lanes allow it.")
            return
        if not _wait(parts, wanted, before):
            raise click.exceptions.Exit(1)


def _wait(parts: Parts, names: list[str], before: dict[str, Watched]) -> bool:
    """Whether all went well. Raises ClickException if nobody looks."""
    import time

    from mailroom.wiring.parts import utc_now

    began, start, well = utc_now(), time.monotonic(), True
    while names:
        time.sleep(POLL)
        lanes = {lane.name: lane for lane in parts.store.lanes()}
        now = {each.name: each for each in parts.store.watch.all()}
        for name in list(names):
            watched, known = now.get(name), before.get(name)
            lane = lanes.get(watched.lane) if watched else None
            if watched and watched.looked_at and watched.looked_at != (known.looked_at if known else None):
                names.remove(name)
                well = well and not watched.trouble
                click.echo(f"{name}: {watched.trouble or f'{_came(parts, name, began)} new'}")
            elif lane and lane.held:
                names.remove(name)
                well = False
                click.echo(f"{name}: its lane is held: {lane.held}; then: mailroom queue free {lane.name}")
            elif (lane is None or not lane.owned) and time.monotonic() - start > NOBODY:
                raise click.ClickException(f"nobody has looked at {name}; see that the gateway runs (mailroom serve), and ask again")
        if names:
            click.echo(f"\r{', '.join(names)}: looking, {sum(_came(parts, name, began) for name in names)} new ...", nl=False, err=True)
    return well


def _came(parts: Parts, name: str, since: datetime) -> int:
    """Mails that were fetched by an incoming server since then."""
    from mailroom.ports import Query

    found, after = parts.store.find(Query(since=since), limit=1000)
    while after:
        more, after = parts.store.find(Query(since=since), limit=1000, after=after)
        found += more
    return len({each.message.id for each in found if each.message.source == name})


@incoming.command("test")
@click.argument("name")
@json_option
@click.pass_obj
def test(context: Context, name: str, as_json: bool) -> None:
    """Look into the mailbox of NAME, or with `mx` at the MX listener, and show each step; nothing is taken. Ends with 1 if one fails."""
    import asyncio

    from mailroom.mailboxes import address_of
    from mailroom.wiring.incoming import incoming_trial, warning

    with context.parts() as parts:
        well = asyncio.run(show_steps(incoming_trial(parts, name), as_json=as_json))
        server = parts.directory().incoming.get(name)
        if server is not None:
            click.echo(warning(server, address_of(parts.directory(), server)), err=True)
    if not well:
        raise click.exceptions.Exit(1)


COMMANDS = (incoming,)
