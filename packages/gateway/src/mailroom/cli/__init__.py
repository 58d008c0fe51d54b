"""The `mailroom` command. What is heavy is imported by the command that needs it, so that every command starts at once."""

from __future__ import annotations

from pathlib import Path

import click

from mailroom.cli.context import Context
from mailroom_core.errors import MailroomError, Refused


class _Group(click.Group):
    """Our own errors end a command with their text, not with a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (MailroomError, Refused) as problem:
            raise click.ClickException(str(problem)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), envvar="MAILROOM_CONFIG", help="Settings file; mailroom.toml if there is one.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory; goes before the settings file.")
@click.version_option(package_name="mailroom-gateway")
@click.pass_context
def main(ctx: click.Context, config: Path | None, data: Path | None) -> None:
    """A mail gateway: takes mail by SMTP, keeps it safe, delivers it through Microsoft 365 or any other way out."""
    ctx.obj = Context(config, data)


def _register() -> None:
    from mailroom.cli import (
        accounts,
        aliases,
        audit,
        configuration,
        cutover,
        destinations,
        doctor,
        incoming,
        keeping,
        mailboxes,
        mcp,
        messages,
        odoo,
        pipe,
        routing,
        running,
        sendmail,
        servers,
        tokens,
        users,
        webhooks,
    )

    for module in (
        running,
        accounts,
        configuration,
        servers,
        mailboxes,
        messages,
        keeping,
        tokens,
        users,
        sendmail,
        pipe,
        webhooks,
        audit,
        incoming,
        routing,
        destinations,
        aliases,
        odoo,
        doctor,
        cutover,
        mcp,
    ):
        for command in module.COMMANDS:
            main.add_command(command)


_register()

if __name__ == "__main__":
    main()
