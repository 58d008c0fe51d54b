"""`mailroom doctor explain`, `odoo` and `ask`: what an error says, what is wrong in an Odoo, and why mail does not do what it should."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, json_option, show

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mailroom.doctor.odoo.findings import OdooReport
    from mailroom.doctor.symptoms.asking import Answer


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


@click.command("odoo")
@click.argument("destination", default="")
@click.option("--repair", "repairs", multiple=True, metavar="CODE", help="Mend this finding in Odoo; may be given several times.")
@click.option("--repair-all", is_flag=True, help="Mend all that can be mended from here.")
@click.option("--undo", is_flag=True, help="Bring back what was before --repair.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
@click.pass_obj
def odoo_(context: Context, destination: str, repairs: tuple[str, ...], repair_all: bool, undo: bool, yes: bool, as_json: bool) -> None:
    """Look at the Odoo of a DESTINATION over its API: servers that compete, alias domains, scheduled actions, failed mails, parameters.
    What mends a finding is shown first, asked for, and can be taken back. Ends with 1 if something is harmful."""
    import asyncio

    from mailroom.doctor.odoo.report import odoo_body
    from mailroom.wiring.odoo_doctor import OdooDoctor

    with context.parts() as parts:
        desk = OdooDoctor(parts)
        name = destination or _only(desk.names())
        if undo:
            if not yes:
                click.confirm(f"Bring back in {name} what was before it was mended?", abort=True)
            asyncio.run(_told(desk.taken_back(name, by=by())))
            return
        report = asyncio.run(desk.look(name))
        if repairs or repair_all:
            if (wanted := _wanted(report, repairs)) and (yes or click.confirm("Do this?", abort=True)):
                asyncio.run(_told(desk.mended(name, wanted, by=by())))
                click.echo(f"Done; mailroom doctor odoo {name} --undo brings back what was before.")
            return
    if as_json:
        click.echo(json.dumps(odoo_body(report), indent=2, ensure_ascii=False))
    else:
        _show_odoo(report)
    if report.harmful:
        raise click.exceptions.Exit(1)


def _only(names: list[str]) -> str:
    if len(names) != 1:
        told = f"say which: {', '.join(names)}" if names else "there is no destination that is an Odoo; see: mailroom destination add-odoo"
        raise click.UsageError(told)
    return names[0]


async def _told(said: AsyncIterator[str]) -> None:
    async for each in said:
        click.echo(f"{each[0].upper()}{each[1:]}.")


def _wanted(report: OdooReport, codes: tuple[str, ...]) -> list[str]:
    """Says what would change; without codes everything."""
    if unknown := [each for each in codes if each not in report.changes]:
        can = ", ".join(report.changes) or "nothing"
        raise click.ClickException(f"nothing in Odoo mends {', '.join(unknown)}; what can be mended: {can}")
    wanted = [code for code in report.changes if not codes or code in codes]
    for change in (each for code in wanted for each in report.changes[code]):
        click.echo(f"Change {change.title}")
        for line in change.lines():
            click.echo(f"    {line}")
    if not wanted:
        click.echo("Nothing was found that can be mended from here.")
    return wanted


def _show_odoo(report: OdooReport) -> None:
    from mailroom.cli.doctor import show_finding

    click.echo(f"{report.destination}: asked {report.url}\n")
    for check in report.checks:
        click.echo(f"  {check.area:<18} {check.verdict.value:<13} {check.text}")
    for finding in report.findings:
        show_finding(finding)
        if finding.code in report.changes:
            click.echo(f"  Mend it: mailroom doctor odoo {report.destination} --repair {finding.code}")
    if report.unchecked:
        click.echo("\nUnchecked:")
    for open_ in report.unchecked:
        click.echo(f"  {open_.what}: {open_.why}")
    if not report.findings:
        click.echo("\nNothing was found that is wrong." if not report.unchecked else "\nNothing else was found that is wrong.")


@click.command("ask")
@click.argument("question", default="")
@click.option("--message", default="", help="The id of a mail that it is about.")
@click.option("--address", default="", help="An address, a domain, a user or a client that it is about.")
@click.option("--file", "file", type=click.File("rb"), help="A mail as it was received, for the question spam.")
@json_option
@click.pass_obj
def ask_(context: Context, question: str, message: str, address: str, file: IO[bytes] | None, as_json: bool) -> None:
    """Ask why, for example: mailroom doctor ask not-sent --address anna@example.com. Without a QUESTION, lists them. Changes nothing. Ends
    with 1 if something harmful was found."""
    import asyncio

    from mailroom.doctor.symptoms.asking import answer_body
    from mailroom.doctor.symptoms.questions import QUESTIONS
    from mailroom.wiring.symptoms import answered

    if not question:
        rows: list[dict[str, object]] = [{"name": each.slug, "question": each.text, "about": each.about} for each in QUESTIONS]
        show(rows, as_json=as_json, empty="")
        return
    with context.parts() as parts:
        answer = asyncio.run(answered(parts, question, message, address, file.read() if file else None))
    if as_json:
        click.echo(json.dumps(answer_body(answer), indent=2, ensure_ascii=False))
    else:
        _show_answer(answer)
    if answer.harmful:
        raise click.exceptions.Exit(1)


def _show_answer(answer: Answer) -> None:
    from mailroom.cli.doctor import show_finding

    click.echo(f"{answer.question.text}: {answer.verdict}.\n")
    for check in answer.checks:
        click.echo(f"  {check.area:<28} {check.verdict.value:<13} {check.text}")
    for finding in answer.findings:
        show_finding(finding)
    if answer.unchecked:
        click.echo("\nUnchecked:")
    for open_ in answer.unchecked:
        click.echo(f"  {open_.what}: {open_.why}")


COMMANDS: tuple[click.Command, ...] = (explain_, odoo_, ask_)
"""Below `mailroom doctor`."""
