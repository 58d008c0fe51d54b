"""`mailroom serve`, and the worker that it starts."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path

import click

from mailroom.cli.context import Context


def _run(main: Coroutine[None, None, None]) -> None:
    import uvloop

    uvloop.run(main)


def counters(data: Path, boot: int) -> Path:
    """The folder that a boot counts into, and what is above it: for our eyes only."""
    folder = data / "metrics" / str(boot)
    for each in (data, folder.parent, folder):  # with `parents`, only the last one would get the mode
        each.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@click.command()
@click.option("--ready-file", type=click.Path(path_type=Path), help="Write the addresses there once mail is accepted.")
@click.pass_obj
def serve(context: Context, ready_file: Path | None) -> None:
    """Take mail and deliver it, until stopped."""
    import os

    from mailroom.observe import logs

    settings = context.settings()
    logs.configure(level=settings.log.level, json=settings.log.json_lines)
    # Read by prometheus_client when it is first imported, here and in the workers: all of them count into this folder.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counters(settings.data.absolute(), os.getpid()))

    from mailroom.serve import serve as serve_until_stopped

    _run(serve_until_stopped(settings, context.arguments(), ready=ready_file))


@click.command(hidden=True)
@click.argument("wake", type=int)
@click.argument("nudge", type=int)
@click.argument("parent", type=int)
@click.pass_obj
def worker(context: Context, wake: int, nudge: int, parent: int) -> None:
    """A process that delivers; `serve` starts it."""
    from mailroom.observe import logs
    from mailroom.serve import work

    settings = context.settings()
    logs.configure(level=settings.log.level, json=settings.log.json_lines)
    _run(work(settings, wake, nudge, parent))


COMMANDS = (serve, worker)
