"""`mailroom cutover`: away from SMTP AUTH by password at Microsoft 365."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, json_option, show

if TYPE_CHECKING:
    from mailroom.cutover.desk import CutoverDesk, Progress
    from mailroom.cutover.report import Report

WORDS = {
    "new": "new application {}",
    "existing": "uses the application {}",
    "listed": "is on the list as {}",
    "modern": "nothing: it signs in with OAuth",
}


@click.group()
def cutover() -> None:
    """Move devices and programs that still sign in at Microsoft 365 by password, one after the other."""


@contextmanager
def _desk(context: Context) -> Iterator[CutoverDesk]:
    from mailroom.wiring.cutover import cutover_desk

    with context.parts() as parts:
        yield cutover_desk(parts)


def _read(file: IO[bytes]) -> Report:
    from mailroom.cutover.report import MOST_BYTES, read

    return read(file.read(MOST_BYTES + 1))


@cutover.command("preview")
@click.argument("file", type=click.File("rb"))
@json_option
@click.pass_obj
def preview_(context: Context, file: IO[bytes], as_json: bool) -> None:
    """What the report "SMTP AUTH clients" of the Exchange admin center says, and what would be made of it. FILE is its CSV."""
    report = _read(file)
    with _desk(context) as desk:
        rows: list[dict[str, object]] = [
            {
                "address": each.client.address,
                "mails": each.client.mails,
                "tls": each.client.tls_words,
                "signs_in_with": list(each.client.protocols),
                "what_happens": each.step.value if as_json else WORDS[each.step.value].format(each.application),
                "application": each.application,
            }
            for each in desk.preview(report)
        ]
    columns = ("address", "mails", "tls", "signs_in_with", "what_happens")
    show(rows, as_json=as_json, empty="", columns=columns)
    if not as_json:
        for line in report.skipped:
            click.echo(f"left out: {line}")
        if report.left_out:
            click.echo(f"left out: {report.left_out} more lines")
        click.echo("Nothing was changed. Put them on the list with: mailroom cutover add FILE")


@cutover.command("add")
@click.argument("file", type=click.File("rb"))
@click.option("--address", "addresses", multiple=True, help="Only this one; several times for more. Without it all that use a password.")
@click.pass_obj
def add_(context: Context, file: IO[bytes], addresses: tuple[str, ...]) -> None:
    """Give each address of the report an application, and put it on the list. Those that are listed get their new numbers."""
    report = _read(file)
    with _desk(context) as desk:
        _show(desk.take(report, addresses or None, by=by()), as_json=False)


@cutover.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """Who has moved, and who has not."""
    with _desk(context) as desk:
        _show(desk.progress(), as_json=as_json)


def _show(progress: Progress, *, as_json: bool) -> None:
    from mailroom_core.model import show_id

    rows: list[dict[str, object]] = [
        {
            "address": each.address,
            "state": "done" if each.done_at else "waits",
            "done": each.done_at,
            "mail": "" if each.message_id is None else show_id(each.message_id),
            "application": each.application,
            "mails": each.mails,
            "tls": each.tls,
            "signs_in_with": each.protocols,
            "reported": each.reported_at,
        }
        for each in progress.movers
    ]
    empty = (
        'Nobody is on the list yet. Export the report "SMTP AUTH clients" of the Exchange admin center (Reports, Mail flow), then: '
        "mailroom cutover preview FILE"
    )
    show(rows, as_json=as_json, empty=empty, spare=("tls", "signs_in_with", "reported"))
    if as_json:
        return
    if rows:
        click.echo(f"{progress.done} of {len(rows)} done. The settings of one: mailroom cutover password ADDRESS")
    if progress.done < len(rows) or not rows:
        click.echo(f"{progress.deadline}.")


@cutover.command("password")
@click.argument("address")
@click.pass_obj
def password_(context: Context, address: str) -> None:
    """Make a password for the application of ADDRESS, and show what to enter in its device. One of before stops working."""
    from mailroom.console.recipes import recipes
    from mailroom.wiring.cutover import cutover_desk
    from mailroom.wiring.web import entrance_of

    with context.parts() as parts:
        application, password = cutover_desk(parts).new_password(address, by=by())
        entrance = entrance_of(parts.settings)
        made = recipes(entrance, application.name, password, application.senders, application.networks) if entrance.port else ()
    click.echo(password)
    click.echo("The password is shown this once; only its hash is kept. What to enter:", err=True)
    if not made:
        told = "any free one, which only the running gateway knows (port = 0); give the listener a port in mailroom.toml, and start it anew"
        click.echo(f"\n    Server: {entrance.host}\n    Port: {told}\n    User: {application.name}\n    Password: {password}", err=True)
    for each in made:
        click.echo(f"\n{each.title}: {each.where}\n", err=True)
        click.echo("\n".join(f"    {line}" for line in each.text.splitlines()), err=True)


@cutover.command("undo")
@click.argument("addresses", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that never sent, instead of ADDRESSES.")
@click.pass_obj
def undo_(context: Context, addresses: tuple[str, ...], everything: bool) -> None:
    """Take ADDRESSES off the list, and remove what was made for them. Who has sent a mail stays."""
    if bool(addresses) == everything:
        raise click.ClickException("name the addresses, or say --all for all that never sent")
    with _desk(context) as desk:
        done = desk.undo(addresses or None, by=by())
    for each in done.removed:
        click.echo(f"{each} is off the list.")
    for each, why in done.kept.items():
        click.echo(f"{each} stays: {why}.")
    if addresses and done.kept:
        raise click.exceptions.Exit(1)


COMMANDS = (cutover,)
