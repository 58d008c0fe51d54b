"""Keeping it safe: `vault rotate`, `backup`, `restore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, counted

if TYPE_CHECKING:
    from mailroom.backup import Progress


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
    click.echo(f"{counted(count, 'secret is', 'secrets are')} sealed with the new key.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--with-key", is_flag=True, help="Put the keys of the vault and of TLS into it, too: then the file alone opens every secret.")
@click.pass_obj
def backup(context: Context, file: Path, with_key: bool) -> None:
    """Write everything into one FILE, beside a running gateway."""
    from mailroom.backup import backup as write

    with context.parts() as parts, bytes_done("Backing up") as progress:
        write(parts.settings, file, with_key=with_key, progress=progress)
    click.echo(f"{file} holds everything{'' if with_key else f' but the keys; keep a copy of {parts.settings.vault_key_file} elsewhere'}.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.pass_obj
def restore(context: Context, file: Path) -> None:
    """Read a backup into an empty data directory. The queue starts held."""
    from functools import partial

    from mailroom.backup import restore as read
    from mailroom.store.open import open_store
    from mailroom.wiring.parts import utc_now

    settings = context.settings()
    with bytes_done("Restoring") as progress:
        waiting = read(settings, file, partial(open_store, clock=utc_now), progress=progress)
    click.echo(f"Restored. Mail waits in {counted(waiting, 'lane', 'lanes')}, and all lanes are held: mailroom status says what to do.")


@contextmanager
def bytes_done(what: str) -> Iterator[Progress]:
    """A bar for a person; nothing in a pipe."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


COMMANDS = (vault, backup, restore)
