"""`mailroom server add` and `presets`: a mail service by its name."""

from __future__ import annotations

import click

from mailroom.cli.configuration import add_server, ask_password, server
from mailroom.cli.context import Context, json_option, show, show_steps
from mailroom_core.providers.presets import BY_KEY, PRESETS, Preset


@server.command("presets")
@json_option
def list_presets(as_json: bool) -> None:
    """The mail services that `mailroom server add` knows: what to enter, and what they demand."""
    rows: list[dict[str, object]] = [
        {
            "preset": each.key,
            "name": each.name,
            "host": each.host_in() if each.host else "",
            "port": each.port,
            "security": each.security,
            "user": each.user,
            "password": each.password,
            "regions": each.regions,
            "limits": each.limits,
            "senders": each.verified_senders,
            "hint": each.hint,
            "source": each.source,
        }
        for each in PRESETS
    ]
    columns = ("preset", "name", "host", "port", "security", "user", "password")
    show(rows, as_json=as_json, empty="", columns=columns, spare=("user", "password"))
    if not as_json:
        click.echo("Add one with: mailroom server add NAME --preset PRESET")


@server.command("add")
@click.argument("name")
@click.option("--preset", type=click.Choice(list(BY_KEY)), required=True, help="The mail service; see `mailroom server presets`.")
@click.option("--user", default="", help="What to enter here depends on the service; asked for if it is missing.")
@click.option("--account", default="", help="Instead of a user: sign in as this account (gmail, office365), which needs no password.")
@click.option("--region", default="", help="Of Amazon SES (eu-central-1) or Mailgun (eu).")
@click.option("--host", default="", help="Only for the preset smtp, or to replace the service's own.")
@click.option("--port", default=0, help="Instead of the service's own.")
@click.option("--security", type=click.Choice(["starttls", "tls", "none"]), default=None, help="Instead of the service's own.")
@click.option("--priority", default=10, show_default=True)
@click.option("--from-filter", multiple=True, help="An address or a domain; without one, it serves every sender.")
@click.pass_obj
def add(
    context: Context,
    name: str,
    preset: str,
    user: str,
    account: str,
    region: str,
    host: str,
    port: int,
    security: str | None,
    priority: int,
    from_filter: tuple[str, ...],
) -> None:
    """A mail service as outgoing server. Its password is asked for, or read from standard input."""
    from mailroom.objects import OutgoingServer, Security, SmarthostRoute

    service = BY_KEY[preset]
    try:
        host = host or service.host_in(region)
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None
    if not host:
        raise click.ClickException("name the server with --host")
    if service.hint and not account:
        click.echo(service.hint, err=True)
    user, password = (user, "") if account else _credentials(service, user)
    route = SmarthostRoute(
        host=host,
        port=port or service.port,
        security=Security(security or service.security),
        user=user,
        account=account,
        connections=service.connections,
    )
    made = OutgoingServer(name=name, priority=priority, from_filter=from_filter, route=route, max_size=service.max_size)
    add_server(context, made, password=password)
    _warn(context, service)


def _credentials(service: Preset, user: str) -> tuple[str, str]:
    """User and password; both empty where nobody signs in. Raises ClickException."""
    user = user or service.fixed_user
    if not user and service.password_is_user:
        token = ask_password(service.user, service.name)
        return token, token
    if not user and service.key != "smtp":
        raise click.ClickException(f"say who signs in with --user; for {service.name} it is: {service.user}")
    if not user:
        return "", ""
    if service.password_is_user:
        return user, user
    click.echo(f"The password for {service.name} is: {service.password}", err=True)
    return user, ask_password(user, service.name)


def _warn(context: Context, service: Preset) -> None:
    from mailroom_core.providers.presets import to_verify

    with context.parts() as parts:
        domains = parts.directory().alias_domains.values()
    own = [(local, domain.name) for domain in domains for local in (domain.default_from, domain.bounce, domain.catchall)]
    for line in (*to_verify(service, own), *((service.limits,) if service.limits else ())):
        click.echo(f"{line}.")


@server.command("test")
@click.argument("name")
@click.option("--to", "recipient", required=True, help="Who gets the test mail.")
@click.option("--from", "sender", default="", help="As whom; without it, the server's mailbox.")
@json_option
@click.pass_obj
def test(context: Context, name: str, recipient: str, sender: str, as_json: bool) -> None:
    """Send a real mail through the server NAME now, beside its queue, and show each step. Ends with 1 if it was not taken."""
    import asyncio

    from mailroom.wiring.testing import server_trial

    with context.parts() as parts:
        if not asyncio.run(show_steps(server_trial(parts, name, recipient=recipient, sender=sender), as_json=as_json)):
            raise click.exceptions.Exit(1)


COMMANDS: tuple[click.Command, ...] = ()
"""They belong to the group `server`."""
