"""The command `mailroom-emulator`."""

import asyncio
import json
import signal
from pathlib import Path

import click
import uvloop

from mailroom_emulator import seed
from mailroom_emulator.server import Options, Running, listening


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8025, help="Port for HTTP; 0 takes a free one.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written as JSON with the addresses when it listens.")
@click.option("--seed", "seed_file", type=click.Path(exists=True, path_type=Path), help="TOML with accounts and apps.")
@click.option("--time-scale", default=1.0, help="Throttling windows and lags pass this many times faster.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder for large attachments [default: temporary]")
def main(host: str, port: int, ready_file: Path | None, seed_file: Path | None, time_scale: float, data: Path | None) -> None:
    """A Microsoft 365 mail tenant in a box: Entra ID, Graph mail, and the world outside."""
    if time_scale <= 0:
        raise click.BadParameter("must be greater than 0", param_hint="--time-scale")
    try:
        start = seed.load(seed_file) if seed_file else seed.Seed()
    except seed.SeedError as error:
        raise click.ClickException(str(error)) from error
    options = Options(host, port, start, data, time_scale)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(options, ready_file))
        except OSError as error:
            raise click.ClickException(f"can't listen on {host}:{port}: {error}. Choose another --port.") from error


async def _serve(options: Options, ready_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with listening(options) as running:
        _announce(running, ready_file)
        await stop.wait()


def _announce(running: Running, ready_file: Path | None) -> None:
    tenant = running.emulator.tenant
    click.echo(f"Graph     {running.url}/v1.0")
    click.echo(f"Sign-in   {running.url}/{tenant.id}/oauth2/v2.0")
    click.echo(f"Control   {running.url}/_emulator")
    for account in tenant.accounts.values():
        click.echo(f"  {'shared ' if account.shared else 'account'} {account.upn}")
    if ready_file is not None:
        temporary = ready_file.with_name(ready_file.name + ".tmp")
        temporary.write_text(json.dumps({"url": running.url, "tenant": tenant.id}))
        temporary.replace(ready_file)
