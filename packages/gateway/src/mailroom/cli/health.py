"""`mailroom doctor` without a domain: the health of this installation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, show

if TYPE_CHECKING:
    from mailroom.doctor.health.looking import Examined, Health
    from mailroom.doctor.health.send_as import SendAs


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


def ask(context: Context, address: str, application: str, *, as_json: bool) -> None:
    """May we send as this address? Ends with 1 if not."""
    from mailroom.doctor.health.send_as import May, send_as_body
    from mailroom.wiring.health.send_as import send_as

    with context.parts() as parts:
        found = asyncio.run(send_as(parts, address, application=application))
    if as_json:
        click.echo(json.dumps(send_as_body(found), indent=2, ensure_ascii=False))
    else:
        _answer(found)
    if found.may is May.NO:
        raise click.exceptions.Exit(1)


def _answer(found: SendAs) -> None:
    from mailroom.cli.doctor import show_evidence

    click.echo(
        f"{found.may.value.upper()}: {found.address} is {found.how.value}." if found.leaves_as == found.address else found.may.value.upper()
    )
    click.echo(f"  {found.why}.")
    if found.todo:
        click.echo(f"  What to do: {found.todo}.")
    lines = {
        "Server": found.server,
        "Mailbox": found.mailbox,
        "Recipients see": found.leaves_as,
        "Applications that may use it": ", ".join(found.applications)
        or "none; allow it with: mailroom app add NAME --sender " + found.address,
        **{each.name: each.said for each in found.facts},
    }
    for name, said in lines.items():
        if said:
            click.echo(f"  {name}: {said}")
    for each in found.evidence:
        show_evidence(each)
    if found.unchecked:
        click.echo("\nUnchecked:")
    for open_ in found.unchecked:
        click.echo(f"  {open_.what}: {open_.why}")


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
