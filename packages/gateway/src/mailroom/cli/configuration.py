"""What people configure: `app`, `server`, `apply`, `export`."""

from __future__ import annotations

import getpass
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, json_option, show
from mailroom.cli.objects import check_new

if TYPE_CHECKING:
    from mailroom.objects import Application, OutgoingServer
    from mailroom.wiring.parts import Parts


@click.group()
def app() -> None:
    """Applications: who may submit mail, from where, as whom."""


@app.command("add")
@click.argument("name")
@click.option("--sender", "senders", multiple=True, help="An address or a domain it may send as; without one, any.")
@click.option("--network", "networks", multiple=True, help="A network that needs no password, for example 192.168.1.20/32.")
@click.option("--certificate", "certificates", multiple=True, help="SHA-256 of a TLS client certificate that needs no password.")
@click.option("--alias-domain", default="", help="Its notification address serves senders that are not ours.")
@click.option("--bulk", is_flag=True, help="Its mail never delays other mail.")
@click.option("--no-password", is_flag=True, help="Only networks and certificates.")
@click.pass_obj
def add_app(
    context: Context,
    name: str,
    senders: tuple[str, ...],
    networks: tuple[str, ...],
    certificates: tuple[str, ...],
    alias_domain: str,
    bulk: bool,
    no_password: bool,
) -> None:
    """Add an application and show its password, once."""
    from mailroom.objects import Application
    from mailroom.units import network

    try:
        checked = tuple(str(network(item)) for item in networks)
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None
    with context.parts() as parts:
        if name in parts.directory().applications:
            raise click.ClickException(f"there is an application {name!r} already; `mailroom app renew {name}` gives it a new password")
        made = Application(
            name=name,
            senders=senders or ("*",),
            networks=checked,
            certificates=certificates,
            alias_domain=alias_domain,
            kind="bulk" if bulk else "transactional",
        )
        check_new(made, *parts.directory().alias_domains.values())
        if no_password:
            parts.store.apply([made], [], by=by())
            click.echo(_who_may(made))
        else:
            _give_password(parts, made)
    if not senders:
        click.echo(f"{name} may send as anybody; to narrow that, remove it and add it with --sender.", err=True)


def _who_may(made: Application) -> str:
    """Without a password: who comes in as this application."""
    ways = [*made.networks, *(f"the certificate {each}" for each in made.certificates)]
    if not ways:
        return (
            f"{made.name} is there, but nobody can submit as it by SMTP: it has no password, no --network and no --certificate. "
            f"For HTTP and sendmail: mailroom token add NAME --application {made.name} --scope messages:send"
        )
    return f"{made.name} is there, without a password: who comes from {', '.join(ways)} is it."


@app.command("renew")
@click.argument("name")
@click.pass_obj
def renew_app(context: Context, name: str) -> None:
    """A new password; the old one stops working at once."""
    with context.parts() as parts:
        known = parts.directory().applications.get(name)
        if known is None:
            raise click.ClickException(f"there is no application {name!r}; see: mailroom app list")
        _give_password(parts, known)


def _give_password(parts: Parts, application: Application) -> None:
    from mailroom.vault import credentials
    from mailroom.wiring.parts import credential_key

    password = credentials.generate()
    parts.store.apply([replace(application, key=credentials.digest(credential_key(parts), password))], [], by=by())
    listener = parts.settings.listener[0]
    click.echo(f"Server {listener.host}, port {listener.port}, {listener.tls}\nUser     {application.name}\nPassword {password}")
    click.echo("The password is shown this once; only its hash is kept.", err=True)


@app.command("list")
@json_option
@click.pass_obj
def list_apps(context: Context, as_json: bool) -> None:
    """All applications."""
    with context.parts() as parts:
        found = parts.directory().applications.values()
    rows: list[dict[str, object]] = [
        {
            "name": item.name,
            "senders": item.senders,
            "networks": item.networks,
            "password": "yes" if item.key else "no",
            "certificates": len(item.certificates),
            "kind": item.kind,
        }
        for item in found
    ]
    show(rows, as_json=as_json, empty="No application yet. Add one with: mailroom app add NAME --sender example.com")


@app.command("remove")
@click.argument("name")
@click.pass_obj
def remove_app(context: Context, name: str) -> None:
    """It can't submit any more; mail that was accepted goes on."""
    _remove(context, "application", name)


@click.group()
def server() -> None:
    """Outgoing servers: the ways out."""


@server.command("add-graph")
@click.argument("name")
@click.option("--account", required=True, help="Made by `mailroom connect`.")
@click.option("--mailbox", default="", help="Whose Sent Items: an address, or `sender`; empty is the account's own.")
@click.option("--priority", default=10, show_default=True)
@click.option("--from-filter", multiple=True, help="An address or a domain; without one, it serves every sender.")
@click.option(
    "--on-unsure",
    type=click.Choice(["hold", "retry"]),
    default="hold",
    show_default=True,
    help="When nobody knows whether a mail left, and the account has no right to look: keep it back, or risk sending it twice.",
)
@click.pass_obj
def add_graph(context: Context, name: str, account: str, mailbox: str, priority: int, from_filter: tuple[str, ...], on_unsure: str) -> None:
    """Microsoft 365 over Microsoft Graph."""
    from mailroom.objects import GraphRoute, OnUnsure, OutgoingServer

    route = GraphRoute(account=account, mailbox=mailbox, on_unsure=OnUnsure(on_unsure))
    add_server(context, OutgoingServer(name=name, priority=priority, from_filter=from_filter, route=route))


@server.command("add-smarthost")
@click.argument("name")
@click.option("--host", required=True)
@click.option("--port", default=587, show_default=True)
@click.option("--security", type=click.Choice(["starttls", "tls", "none"]), default="starttls", show_default=True)
@click.option("--user", default="", help="Its password is asked for, or read from standard input.")
@click.option("--priority", default=10, show_default=True)
@click.option("--from-filter", multiple=True, help="An address or a domain; without one, it serves every sender.")
@click.pass_obj
def add_smarthost(
    context: Context, name: str, host: str, port: int, security: str, user: str, priority: int, from_filter: tuple[str, ...]
) -> None:
    """Any SMTP server."""
    from mailroom.objects import OutgoingServer, Security, SmarthostRoute

    route = SmarthostRoute(host=host, port=port, security=Security(security), user=user)
    password = ask_password(user, host) if user else ""
    add_server(context, OutgoingServer(name=name, priority=priority, from_filter=from_filter, route=route), password=password)


def ask_password(user: str, host: str) -> str:
    """Raises ClickException if there is none."""
    given = getpass.getpass(f"Password of {user} at {host}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise click.ClickException(f"no password was given for {user}, and nothing was changed; type it, or hand it over on standard input")
    return given


@server.command("password")
@click.argument("name")
@click.pass_obj
def change_password(context: Context, name: str) -> None:
    """Enter the password of a smarthost again; it is asked for, or read from standard input. Held mail goes on."""
    from mailroom.holds import free_after_sign_in
    from mailroom.objects import SmarthostRoute

    with context.parts() as parts:
        known = parts.directory().servers.get(name)
        if known is None or not isinstance(known.route, SmarthostRoute) or not known.route.user:
            raise click.ClickException(f"there is no smarthost {name!r} with a user; see: mailroom server list")
        parts.vault.seal(f"server:{name}", {"password": ask_password(known.route.user, known.route.host)})
        parts.store.apply([known], [], by=by())  # so that the running gateway signs in anew
        parts.store.audit(by=by(), what="new password", kind="server", name=name)
        _, staying = free_after_sign_in(parts.store, lambda lane: lane == f"smarthost:{name}", by=by())
    click.echo(f"The password of {known.route.user} is kept; " + (staying[0].held if staying else "mail that waited for it goes on."))


@server.command("add-sink")
@click.argument("name")
@click.option("--directory", default="", help="Write each mail there as a file.")
@click.option("--priority", default=10, show_default=True)
@click.option("--from-filter", multiple=True, help="An address or a domain; without one, it serves every sender.")
@click.pass_obj
def add_sink(context: Context, name: str, directory: str, priority: int, from_filter: tuple[str, ...]) -> None:
    """Takes everything and delivers nothing: for trying out."""
    from mailroom.objects import OutgoingServer, SinkRoute

    add_server(context, OutgoingServer(name=name, priority=priority, from_filter=from_filter, route=SinkRoute(directory=directory)))


def add_server(context: Context, made: OutgoingServer, *, password: str = "") -> None:
    with context.parts() as parts:
        check_new(made, *parts.directory().accounts.values())
        if password:
            parts.vault.seal(f"server:{made.name}", {"password": password})
        parts.store.apply([made], [], by=by())
    click.echo(f"{made.name} is there. Try it with: mailroom send --from you@your.domain --to somebody@else.where")


@server.command("list")
@json_option
@click.pass_obj
def list_servers(context: Context, as_json: bool) -> None:
    """All outgoing servers, in the order in which they are asked."""
    with context.parts() as parts:
        found = sorted(parts.directory().servers.values(), key=lambda item: (item.priority, item.name))
    rows: list[dict[str, object]] = [
        {"name": s.name, "priority": s.priority, "from_filter": s.from_filter or ("everybody",), "route": _route(s), "active": s.active}
        for s in found
    ]
    show(rows, as_json=as_json, empty="No way out yet. Connect a mailbox with `mailroom connect`, or see: mailroom server --help")


def _route(server: OutgoingServer) -> str:
    """In the words of the object file."""
    from mailroom.objects import GraphRoute, SmarthostRoute

    match server.route:
        case GraphRoute(account=account, mailbox=mailbox):
            return f"graph: {mailbox or 'own mailbox'} (account {account})"
        case SmarthostRoute(host=host, port=port, security=security):
            return f"smarthost: {host}:{port} ({security.value})"
        case _:
            return "sink"


@server.command("explain")
@click.argument("address")
@click.option("--application", default="", help="As if this one had handed it in.")
@click.option("--bulk", is_flag=True, help="As bulk mail.")
@json_option
@click.pass_obj
def explain_choice(context: Context, address: str, application: str, bulk: bool, as_json: bool) -> None:
    """Who would send a mail from ADDRESS, and why."""
    from mailroom.way_out import explained

    with context.parts() as parts:
        found = explained(parts.directory(), address, application=application, bulk=bulk)
    rows: list[dict[str, object]] = [{"rule": each.rule, "server": each.server or "none"} for each in found.steps]
    if as_json:
        choice = {"server": found.choice.server, "from_address": found.choice.from_address, "rewritten": found.choice.rewritten}
        show([{**choice, "why": found.choice.why, "steps": rows}], as_json=True, empty="")
        return
    click.echo(f"It {found.choice.why}.\n")
    show(rows, as_json=False, empty="")


@server.command("remove")
@click.argument("name")
@click.pass_obj
def remove_server(context: Context, name: str) -> None:
    """Mail that waits for it is held until there is one of that name again."""
    _remove(context, "server", name)


def _remove(context: Context, kind: str, name: str) -> None:
    from mailroom.wiring.parts import object_desk

    with context.parts() as parts:
        known = parts.directory().servers if kind == "server" else parts.directory().applications
        if name not in known:
            raise click.ClickException(f"there is no {kind} {name!r}")
        object_desk(parts).remove(kind, name, by=by())
    click.echo(f"{name} is gone.")


@click.group()
def suppression() -> None:
    """Addresses that get nothing more from us."""


@suppression.command("list")
@json_option
@click.pass_obj
def list_suppressions(context: Context, as_json: bool) -> None:
    """All of them, with the reason."""
    with context.parts() as parts:
        found = parts.store.suppressions()
    rows: list[dict[str, object]] = [{"address": item.address, "reason": item.reason, "source": item.source} for item in found]
    show(rows, as_json=as_json, empty="No address is suppressed. A refusal such as 550 5.1.1 adds one, `mailroom suppression add` as well.")


@suppression.command("add")
@click.argument("address")
@click.option("--reason", default="added by hand")
@click.pass_obj
def add_suppression(context: Context, address: str, reason: str) -> None:
    """Mail to ADDRESS is accepted and fails at once, visibly."""
    from mailroom.objects import Suppression
    from mailroom_core.policy.addresses import is_deliverable, normalize

    if not is_deliverable(address):
        raise click.ClickException(f"{address!r} is no address")
    with context.parts() as parts:
        parts.store.apply([Suppression(address=normalize(address), reason=reason)], [], by=by())
    click.echo(f"{normalize(address)} gets nothing more.")


@suppression.command("remove")
@click.argument("address")
@click.pass_obj
def remove_suppression(context: Context, address: str) -> None:
    """Mail to ADDRESS leaves again."""
    from mailroom_core.policy.addresses import normalize

    with context.parts() as parts:
        if not parts.store.suppressed([normalize(address)]):
            raise click.ClickException(f"{address} is not suppressed")
        parts.store.apply([], [("suppression", normalize(address))], by=by())
    click.echo(f"{normalize(address)} gets mail again.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@json_option
@click.pass_obj
def apply(context: Context, file: Path, dry_run: bool, as_json: bool) -> None:
    """Make accounts, servers, alias domains and applications match a file."""
    from mailroom import objectfile
    from mailroom.changing import all_of, carry_out

    left: list[str] = []
    with context.parts() as parts:
        wanted = objectfile.read(file, parts.directory())
        changes, put, remove = objectfile.plan(parts.directory(), wanted)
        if changes and not dry_run:
            left = carry_out(parts.store, parts.vault.seal, all_of(parts.directory()), put, remove, by=by())
        unsigned = [] if dry_run else _without_secret(parts)
    rows: list[dict[str, object]] = [{"what": c.what, "kind": c.kind, "name": c.name, "fields": c.fields} for c in changes]
    show(rows, as_json=as_json, empty="Nothing to change.")
    if changes and not as_json:
        click.echo("Nothing was changed (--dry-run)." if dry_run else f"{len(changes)} changed.")
    for name in sorted({c.name for c in changes if c.what == "change" and f"account:{c.name}" in left and c.kind == "account"}):
        click.echo(f"The account {name} is another place now; its secrets are gone. Run: mailroom connect {shlex.quote(name)}", err=True)
    for name in unsigned:
        click.echo(
            f"The webhook {name} has no secret yet, and is told nothing until: mailroom webhook rotate {shlex.quote(name)}", err=True
        )


def _without_secret(parts: Parts) -> list[str]:
    """Webhooks that have nothing to sign with."""
    from mailroom.wiring.parts import webhook_desk

    desk = webhook_desk(parts)
    return [name for name, webhook in parts.store.directory().webhooks.items() if not desk.has_secret(webhook)]


@click.command()
@click.pass_obj
def export(context: Context) -> None:
    """Write accounts, servers, alias domains and applications as a file for `apply`. Secrets stay in the vault."""
    from mailroom import objectfile

    with context.parts() as parts:
        click.echo(objectfile.write(parts.directory()), nl=False)


COMMANDS = (app, server, suppression, apply, export)
