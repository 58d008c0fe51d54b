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
    """Make a new key and seal everything with it. Restart the gateway afterwards."""
    import os

    from mailroom.vault.keys import VARIABLE, add_key, drop_old_keys
    from mailroom.vault.vault import SealedVault
    from mailroom_core.errors import ConfigError

    if os.environ.get(VARIABLE):
        raise ConfigError(f"the key comes from {VARIABLE}: put a new one in front (comma between), run this again, then remove the old one")
    settings = context.settings()
    keys = add_key(settings.vault_key_file)
    with context.parts() as parts:
        count = SealedVault(keys, parts.store, parts.directory.account, parts.http, parts.clock, parts.owner).reseal()
    drop_old_keys(settings.vault_key_file, keys)
    click.echo(f"{count} secrets are sealed with the new key. Restart the gateway, so that it uses it, too.")


COMMANDS = (vault,)
