"""Looking at mail and steering it: `queue`, `send`, `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from mailroom.cli.context import Context, by, counted, json_option, show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mailroom.ports import Found, Query, Story
    from mailroom.standing import Standing
    from mailroom_core.model import MessageId


@click.group(invoke_without_command=True)
@click.pass_context
def queue(ctx: click.Context) -> None:
    """Mail on its way: list, show, retry, cancel ..."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_queue, text="", state=(), limit=50, as_json=False)


@queue.command("list")
@click.argument("text", default="")
@click.option("--state", multiple=True, help="Only these states, for example --state held --state failed.")
@click.option("--limit", default=50, show_default=True)
@json_option
@click.pass_obj
def list_queue(context: Context, text: str, state: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Deliveries, newest first. TEXT is a part of a recipient, sender or subject, or a Message-ID."""
    with context.parts() as parts:
        found, more = parts.store.find(_query(text, state), limit=limit)
    rows = [_row(item) for item in found]
    show(rows, as_json=as_json, empty="No mail here. Send some with: mailroom send --help", spare=("accepted", "from", "subject"))
    if more and not as_json:
        click.echo(f"There is more; see it with --limit {limit * 10}.")


@queue.command("show")
@click.argument("message")
@json_option
@click.pass_obj
def show_message(context: Context, message: str, as_json: bool) -> None:
    """The whole story of one mail."""
    with context.parts() as parts:
        story = parts.store.story(_message_id(message))
    if story is None:
        raise click.ClickException(f"there is no mail {message!r} (any more); see: mailroom queue list")
    mail = story.message
    rows = [*_happened(story), *_tried(story)]
    rows.sort(key=lambda row: str(row["at"]))
    if not as_json:
        click.echo(f"From {mail.header_from} ({mail.sender or 'null sender'}), {mail.size} bytes, {mail.header_message_id}")
        click.echo(f"Subject: {mail.subject}\n")
        for delivery in story.deliveries:
            click.echo(f"  {delivery.recipient}: {delivery.state.value}" + (f", {delivery.reply}" if delivery.reply else ""))
        click.echo()
    show(rows, as_json=as_json, empty="Nothing has happened to it yet.")


def _action(name: str, help_text: str) -> click.Command:
    @click.argument("text", default="")
    @click.option("--id", "message", default="", help="This mail only.")
    @click.option("--state", multiple=True)
    @click.option("--all", "everything", is_flag=True, help="Needed when nothing narrows the selection.")
    @click.pass_obj
    def run(context: Context, text: str, message: str, state: tuple[str, ...], everything: bool) -> None:
        from mailroom.ports import Action

        if not (text or message or state or everything):
            raise click.ClickException("this would touch all mail: narrow it with TEXT, --id or --state, or say --all")
        total = 0
        with context.parts() as parts:
            while changed := parts.store.act(_query(text, state, message), Action(name), by=by()):
                total += changed
                click.echo(f"\r{total} ...", nl=False, err=True)
                if changed < 1000:
                    break
        click.echo(f"\r{counted(total, 'delivery', 'deliveries')}: {name}.")

    return click.command(name.replace(" ", "-"), help=help_text)(run)


for _name, _help in (
    ("retry", "Send again what failed or is held, with a new lifetime."),
    ("send now", "Don't wait for the next try."),
    ("cancel", "Never send what is still waiting."),
    ("ignore", "You have dealt with it: take it off the list of what needs a person."),
    ("hold", "Keep waiting mail back."),
):
    queue.add_command(_action(_name, _help))


@queue.command("move")
@click.argument("text", default="")
@click.option("--to", "server", required=True, help="The outgoing server that it shall go by.")
@click.option("--id", "message", default="", help="This mail only.")
@click.option("--lane", default="", help="Only mail of this lane; `mailroom status` shows them.")
@click.option("--state", multiple=True, help="Of queued, held and failed mail only this.")
@click.option("--all", "everything", is_flag=True, help="Needed when nothing narrows the selection.")
@click.pass_obj
def move(context: Context, text: str, server: str, message: str, lane: str, state: tuple[str, ...], everything: bool) -> None:
    """Let waiting mail go by another outgoing server.

    Takes what is queued, held or failed and whose From the server's FROM filter lets. What has failed stays failed: retry it afterwards.
    What is being sent, and what nobody knows the outcome of, stays where it is, so that nothing leaves twice.
    """
    from dataclasses import replace

    from mailroom import moving
    from mailroom.wiring.ways import servers_of

    if not (text or message or lane or state or everything):
        raise click.ClickException("this would touch all mail: narrow it with TEXT, --id, --lane or --state, or say --all")
    query = replace(_query(text, state, message), lane=lane)
    with context.parts() as parts:
        directory = parts.directory()
        total = moving.move(parts.store, directory, query, server, by=by(), servers_of=lambda lane: servers_of(directory, lane))
    click.echo(f"{counted(total, 'delivery', 'deliveries')} moved to {server}.")
    if not total:
        click.echo("Nothing that matches may go by it: see its FROM filter (mailroom server list), and the states (mailroom queue list).")


@queue.command("free")
@click.argument("lanes", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every lane that is held.")
@click.pass_obj
def free(context: Context, lanes: tuple[str, ...], everything: bool) -> None:
    """Let held lanes go on (see `mailroom status`)."""
    if not (lanes or everything):
        raise click.ClickException("name a lane as `mailroom status` shows it, or say --all")
    with context.parts() as parts:
        known = {lane.name: lane for lane in parts.store.lanes()}
        if unknown := [name for name in lanes if name not in known]:
            raise click.ClickException(f"there is no lane {', '.join(unknown)}; see: mailroom status")
        wanted = [lane.name for lane in known.values() if lane.held and (everything or lane.name in lanes)]
        for name in wanted:
            parts.store.free_lane(name, by=by())
    click.echo(f"{counted(len(wanted), 'lane goes', 'lanes go')} on.")


@click.command()
@json_option
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """Is mail leaving? Lanes, what waits in them, what needs a person."""
    from mailroom.standing import standing
    from mailroom.vault.expiry import expiries
    from mailroom.wiring.parts import utc_now
    from mailroom.wiring.ways import servers_of

    with context.parts() as parts:
        directory, now = parts.directory(), utc_now()
        at = standing(parts.store, directory, lambda lane: servers_of(directory, lane), expiries(directory, parts.vault.open), now)
    if as_json:
        from mailroom.api.status import shape

        click.echo(shape(at).model_dump_json(indent=2))
        return
    for line in _told(at, now):
        click.echo(line)
    rows = [{"lane": lane.name, "waiting": lane.waiting, "next": lane.next, "done": lane.done, "held": lane.held} for lane in at.lanes]
    show(rows, as_json=False, empty="No lane yet: the first mail makes one.")


def _told(at: Standing, now: datetime) -> Iterator[str]:
    """A line for each thing that a person should know."""
    from mailroom.standing import MANY

    yield ", ".join(f"{count} {state.value}" for state, count in at.deliveries.items() if count) or "No mail yet."
    if not at.way_out:
        yield "There is no way out yet, so every mail is refused for now: see mailroom connect and mailroom server."
    for server in at.incoming:
        if server.trouble:
            yield f"The incoming server {server.name} can't fetch: {server.trouble}"
    if at.quarantine:
        yield f"In quarantine: {at.quarantine if at.quarantine < MANY else f'at least {MANY}'}; see mailroom quarantine list"
    for each in at.budgets:
        used_up = "; mail to others waits until some are free" if each.taken >= each.limit else ""
        yield f"External recipients of {each.name}: {each.taken} of {each.limit} a day are taken{used_up}."
    for end in at.ending:
        yield f"The {end.told(now)}"


@click.command()
@click.option("--from", "sender", required=True)
@click.option("--to", "recipients", multiple=True, required=True)
@click.option("--subject", default="A test from Mailroom")
@click.option("--text", default="If you can read this, mail leaves.\n")
@click.option(
    "--file", "source", type=click.File("rb"), help="A finished mail (RFC 5322) instead of subject and text; - is standard input."
)
@click.option("--wait/--no-wait", default=True, help="Watch until it has left.")
@click.pass_obj
def send(
    context: Context,
    sender: str,
    recipients: tuple[str, ...],
    subject: str,
    text: str,
    source: BinaryIO | None,
    wait: bool,
) -> None:
    """Hand in a mail and watch it leave."""
    from mailroom.cli import sending

    with context.parts() as parts:
        sending.send(parts, sender, recipients, source.read() if source else sending.compose(sender, recipients, subject, text), wait=wait)


def _happened(story: Story) -> list[dict[str, object]]:
    names = {delivery.id: delivery.recipient for delivery in story.deliveries}
    return [{"at": e.at, "recipient": names.get(e.delivery_id) if e.delivery_id else "", "what": e.text} for e in story.events]


def _tried(story: Story) -> list[dict[str, object]]:
    names = {delivery.id: delivery.recipient for delivery in story.deliveries}
    return [
        {
            "at": attempt.started_at,
            "recipient": [names[number] for number in attempt.delivery_ids if number in names],
            "what": f"Attempt: {attempt.text or 'under way'}",
        }
        for attempt in story.attempts
    ]


def _query(text: str, states: tuple[str, ...], message: str = "") -> Query:
    from mailroom.ports import Query
    from mailroom_core.model import State

    try:
        wanted = frozenset(State(state) for state in states)
    except ValueError as problem:
        raise click.ClickException(f"{problem}; there are {', '.join(state.value for state in State)}") from None
    return Query(text=text, states=wanted, message_id=_message_id(message) if message else None)


def _message_id(text: str) -> MessageId:
    from mailroom_core.model import MessageId, read_id

    try:
        return MessageId(read_id(text))
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None


def _row(found: Found) -> dict[str, object]:
    from mailroom_core.model import show_id

    delivery, message = found.delivery, found.message
    return {
        "id": show_id(message.id),
        "accepted": message.accepted_at,
        "from": message.header_from,
        "to": delivery.recipient,
        "subject": message.subject[:40],
        "state": delivery.state.value,
        "next": delivery.due_at,
        "reply": str(delivery.reply or ""),
    }


COMMANDS = (queue, status, send)
