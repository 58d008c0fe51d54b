"""`mailroom incoming add-imap`, `add-pop` and `password`: mailboxes at mail servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mailroom.cli.configuration import ask_password
from mailroom.cli.context import Context, by
from mailroom.cli.incoming import incoming
from mailroom_core.providers.reading import BY_KEY

if TYPE_CHECKING:
    from mailroom.objects import IncomingServer
    from mailroom.wiring.parts import Parts

PORTS = {"imap": {"tls": 993, "starttls": 143, "none": 143}, "pop": {"tls": 995, "starttls": 110, "none": 110}}


def _options(*, after: list[str], usual: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What both kinds want to know."""
    given = (
        click.argument("name"),
        click.option("--preset", type=click.Choice(list(BY_KEY)), default=None, help="A well-known service, instead of --host."),
        click.option("--host", default="", help="The mail server."),
        click.option("--port", default=0, help="Instead of the usual one."),
        click.option("--security", type=click.Choice(["tls", "starttls", "none"]), default="tls", show_default=True),
        click.option("--user", default="", help="Who signs in with a password; with --account, another mailbox that it may open."),
        click.option("--account", default="", help="Instead of a password: sign in as this account (XOAUTH2), made by `mailroom connect`."),
        click.option("--ca-file", default="", help="A file with the CA of the server's certificate, if it is one of your own."),
        click.option(
            "--after", type=click.Choice(after), default=usual, show_default=True, help="What becomes of a mail there when it is safe here."
        ),
        click.option("--destination", default="", help="Takes what no alias wants; without one, it waits in quarantine."),
        click.option("--every", default=5, show_default=True, help="Minutes between two looks."),
        click.option("--authserv-id", default="", help="The name in its own Authentication-Results; without it, nobody is proven."),
    )

    def with_all(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(given):
            command = option(command)
        return command

    return with_all


@incoming.command("add-imap")
@_options(after=["read", "move", "delete", "nothing"], usual="read")
@click.option("--folder", default="INBOX", show_default=True, help="A name, or a path such as INBOX/Invoices.")
@click.option("--move-to", default="", help="The folder for --after move.")
@click.option("--idle/--no-idle", default=True, help="Wait at the mailbox, so that mail is taken as soon as it comes.")
@click.pass_obj
def add_imap(context: Context, /, name: str, folder: str, move_to: str, idle: bool, **given: Any) -> None:
    """Fetch mail from a mailbox by IMAP under NAME. A password is asked for, or read from standard input."""
    _add(context, name, "imap", {"folder": folder, "idle": idle}, {"move_to": move_to}, given)


@incoming.command("add-pop")
@_options(after=["delete", "nothing"], usual="delete")
@click.pass_obj
def add_pop(context: Context, /, name: str, **given: Any) -> None:
    """Fetch mail from a mailbox by POP3 under NAME. A password is asked for, or read from standard input."""
    _add(context, name, "pop", {}, {}, given)


@incoming.command("password")
@click.argument("name")
@click.pass_obj
def change_password(context: Context, name: str) -> None:
    """Enter the password of a mailbox again; it is asked for, or read from standard input. The mailbox is looked at then."""
    with context.parts() as parts:
        server = parts.directory().incoming.get(name)
        if server is None:
            raise click.ClickException(f"there is no incoming server {name!r}; see: mailroom incoming list")
        _set_password(parts, server)
    click.echo(f"The password of {name} is kept.")


def _add(context: Context, name: str, kind: str, inbox: dict[str, object], more: dict[str, object], given: dict[str, Any]) -> None:
    from mailroom.cli.objects import add_object
    from mailroom.mailboxes import address_of
    from mailroom.objects import IncomingServer
    from mailroom.wiring.incoming import warning

    service = BY_KEY.get(given["preset"] or "")
    host = given["host"] or (getattr(service, kind) if service else "")
    if not host:
        raise click.ClickException("name the mail server with --host, or a well-known service with --preset")
    if not (given["user"] or given["account"]):
        raise click.ClickException(
            f"say who signs in, with --user or --account{f'; for {service.name}: {service.sign_in}' if service else ''}"
        )
    port = given["port"] or PORTS[kind][given["security"]]
    place = {"host": host, "port": port, **{each: given[each] for each in ("security", "user", "account", "ca_file")}, **inbox}
    table = {
        kind: place,
        **{each: given[each] for each in ("after", "destination", "authserv_id")},
        "every_minutes": given["every"],
        **more,
    }
    password = "" if given["account"] else ask_password(given["user"], host)
    with context.parts() as parts:
        made = add_object(parts, "incoming", name, table)
        assert isinstance(made, IncomingServer)
        if password:
            parts.vault.seal(f"incoming:{name}", {"password": password})
        click.echo(f"{name} is there. Try it with: mailroom incoming test {name}")
        if service and service.hint:
            click.echo(f"{service.hint}.")
        click.echo(warning(made, address_of(parts.directory(), made)), err=True)


def _set_password(parts: Parts, server: IncomingServer) -> None:
    from mailroom.mailboxes import address_of
    from mailroom.objects import GraphInbox
    from mailroom.wiring.parts import object_desk

    if isinstance(server.source, GraphInbox) or server.source.account:
        raise click.ClickException(
            f"{server.name} signs in with an account and has no password; run: mailroom connect {server.source.account}"
        )
    password = ask_password(address_of(parts.directory(), server), server.source.host)
    object_desk(parts).set_incoming_password(server, password, by=by())


COMMANDS: tuple[click.Command, ...] = ()
"""They belong to the group `incoming`."""
