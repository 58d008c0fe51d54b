"""`mailroom mcp`: tools for an AI agent. A thin client of the running gateway, as `sendmail` is."""

from __future__ import annotations

from pathlib import Path

import click

_TOKEN = "mailroom token add agent --scope messages:read --scope objects:read"  # noqa: S105  # how to make one


@click.command("mcp")
@click.option("--url", envvar="MAILROOM_URL", default="http://127.0.0.1:8020", show_default=True, help="Of the gateway; MAILROOM_URL.")
@click.option(
    "--token-file",
    envvar="MAILROOM_TOKEN_FILE",
    default="/etc/mailroom/mcp.token",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Holds a token, whose rights the agent has; MAILROOM_TOKEN_FILE.",
)
@click.option("--allow", "allow", multiple=True, help="A tool that changes something: retry, send_now, cancel, hold, ignore, suppress ...")
@click.option("--content", is_flag=True, help="The agent may read what mails say: subjects and texts.")
def mcp(url: str, token_file: Path, allow: tuple[str, ...], content: bool) -> None:
    """Tools for an AI agent (Model Context Protocol), over standard input and output. It reads; each change is allowed by name."""
    from mailroom.agents.tools import CHANGING
    from mailroom.cli.sendmail import Wrong, read_token

    allowed = [name.strip().replace("-", "_") for each in allow for name in each.split(",") if name.strip()]
    if unknown := sorted(set(allowed) - set(CHANGING)):
        raise click.ClickException(f"there is no tool {', '.join(unknown)} that could be allowed; there are {', '.join(CHANGING)}")
    try:
        from mailroom.agents.server import serve
    except ModuleNotFoundError as problem:
        if (problem.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise click.ClickException("this needs the package mcp; install it with: pip install 'mailroom-gateway[mcp]'") from None
    try:
        token = read_token(token_file, _TOKEN)
    except Wrong as problem:
        raise click.ClickException(str(problem)) from None
    serve(url, token, frozenset(allowed), content=content)


COMMANDS: tuple[click.Command, ...] = (mcp,)
