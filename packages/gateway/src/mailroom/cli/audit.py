"""`mailroom audit`: who has changed what."""

from __future__ import annotations

from dataclasses import asdict

import click

from mailroom.cli.context import Context, json_option, show


@click.command()
@click.option("--by", "who", default="", help="Who it was: cli:anna, token:erp, user:anna@example.com.")
@click.option("--kind", default="", help="What was changed: server, application, suppression, token, mail, lane, user ...")
@click.option("--name", default="", help="Which one of them.")
@click.option("--what", default="", help="What was done: add, change, remove, retry ...")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@click.option("--cursor", default="", help="Go on after this row, as the page before says.")
@json_option
@click.pass_obj
def audit(context: Context, who: str, kind: str, name: str, what: str, limit: int, cursor: str, as_json: bool) -> None:
    """What people and programs have changed, newest first."""
    from mailroom.audit import Wanted

    if cursor and not (cursor.isdecimal() and int(cursor) < 2**63):
        raise click.ClickException(f"{cursor!r} is no cursor; take the one that the page before says")
    with context.parts() as parts:
        found, more = parts.store.audited(Wanted(by=who, kind=kind, name=name, what=what), limit=limit, after=cursor)
    if as_json:
        show([asdict(each) for each in found], as_json=True, empty="")
        return
    rows: list[dict[str, object]] = [
        {
            "at": each.at,
            "by": each.by,
            "what": each.what,
            "kind": each.kind,
            "name": each.name,
            "before": each.before.splitlines(),
            "after": each.after.splitlines(),
        }
        for each in found
    ]
    nothing = "Nobody has changed anything yet." if not (who or kind or name or what) else "No such change; see all with: mailroom audit"
    show(rows, as_json=False, empty=nothing)
    if more:
        click.echo(f"There is more; see it with --cursor {more}.")


COMMANDS = (audit,)
