"""Keeping it safe: `vault rotate`, `backup`, `restore`."""

from __future__ import annotations

import click

from mailroom.cli.context import Context


@click.group()
def vault() -> None:
    """The keys that seal secrets."""


@vault.command()
@click.pass_obj
def rotate(context: Context) -> None:
    """Make a new key and seal everything with it. The running gateway notices."""
    import os

    from mailroom.vault.keys import VARIABLE, add_key
    from mailroom_core.errors import ConfigError

    if os.environ.get(VARIABLE):
        raise ConfigError(f"the key comes from {VARIABLE}: put a new one in front (comma between) and restart; then run this without it")
    with context.parts() as parts:
        parts.vault.reseal()  # whatever an interrupted rotation left under an older key
        add_key(parts.settings.vault_key_file)
        count = parts.vault.reseal()
    click.echo(f"{count} secrets are sealed with the new key.")


COMMANDS = (vault,)
