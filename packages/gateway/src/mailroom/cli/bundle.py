"""`mailroom doctor bundle`: what somebody who helps needs."""

from __future__ import annotations

from pathlib import Path

import click

from mailroom.cli.context import Context, by


@click.command("bundle")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--mail", "mails", multiple=True, help="The id of a mail in question; several times for more, 20 at most.")
@click.option("--content", is_flag=True, help="Also what these mails say: subjects and texts. Files that hang on them never.")
@click.option("--keep-names", is_flag=True, help="Names of domains and hosts and network addresses stay as they are.")
@click.option("--show", "shown", is_flag=True, help="Print all of it instead of writing FILE.")
@click.option("--legend", is_flag=True, help="Print who is behind which mask, on standard error. That is in no file.")
@click.pass_obj
def bundle_(
    context: Context, file: Path | None, mails: tuple[str, ...], content: bool, keep_names: bool, shown: bool, legend: bool
) -> None:
    """What somebody who helps needs, in a zip FILE: versions, settings, health, mails in question; without secrets, addresses masked."""
    import asyncio

    from mailroom.support.bundle import Wanted
    from mailroom.wiring.support import support_bundle

    if (file is None) != shown:
        raise click.ClickException("name a FILE to write, or say --show to look at it first")
    if file is not None and file.exists():
        raise click.ClickException(f"{file} is there already; name another one")
    with context.parts() as parts:
        made = asyncio.run(support_bundle(parts, Wanted(mails=mails, content=content, keep_names=keep_names), by=by()))
    if legend:
        for mask, value in made.legend.items():
            click.echo(f"{mask} is {value}", err=True)
    if file is None:
        click.echo(made.shown())
        return
    _write(file, made.zip())
    for each in made.files:
        click.echo(f"  {each.name}  {len(each.text.encode())} bytes")
    click.echo(f"{file} is written. Look at it before you give it away: mailroom doctor bundle --show")


def _write(file: Path, content: bytes) -> None:
    """For its owner alone."""
    import os

    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(content)
    except OSError as problem:
        raise click.ClickException(f"{file} can't be written ({problem.strerror}); name another file") from None


COMMANDS: tuple[click.Command, ...] = (bundle_,)
"""Below `mailroom doctor`."""
