"""`mailroom doctor`: why mail does not arrive, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, json_option

if TYPE_CHECKING:
    from mailroom.doctor.findings import Evidence, Finding, Record, Report


class _DoctorGroup(click.Group):
    """`mailroom doctor example.com` is short for `mailroom doctor domain example.com`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and "." in args[0]:
            return super().resolve_command(ctx, ["domain", *args])
        return super().resolve_command(ctx, args)


@click.group(cls=_DoctorGroup)
def doctor() -> None:
    """Why mail doesn't arrive, and what to do about it: mailroom doctor example.com"""


@doctor.command("domain")
@click.argument("domain")
@click.option("--selector", "selectors", multiple=True, help="A DKIM key of yours besides those of the mail services that Mailroom knows.")
@json_option
@click.pass_obj
def domain_(context: Context, domain: str, selectors: tuple[str, ...], as_json: bool) -> None:
    """Look at the DNS of DOMAIN: does mail of our outgoing servers arrive, and do answers? Ends with 1 if something is harmful."""
    import asyncio

    from mailroom.doctor.shapes import report_body
    from mailroom.wiring.doctor import look_at

    with context.parts() as parts:
        report = asyncio.run(look_at(parts, domain, selectors=selectors))
    if as_json:
        click.echo(json.dumps(report_body(report), indent=2, ensure_ascii=False))
    else:
        _show(report)
    if report.harmful:
        raise click.exceptions.Exit(1)


def _show(report: Report) -> None:
    click.echo(f"{report.domain}: asked {report.resolver}, {report.took.total_seconds():.1f} s\n")
    for check in report.checks:
        click.echo(f"  {check.area:<12} {check.verdict.value:<13} {check.text}")
    for finding in report.findings:
        _show_finding(finding)
    if report.unchecked:
        click.echo("\nUnchecked:")
    for open_ in report.unchecked:
        click.echo(f"  {open_.what}: {open_.why}")
    if not report.findings:
        click.echo("\nNothing was found that is wrong." if not report.unchecked else "\nNothing else was found that is wrong.")


def _show_finding(finding: Finding) -> None:
    click.echo(f"\n{finding.harm.value.upper()}: {finding.title}  [{finding.code}]")
    click.echo(f"  Why it matters: {finding.why}")
    click.echo(f"  What to do: {finding.todo}")
    for record in finding.remove:
        click.echo(f"  Remove: {record.type} {record.short} ({record.full})\n      {record.value}")
    for record in finding.records:
        _show_record(record)
    for each in finding.evidence:
        _show_evidence(each)


def _show_record(record: Record) -> None:
    """In both writings: some DNS providers append the domain by themselves."""
    click.echo(f"  Add: type {record.type}, name {record.short} (where {record.zone} is appended), or {record.full}\n      {record.value}")


def _show_evidence(evidence: Evidence) -> None:
    proven = ", proven by DNSSEC" if evidence.validated else ""
    click.echo(f"  Read: {evidence.asked}" + (f" (from {evidence.source}{proven})" if evidence.source else ""))
    for line in evidence.said.splitlines():
        click.echo(f"      {line}")


COMMANDS: tuple[click.Command, ...] = (doctor,)
