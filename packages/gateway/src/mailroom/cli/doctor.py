"""`mailroom doctor`: why mail does not arrive, and what to do about it."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

import click

from mailroom.cli import asking, bundle
from mailroom.cli.context import Context, json_option, show

if TYPE_CHECKING:
    from mailroom.doctor.findings import Evidence, Finding, Record, Report
    from mailroom.doctor.mail_judge import MailReport

MOST_MAIL = 50 * 1024 * 1024


class _DoctorGroup(click.Group):
    """`mailroom doctor` is short for `mailroom doctor health`, `mailroom doctor example.com` for `mailroom doctor domain example.com`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] == "--json":
            args = ["health", *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and "." in args[0]:
            return super().resolve_command(ctx, ["domain", *args])
        return super().resolve_command(ctx, args)


@click.group(cls=_DoctorGroup)
def doctor() -> None:
    """Why mail doesn't arrive, and what to do about it. Alone, it looks at this installation; with a domain, at its DNS.

    \b
    mailroom doctor
    mailroom doctor example.com
    """


@doctor.command("health")
@json_option
@click.pass_obj
def health_(context: Context, as_json: bool) -> None:
    """Look at this installation: does each account, server, mailbox and destination work, and what ends when? Changes and sends
    nothing. Ends with 1 if something is harmful."""
    from mailroom.cli.health import look

    look(context, as_json=as_json)


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


@doctor.command("send-as")
@click.argument("address")
@click.option("--application", default="", help="As handed in by this one; its alias domain may change the server.")
@json_option
@click.pass_obj
def send_as_(context: Context, address: str, application: str, as_json: bool) -> None:
    """May we send as ADDRESS: by which server, as whom, and what proves it? Sends nothing. Ends with 1 if not."""
    from mailroom.cli.health import ask

    ask(context, address, application, as_json=as_json)


@doctor.command("message")
@click.argument("file", type=click.File("rb"))
@json_option
@click.pass_obj
def message_(context: Context, file: IO[bytes], as_json: bool) -> None:
    """Take a received mail apart: FILE is an .eml with its whole header (- is standard input). Ends with 1 if something is harmful."""
    from mailroom.doctor.mail_judge import mail_body
    from mailroom.wiring.doctor import judge_mail
    from mailroom_core.errors import MimeError
    from mailroom_core.mime.source import InMemory

    raw = file.read(MOST_MAIL + 1)
    if len(raw) > MOST_MAIL:
        raise click.ClickException(f"the mail is larger than {MOST_MAIL >> 20} MiB")
    with context.parts() as parts:
        try:
            report = judge_mail(parts, InMemory(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))
        except MimeError as problem:
            raise click.ClickException(f"this can't be read as a mail: {problem}") from None
    if as_json:
        click.echo(json.dumps(mail_body(report), indent=2, ensure_ascii=False))
    else:
        _show_mail(report)
    if report.harmful:
        raise click.exceptions.Exit(1)


def _show_mail(report: MailReport) -> None:
    from mailroom.doctor.mail_judge import hop_words, raises

    click.echo(f"{report.score:g} of 10: {report.mail.subject} (from {report.mail.author})\n")
    for check in report.checks:
        click.echo(f"  {check.area:<13} {check.verdict.value:<13} {check.text}")
    if report.mail.hops:
        click.echo("\nIts way:")
    for hop in report.mail.hops:
        waited = "" if hop.delay is None else f"  +{hop.delay.total_seconds():.0f} s"
        tls = {True: "TLS", False: "no TLS", None: ""}[hop.encrypted]
        click.echo(f"  {hop_words(hop)}  {hop.protocol} {tls}{waited}".rstrip())
    for finding in report.findings:
        show_finding(finding)
        click.echo(f"  Mending it is worth {raises(finding):g}.")
    if report.unchecked:
        click.echo("\nUnchecked:")
    for open_ in report.unchecked:
        click.echo(f"  {open_.what}: {open_.why}")


@doctor.command("senders")
@click.argument("domain")
@json_option
@click.pass_obj
def senders_(context: Context, domain: str, as_json: bool) -> None:
    """Who sends in the name of DOMAIN, by the DMARC reports of the last 30 days, and whether the policy can be tightened."""
    from mailroom.doctor.domain import domain_name
    from mailroom.doctor.senders import propose, senders, senders_body, since
    from mailroom.wiring.parts import utc_now

    with context.parts() as parts:
        name = domain_name(domain)
        found = senders(name, parts.store.diagnoses.seen(name, since(utc_now())))
    if as_json:
        click.echo(json.dumps(senders_body(found), indent=2))
        return
    rows: list[dict[str, object]] = [
        {
            "address": each.address,
            "mails": each.mails,
            "spf_and_dkim": each.both,
            "one_of_them": each.one,
            "failing": each.failing,
            "stopped": each.stopped,
            "proven_by": each.proven_by,
        }
        for each in found.sources
    ]
    show(rows, as_json=False, empty=f"No report about {name} in the last 30 days. docs/doctor.md says how they get here")
    if rows:
        click.echo(propose(found).text)


@doctor.command("report")
@click.argument("file", type=click.File("rb"))
@json_option
@click.pass_obj
def report_(context: Context, file: IO[bytes], as_json: bool) -> None:
    """Read a DMARC report, or a mail that brings some, from FILE (- is standard input): XML, gzip, zip or RFC 5322. It counts once."""
    from mailroom.doctor.aggregate import NoReport, read, reports_of
    from mailroom_core.mime.source import InMemory

    raw = file.read(MOST_MAIL + 1)
    if len(raw) > MOST_MAIL:
        raise click.ClickException(f"the file is larger than {MOST_MAIL >> 20} MiB")
    try:
        is_report = raw.lstrip()[:1] == b"<" or raw[:2] in (b"PK", b"\x1f\x8b")
        reports = [read(raw)] if is_report else reports_of(InMemory(raw))
    except NoReport as problem:
        raise click.ClickException(f"this is no report that can be read: {problem}") from None
    if not reports:
        raise click.ClickException("this mail brings no report")
    with context.parts() as parts:
        rows: list[dict[str, object]] = [
            {
                "domain": each.domain,
                "reporter": each.reporter,
                "number": each.number,
                "begins": each.begins,
                "ends": each.ends,
                "mails": sum(row.count for row in each.rows),
                "new": parts.store.diagnoses.add(each),
            }
            for each in reports
        ]
    show(rows, as_json=as_json, empty="")


def _show(report: Report) -> None:
    click.echo(f"{report.domain}: asked {report.resolver}, {report.took.total_seconds():.1f} s\n")
    for check in report.checks:
        click.echo(f"  {check.area:<12} {check.verdict.value:<13} {check.text}")
    for finding in report.findings:
        show_finding(finding)
    if report.unchecked:
        click.echo("\nUnchecked:")
    for open_ in report.unchecked:
        click.echo(f"  {open_.what}: {open_.why}")
    if not report.findings:
        click.echo("\nNothing was found that is wrong." if not report.unchecked else "\nNothing else was found that is wrong.")


def show_finding(finding: Finding, of: str = "") -> None:
    click.echo(f"\n{finding.harm.value.upper()}: {finding.title}  [{f'{of}: ' if of else ''}{finding.code}]")
    click.echo(f"  Why it matters: {finding.why}")
    click.echo(f"  What to do: {finding.todo}")
    for repair in finding.repairs:
        where = repair.command or f"in the console: {repair.page}"
        click.echo(f"  To {repair.label}: {where}")
    for record in finding.remove:
        click.echo(f"  Remove: {record.type} {record.short} ({record.full})\n      {record.value}")
    for record in finding.records:
        _show_record(record)
    for each in finding.evidence:
        show_evidence(each)


def _show_record(record: Record) -> None:
    """In both writings: some DNS providers append the domain by themselves."""
    click.echo(f"  Add: type {record.type}, name {record.short} (where {record.zone} is appended), or {record.full}\n      {record.value}")


def show_evidence(evidence: Evidence) -> None:
    proven = ", proven by DNSSEC" if evidence.validated else ""
    click.echo(f"  Read: {evidence.asked}" + (f" (from {evidence.source}{proven})" if evidence.source else ""))
    for line in evidence.said.splitlines():
        click.echo(f"      {line}")


for _command in (*asking.COMMANDS, *bundle.COMMANDS):
    doctor.add_command(_command)

COMMANDS: tuple[click.Command, ...] = (doctor,)
