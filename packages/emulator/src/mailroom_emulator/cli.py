"""The command `mailroom-emulator`."""

import asyncio
import json
import signal
from pathlib import Path

import click
import uvloop

from mailroom_emulator import seed
from mailroom_emulator.server import Options, Running, listening

_PATH = click.Path(path_type=Path)


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8025, help="Port for HTTP; 0 takes a free one.")
@click.option("--https-port", type=int, help="Port for HTTPS with a certificate for localhost.")
@click.option("--proxy-port", type=int, help="Port of a CONNECT proxy that stands for Microsoft's hosts.")
@click.option("--ca-file", type=_PATH, help="Where to write the CA that clients of HTTPS and proxy must trust.")
@click.option("--ready-file", type=_PATH, help="Written as JSON with the addresses when it listens.")
@click.option("--seed", "seed_file", type=_PATH, help="TOML with accounts and apps.")
@click.option("--time-scale", default=1.0, help="Throttling windows and lags pass this many times faster.")
@click.option("--data", type=_PATH, help="Folder for large attachments.  [default: a temporary one]")
def main(
    host: str,
    port: int,
    https_port: int | None,
    proxy_port: int | None,
    ca_file: Path | None,
    ready_file: Path | None,
    seed_file: Path | None,
    time_scale: float,
    data: Path | None,
) -> None:
    """A Microsoft 365 mail tenant in a box: Entra ID, Graph mail, and the world outside."""
    if time_scale <= 0:
        raise click.BadParameter("must be greater than 0", param_hint="--time-scale")
    if ca_file is None and (https_port is not None or proxy_port is not None):
        raise click.UsageError("--https-port and --proxy-port need --ca-file, or no client can trust them")
    try:
        start = seed.load(seed_file) if seed_file else seed.Seed()
    except seed.SeedError as error:
        raise click.ClickException(str(error)) from error
    options = Options(host, port, https_port, proxy_port, ca_file, start, data, time_scale)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(options, ready_file))
        except OSError as error:
            raise click.ClickException(f"can't listen or write: {error}. Choose another port or path.") from error


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
    rows = {
        "Graph": f"{running.url}/v1.0",
        "Sign-in": f"{running.url}/{tenant.id}/oauth2/v2.0",
        "Control": f"{running.url}/_emulator",
        "HTTPS": running.https_url,
        "Proxy": running.proxy_url,
        "CA": str(running.ca_file) if running.ca_file else None,
    }
    for name, value in rows.items():
        if value is not None:
            click.echo(f"{name:9} {value}")
    for account in tenant.accounts.values():
        click.echo(f"{'Shared' if account.shared else 'Account':9} {account.upn}")
    if ready_file is not None:
        ready = {"url": running.url, "https_url": running.https_url, "proxy_url": running.proxy_url, "tenant": tenant.id}
        temporary = ready_file.with_name(ready_file.name + ".tmp")
        temporary.write_text(json.dumps(ready))
        temporary.replace(ready_file)
