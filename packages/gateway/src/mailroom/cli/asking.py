"""`mailroom doctor explain`: what an error says."""

from __future__ import annotations

import json

import click

from mailroom.cli.context import json_option


@click.command("explain")
@click.argument("text", nargs=-1)
@json_option
def explain_(text: tuple[str, ...], as_json: bool) -> None:
    """What the TEXT of an error means, and what to do: answers of mail servers, of Microsoft's and Google's sign-in, of Graph, of TLS and
    the network. Without TEXT, or with -, it is read from standard input. Ends with 1 if it is unknown."""
    from mailroom.doctor.explain import LONGEST, UNKNOWN, explain, explained_body

    if text and text != ("-",):
        said = " ".join(text)
    else:
        with click.open_file("-") as stream:
            said = stream.read(LONGEST)
    if not said.strip():
        raise click.UsageError('give the text of an error: mailroom doctor explain "535 5.7.139 Authentication unsuccessful"')
    found = explain(said)
    if as_json:
        click.echo(json.dumps(explained_body(said), indent=2, ensure_ascii=False))
    elif not found:
        click.echo(f"{UNKNOWN}.")
    else:
        for number, each in enumerate(found):
            click.echo(("\n" if number else "") + f"{each.code} ({each.of})")
            click.echo(f"  What it means: {each.means}.")
            if each.todo:
                click.echo(f"  What to do: {each.todo}.")
            click.echo(f"  Source: {each.source}")
    if not found:
        raise click.exceptions.Exit(1)


COMMANDS: tuple[click.Command, ...] = (explain_,)
"""Below `mailroom doctor`."""
