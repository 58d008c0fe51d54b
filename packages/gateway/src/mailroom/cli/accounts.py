"""`mailroom connect` and `disconnect`: a mailbox, by signing in with the browser or app-only."""

from __future__ import annotations

import asyncio
import getpass
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, counted

if TYPE_CHECKING:
    from datetime import datetime

    from mailroom.wiring.connecting import Connected
    from mailroom.wiring.parts import Parts


@click.command()
@click.argument("name")
@click.option("--mailbox", default="", help="The address of the mailbox that signs in; app-only: the one to send from.")
@click.option("--client-id", default="", help="Application (client) ID of your app registration.")
@click.option("--google", is_flag=True, help="A Google mailbox instead of a Microsoft one; its client secret is asked for.")
@click.option("--tenant", default="", help="Directory (tenant) ID or domain; needed for app-only and for single-tenant registrations.")
@click.option(
    "--app-only/--delegated", default=None, help="Client credentials instead of a person's sign-in, or a person's sign-in (at first)."
)
@click.option("--secret", "with_secret", is_flag=True, help="Ask for a client secret (or read it from standard input).")
@click.option("--secret-expires", type=click.DateTime(["%Y-%m-%d"]), default=None, help="When the secret ends, as its page shows it.")
@click.option("--certificate", type=click.Path(path_type=Path, exists=True), help="PEM with certificate and RSA key instead of a secret.")
@click.option(
    "--send-only/--read-write",
    default=None,
    help="Ask for Mail.Send alone: no mail above 2.9 MB, no looking before sending again. Or for Mail.ReadWrite as well, as at first.",
)
@click.option("--read/--no-read", default=None, help="With --send-only, ask for Mail.Read: mail can be fetched, and is left as it is.")
@click.option(
    "--smtp/--no-smtp", default=None, help="Ask for SMTP.Send as well: for a smarthost (smtp.office365.com) that signs in as this account."
)
@click.option("--imap/--no-imap", default=None, help="Ask for IMAP as well: for `mailroom incoming add-imap`.")
@click.option("--pop/--no-pop", default=None, help="Ask for POP3 as well: for `mailroom incoming add-pop`.")
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
    google: bool,
    tenant: str,
    app_only: bool | None,
    with_secret: bool,
    secret_expires: datetime | None,
    certificate: Path | None,
    send_only: bool | None,
    read: bool | None,
    smtp: bool | None,
    imap: bool | None,
    pop: bool | None,
    personal: bool,
    cloud: str | None,
    login_url: str,
    graph_url: str,
    redirect_port: int,
    browser: bool,
    with_server: bool,
) -> None:
    """Connect a Microsoft 365 or Google mailbox under NAME, or connect it again."""
    from mailroom import tables
    from mailroom.cli import signin
    from mailroom.objects import Account, GrantType, Provider
    from mailroom.wiring import connecting

    with context.parts() as parts:
        known = parts.directory().accounts.get(name) or Account(name=name, tenant="consumers" if personal else "common")
        grant = known.grant if app_only is None else GrantType.APPLICATION if app_only else GrantType.DELEGATED
        account = replace(
            known,
            provider=Provider.GOOGLE if google else known.provider,
            mailbox=mailbox or known.mailbox,
            client_id=client_id or known.client_id,
            tenant=tenant or known.tenant,
            grant=grant,
            # What one grant may do says nothing about another one.
            read_write=known.read_write or grant is not known.grant if send_only is None else not send_only,
            read=known.read if read is None else read,
            smtp=known.smtp if smtp is None else smtp,
            imap=known.imap if imap is None else imap,
            pop=known.pop if pop is None else pop,
            shared=known.shared and not personal,
            cloud=cloud or known.cloud,
            login_url=login_url or known.login_url,
            graph_url=graph_url.rstrip("/").removesuffix("/v1.0") or known.graph_url,
        )
        tables.check(account)
        if not account.client_id:
            page = "google" if account.provider is Provider.GOOGLE else "microsoft365"
            raise click.ClickException(f"say which app registration to use with --client-id; docs/{page}.md shows how to make one")
        if account.provider is Provider.GOOGLE and account.grant is GrantType.APPLICATION:
            raise click.ClickException("Google has no app-only access here; let the mailbox's owner sign in, without --app-only")
        mailbox = account.mailbox or connecting.mailbox_of_server(parts.directory(), name)
        if account.grant is GrantType.APPLICATION and not mailbox and with_server:
            raise click.ClickException(
                "app-only is no mailbox by itself; name the one to send from with --mailbox ADDRESS, or say --no-server, and name it with "
                "`mailroom server add-graph --mailbox`"
            )
        with_secret = with_secret or (account.provider is Provider.GOOGLE and account.client_id != known.client_id)
        proof = _proof(with_secret, certificate, other_app=account.client_id != known.client_id)
        if proof and "secret" in proof and secret_expires is not None:
            proof["expires_on"] = secret_expires.date().isoformat()
        signed = signin.sign_in(parts, account, proof, port=redirect_port, browser=browser)
        _tell(
            parts,
            asyncio.run(connecting.connected(parts, account, signed, proof, with_server=with_server, by=by())),
            with_server=with_server,
        )


def _proof(with_secret: bool, certificate: Path | None, *, other_app: bool) -> dict[str, str] | None:
    """What proves the app registration from now on; None if that stays as it is, empty if there is another one that needs no proof."""
    if certificate is not None:
        return {"certificate": certificate.read_text()}
    if with_secret:
        prompt = "Client secret (its value, not its ID): "
        return {"secret": getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().strip()}
    return {} if other_app else None


def _tell(parts: Parts, done: Connected, *, with_server: bool) -> None:
    from mailroom.wiring import connecting

    account = done.account
    click.echo(f"{account.name} is connected{f' as {account.mailbox}' if account.mailbox else ''}.")
    if done.freed:
        click.echo(f"{counted(done.freed, 'mail that was waiting for it goes', 'mails that were waiting for it go')} on.")
    for lane in done.staying:
        click.echo(f"{lane.name} stays held, {lane.held}.")
    if done.server:
        click.echo(f"The outgoing server {done.server.name} is there; it serves {', '.join(done.server.from_filter) or 'every sender'}.")
    elif with_server and not connecting.has_way_out(parts.directory(), account.name):
        click.echo(f"No outgoing server was made; see: mailroom server add-graph {account.name} --help", err=True)
    click.echo(f"Try it with: mailroom send --from {account.mailbox or 'you@your.domain'} --to somebody@else.where")
    click.echo(done.told)


@click.command()
@click.argument("name")
@click.pass_obj
def disconnect(context: Context, name: str) -> None:
    """Forget the sign-in of the account NAME; its mail waits until it is connected again."""
    from mailroom.wiring.accounts import Accounts

    with context.parts() as parts:
        if name not in parts.directory().accounts:
            raise click.ClickException(f"there is no account {name!r}; `mailroom export` lists those that there are")
        left = asyncio.run(Accounts(parts).disconnect(name, by=by()))
    click.echo(f"{name} is disconnected; mail that would leave by it waits.")
    if left:
        click.echo(f"{left}.")


COMMANDS = (connect, disconnect)
