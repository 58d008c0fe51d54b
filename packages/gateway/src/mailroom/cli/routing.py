"""`mailroom route` and `quarantine`: what would become of a mail, and what waits because nothing could."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, counted, json_option, show

if TYPE_CHECKING:
    from mailroom.ports import Query
    from mailroom.wiring.parts import Parts


@click.group()
def route() -> None:
    """What becomes of mail that comes in, and why."""


@route.command("explain")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--incoming", default="", help="As if this incoming server had fetched it.")
@click.option("--recipient", "recipients", multiple=True, help="As if it had been handed over for this address, whatever its head says.")
@json_option
@click.pass_obj
def explain(context: Context, file: Path, incoming: str, recipients: tuple[str, ...], as_json: bool) -> None:
    """What would become of the mail in FILE now, rule by rule. Nothing is changed."""
    from contextlib import closing

    from mailroom.intake.judge import explained, told
    from mailroom.wiring.intake import make_judge, opened
    from mailroom.wiring.parts import utc_now

    with context.parts() as parts, closing(opened(file)) as source:
        decision = explained(make_judge(parts), source, utc_now(), incoming=incoming, recipients=recipients)
    if as_json:
        show([told(decision)], as_json=True, empty="")
        return
    for line in decision.lines():
        click.echo(line)


@click.group()
def quarantine() -> None:
    """Mail that came in and has no place: no rule knew it, or its destination refused it."""


@quarantine.command("list")
@click.option("--limit", default=50, show_default=True)
@json_option
@click.pass_obj
def list_quarantine(context: Context, limit: int, as_json: bool) -> None:
    """What waits there, newest first, and why."""
    from mailroom_core.model import show_id

    with context.parts() as parts:
        found = [each for query in waiting(parts) for each in parts.store.find(query, limit=limit)[0]]
    found.sort(key=lambda each: each.message.id, reverse=True)
    rows: list[dict[str, object]] = [
        {
            "id": show_id(each.message.id),
            "accepted": each.message.accepted_at,
            "from": each.message.header_from,
            "to": each.delivery.recipient,
            "subject": each.message.subject,
            "came_by": each.message.source,
            "destination": each.delivery.server,
            "reply": str(each.delivery.reply or ""),
        }
        for each in found[:limit]
    ]
    show(rows, as_json=as_json, empty="Nothing is in quarantine.", columns=("id", "accepted", "from", "to", "reply"), spare=("accepted",))
    if found and not as_json:
        click.echo("Put right what stands in the way, and then: mailroom quarantine retry")


@quarantine.command("retry")
@click.argument("text", default="")
@click.pass_obj
def retry_quarantine(context: Context, text: str) -> None:
    """Judge all of it anew, or what has TEXT in its sender, recipient or subject; what has a place now is handed over."""
    from mailroom.ports import Action

    with context.parts() as parts:
        total = sum(parts.store.act(query, Action.RETRY, by=by(), limit=100_000) for query in waiting(parts, text))
    click.echo(f"{counted(total, 'delivery', 'deliveries')}: retry.")


def waiting(parts: Parts, text: str = "") -> list[Query]:
    """What is held of each destination, and of none; what happens from now on is no part of it."""
    from mailroom.ports import Query
    from mailroom.wiring.handing import DESTINATION
    from mailroom.wiring.parts import utc_now
    from mailroom_core.model import State

    lanes = [lane.name for lane in parts.store.lanes() if lane.name.startswith(DESTINATION)]
    return [Query(lane=lane, states=frozenset({State.HELD}), text=text, unchanged_since=utc_now()) for lane in lanes]


COMMANDS = (route, quarantine)
