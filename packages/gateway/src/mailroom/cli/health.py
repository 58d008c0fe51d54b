"""`mailroom doctor` without a domain: the health of this installation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, show

if TYPE_CHECKING:
    from mailroom.doctor.health.looking import Examined, Health


def look(context: Context, *, as_json: bool) -> None:
    """Look at everything. Ends with 1 if something is harmful."""
    from mailroom.doctor.health.shapes import health_body
    from mailroom.wiring.health import health

    with context.parts() as parts:
        report = asyncio.run(health(parts, tell=lambda each: None if as_json else _tell(each)))
    if as_json:
        click.echo(json.dumps(health_body(report), indent=2, ensure_ascii=False))
    else:
        _show(report)
    if report.harmful:
        raise click.exceptions.Exit(1)


def _tell(each: Examined) -> None:
    """A line as soon as it is known."""
    check = each.look.check
    click.echo(f"  {each.subject!s:<28} {check.verdict.value:<13} {check.text}")
    for fact in each.facts:
        click.echo(f"  {'':<28} {fact.name}: {fact.said}")
    for usage in each.usage:
        click.echo(f"  {'':<28} {usage}")


def _show(report: Health) -> None:
    from mailroom.cli.doctor import show_finding

    for subject, finding in report.findings:
        show_finding(finding, of=str(subject))
    if report.ends:
        click.echo("\nWhat ends when:")
        rows: list[dict[str, object]] = [{"on": f"{each.at:%Y-%m-%d}", "what": each.what, "of": each.owner} for each in report.ends]
        show(rows, as_json=False, empty="")
    if report.unchecked:
        click.echo("\nUnchecked:")
    for subject, open_ in report.unchecked:
        click.echo(f"  {subject}: {open_.what}: {open_.why}")
    if not report.findings:
        click.echo("\nNothing was found that is wrong." if not report.unchecked else "\nNothing else was found that is wrong.")
