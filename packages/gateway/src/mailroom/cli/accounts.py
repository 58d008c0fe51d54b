"""`mailroom connect`: a mailbox, by signing in with the browser or app-only."""

from __future__ import annotations

import asyncio
import getpass
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, counted

if TYPE_CHECKING:
    from mailroom.objects import Account, Directory, OutgoingServer
    from mailroom.wiring.parts import Parts


@click.command()
@click.argument("name")
@click.option("--mailbox", default="", help="The address of the mailbox that signs in; app-only: the one to send from.")
@click.option("--client-id", default="", help="Application (client) ID of your app registration.")
@click.option("--tenant", default="", help="Directory (tenant) ID or domain; needed for app-only and for single-tenant registrations.")
@click.option(
    "--app-only/--delegated", default=None, help="Client credentials instead of a person's sign-in, or a person's sign-in (at first)."
)
@click.option("--secret", "with_secret", is_flag=True, help="Ask for a client secret (or read it from standard input).")
@click.option("--certificate", type=click.Path(path_type=Path, exists=True), help="PEM with certificate and RSA key instead of a secret.")
@click.option(
    "--send-only/--read-write",
    default=None,
    help="Ask for Mail.Send alone: no mail above 2.9 MB, no looking before sending again. Or for Mail.ReadWrite as well, as at first.",
)
@click.option(
    "--smtp/--no-smtp", default=None, help="Ask for SMTP.Send as well: for a smarthost (smtp.office365.com) that signs in as this account."
)
@click.option("--personal", is_flag=True, help="A personal account (outlook.com): no shared mailboxes.")
@click.option("--cloud", type=click.Choice(["global", "usgov", "dod", "china"]), default=None)
@click.option("--login-url", default="", help="For an emulator.")
@click.option("--graph-url", default="", help="For an emulator: its address; /v1.0 at its end does no harm.")
@click.option("--redirect-port", default=0, help="Port of the page that takes the answer; 0 is any.")
@click.option("--browser/--no-browser", default=True, help="Open the browser, or only print the address.")
@click.option(
    "--server/--no-server", "with_server", default=True, help="Also make an outgoing server of that name, if none uses the account."
)
@click.pass_obj
def connect(
    context: Context,
    name: str,
    mailbox: str,
    client_id: str,
    tenant: str,
    app_only: bool | None,
    with_secret: bool,
    certificate: Path | None,
    send_only: bool | None,
    smtp: bool | None,
    personal: bool,
    cloud: str | None,
    login_url: str,
    graph_url: str,
    redirect_port: int,
    browser: bool,
    with_server: bool,
) -> None:
    """Connect a Microsoft 365 mailbox under NAME, or connect it again."""
    from mailroom.cli import signin
    from mailroom.objects import Account, GrantType

    with context.parts() as parts:
        known = parts.directory().accounts.get(name) or Account(name=name, tenant="consumers" if personal else "common")
        grant = known.grant if app_only is None else GrantType.APPLICATION if app_only else GrantType.DELEGATED
        account = replace(
            known,
            mailbox=mailbox or known.mailbox,
            client_id=client_id or known.client_id,
            tenant=tenant or known.tenant,
            grant=grant,
            # What one grant may do says nothing about another one.
            read_write=known.read_write or grant is not known.grant if send_only is None else not send_only,
            smtp=known.smtp if smtp is None else smtp,
            shared=known.shared and not personal,
            cloud=cloud or known.cloud,
            login_url=login_url or known.login_url,
            graph_url=graph_url.rstrip("/").removesuffix("/v1.0") or known.graph_url,
        )
        if not account.client_id:
            raise click.ClickException("say which app registration to use with --client-id; docs/microsoft365.md shows how to make one")
        mailbox = account.mailbox or _mailbox_of_server(parts, name)
        if account.grant is GrantType.APPLICATION and not mailbox and with_server:
            raise click.ClickException(
                "app-only is no mailbox by itself; name the one to send from with --mailbox ADDRESS, or say --no-server, and name it with "
                "`mailroom server add-graph --mailbox`"
            )
        proof = _proof(with_secret, certificate, other_app=account.client_id != known.client_id)
        signed = signin.sign_in(parts, account, proof, port=redirect_port, browser=browser)
        account = replace(account, mailbox=account.mailbox or signed.mailbox)
        rights = signin.rights_of(account, signed, mailbox)
        asyncio.run(parts.vault.connected(name, signed.grant, proof))
        _store(parts, replace(account, read_write=account.read_write and not signin.lacks_read_write(rights)), with_server=with_server)
        click.echo(signin.told(account, rights))


def _mailbox_of_server(parts: Parts, account: str) -> str:
    """Where the servers of an account say which mailbox they use: one of them, or `sender`."""
    from mailroom.objects import GraphRoute

    routes = [server.route for server in parts.directory().servers.values()]
    named = [route.mailbox for route in routes if isinstance(route, GraphRoute) and route.account == account and route.mailbox]
    return min(named, key=lambda each: each == "sender", default="")


def _proof(with_secret: bool, certificate: Path | None, *, other_app: bool) -> dict[str, str] | None:
    """What proves the app registration from now on; None if that stays as it is, empty if there is another one that needs no proof."""
    if certificate is not None:
        return {"certificate": certificate.read_text()}
    if with_secret:
        prompt = "Client secret (its value, not its ID): "
        return {"secret": getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().strip()}
    return {} if other_app else None


def _store(parts: Parts, account: Account, *, with_server: bool) -> None:
    from mailroom.holds import free_after_sign_in

    made = _way_out(parts.directory(), account) if with_server else None
    parts.store.apply([account, made] if made else [account], [], by="connect")
    smarthosts = {f"smarthost:{name}" for name, each in parts.directory().servers.items() if _signs_in_as(each, account.name)}
    freed, staying = free_after_sign_in(parts.store, lambda lane: lane.startswith(f"graph:{account.name}:") or lane in smarthosts)
    click.echo(f"{account.name} is connected{f' as {account.mailbox}' if account.mailbox else ''}.")
    if freed:
        click.echo(f"{counted(freed, 'mail that was waiting for it goes', 'mails that were waiting for it go')} on.")
    for lane in staying:
        click.echo(f"{lane.name} stays held, {lane.held}.")
    if made:
        click.echo(f"The outgoing server {made.name} is there; it serves {', '.join(made.from_filter) or 'every sender'}.")
    click.echo(f"Try it with: mailroom send --from {account.mailbox or 'you@your.domain'} --to somebody@else.where")


def _signs_in_as(server: OutgoingServer, account: str) -> bool:
    from mailroom.objects import SmarthostRoute

    return isinstance(server.route, SmarthostRoute) and server.route.account == account


def _way_out(directory: Directory, account: Account) -> OutgoingServer | None:
    """The first one serves every sender, each other one its own mailbox alone; None if the account has one, or could have none."""
    from mailroom.objects import GrantType, GraphRoute, OutgoingServer, SinkRoute

    servers = directory.servers.values()
    if any(not isinstance(each.route, SinkRoute) and each.route.account == account.name for each in servers):
        return None
    nobodys = not account.mailbox and (servers or account.grant is GrantType.APPLICATION)
    if nobodys or account.name in directory.servers:
        click.echo(f"No outgoing server was made; see: mailroom server add-graph {account.name} --help", err=True)
        return None
    only = (account.mailbox,) if servers else ()
    return OutgoingServer(name=account.name, from_filter=only, route=GraphRoute(account=account.name))


COMMANDS = (connect,)
