"""Webhooks: `mailroom webhook`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, counted, json_option, show

if TYPE_CHECKING:
    from mailroom.notices import Notice
    from mailroom.objects import Webhook
    from mailroom.wiring.parts import Parts

EVENTS = ("accepted", "sent", "deferred", "held", "failed", "bounced", "complained", "account.needs_attention", "doctor.changed")


@click.group()
def webhook() -> None:
    """Webhooks: programs that are told what happens."""


@webhook.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS), help="What it wants to hear of; without one, everything.")
@click.option("--application", default="", help="Only about this one's mail; without one, about all mail and about accounts.")
@click.pass_obj
def add_webhook(context: Context, name: str, url: str, events: tuple[str, ...], application: str) -> None:
    """Tell URL what happens from now on, and show the secret that its calls are signed with, once."""
    from mailroom.wiring.parts import webhook_desk

    table = {"url": url, "application": application, **({"events": list(dict.fromkeys(events))} if events else {})}
    with context.parts() as parts:
        if name in parts.directory().webhooks:
            raise click.ClickException(f"there is a webhook {name!r} already; remove it first, or take another name")
        desk = webhook_desk(parts)
        made = desk.read(name, table)
        secret = desk.rotate(made, by=by())
    click.echo(secret)
    click.echo("The secret is shown this once. Give it to the target, which checks the calls with it (standardwebhooks.com).", err=True)
    click.echo(f"Try it with: mailroom webhook test {name}", err=True)


@webhook.command("rotate")
@click.argument("name")
@click.pass_obj
def rotate_webhook(context: Context, name: str) -> None:
    """A new secret, shown once. For a day, calls are signed with the one of before as well."""
    from mailroom.wiring.parts import webhook_desk

    with context.parts() as parts:
        secret = webhook_desk(parts).rotate(_known(parts, name), by=by())
    click.echo(secret)
    click.echo("The secret is shown this once. The one of before is good for another 24 hours.", err=True)


def _known(parts: Parts, name: str) -> Webhook:
    found = parts.directory().webhooks.get(name)
    if found is None:
        raise click.ClickException(f"there is no webhook {name!r}; see: mailroom webhook list")
    return found


@webhook.command("list")
@json_option
@click.pass_obj
def list_webhooks(context: Context, as_json: bool) -> None:
    """All webhooks, and how they are doing."""
    from mailroom.notices import Health
    from mailroom.webhooks.desk import condition

    with context.parts() as parts:
        found = parts.directory().webhooks.values()
        health = parts.notices.health()
    now = datetime.now(UTC)
    rows: list[dict[str, object]] = []
    for item in found:
        of = health.get(item.name, Health())
        state = condition(item, of)
        rows.append(
            {
                "name": item.name,
                "url": item.url,
                "events": "all" if len(item.events) == len(EVENTS) else [event.value for event in item.events],
                "application": item.application or "all",
                "state": f"{state} for {_span(now, of.failing_since)}" if state == "failing" else state,
                "waiting": of.waiting,
                "given_up": of.given_up,
                "last_told": of.told_at or "never",
            }
        )
    show(rows, as_json=as_json, empty="No webhook yet. Add one with: mailroom webhook add NAME https://your.program/hook")


def _span(now: datetime, since: datetime | None) -> str:
    minutes = int((now - (since or now)).total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


@webhook.command("remove")
@click.argument("name")
@click.pass_obj
def remove_webhook(context: Context, name: str) -> None:
    """It is told nothing more; what waits for it, its log and its secret are dropped."""
    with context.parts() as parts:
        _known(parts, name)
        parts.store.apply([], [("webhook", name)], by=by())
    click.echo(f"{name} is gone.")


@webhook.command("test")
@click.argument("name")
@click.pass_obj
def test_webhook(context: Context, name: str) -> None:
    """Call the target once, with an event of the type `test`, and show what it answers. Ends with 0 if it took it."""
    from mailroom.wiring.parts import webhook_desk

    with context.parts() as parts:
        tried = asyncio.run(webhook_desk(parts).test(_known(parts, name))).tried
    click.echo(f"{tried.status or 'No answer'} after {tried.took.total_seconds():.2f} s{f': {tried.answer}' if tried.answer else ''}")
    if not 200 <= tried.status < 300:
        raise click.ClickException("the target did not take it; it should answer 2xx")


@webhook.command("log")
@click.argument("name")
@click.argument("notice", default="")
@click.option("--failed", is_flag=True, help="Only what was given up.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@json_option
@click.pass_obj
def log_webhook(context: Context, name: str, notice: str, failed: bool, limit: int, as_json: bool) -> None:
    """What it was told, newest first; or each try of one NOTICE."""
    from mailroom.notices import NoticeState

    with context.parts() as parts:
        _known(parts, name)
        if notice:
            _show_tries(parts, name, notice, as_json=as_json)
            return
        state = NoticeState.GIVEN_UP if failed else None
        found, _ = parts.notices.notices(name, state=state, limit=limit)
    empty = "Nothing was given up." if failed else "It was told nothing yet."
    show([_row(each) for each in found], as_json=as_json, empty=f"{empty} Try it with: mailroom webhook test {name}")


def _row(item: Notice) -> dict[str, object]:
    from mailroom_core.model import show_id

    return {
        "id": show_id(item.id),
        "event": item.event,
        "message": "" if item.message_id is None else show_id(item.message_id),
        "state": item.state.value,
        "tries": item.tries,
        "next": item.due_at,
    }


def _show_tries(parts: Parts, name: str, notice: str, *, as_json: bool) -> None:
    from mailroom.wiring.parts import webhook_desk

    story = webhook_desk(parts).look_up(name, notice)
    if story is None:
        raise click.ClickException(f"{name} was told nothing with the id {notice!r}; see: mailroom webhook log {name}")
    rows: list[dict[str, object]] = [
        {"at": each.at, "status": each.status, "seconds": f"{each.took.total_seconds():.2f}", "answer": each.answer} for each in story.tries
    ]
    if not as_json:
        click.echo(story.notice.body)
    show(rows, as_json=as_json, empty="It was not tried yet.")


@webhook.command("replay")
@click.argument("name")
@click.argument("notice", default="")
@click.option("--since", default="", help="Only what was made in this time, for example 3d; without it, all that there is.")
@click.pass_obj
def replay_webhook(context: Context, name: str, notice: str, since: str) -> None:
    """Tell again at once, with the same ids: one NOTICE whatever became of it, or all that have failed."""
    from datetime import timedelta

    from mailroom.units import span
    from mailroom.wiring.parts import webhook_desk

    try:
        length = span(since) if since else None
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None
    begin = datetime.now(UTC) - length if isinstance(length, timedelta) else None
    with context.parts() as parts:
        _known(parts, name)
        story = webhook_desk(parts).look_up(name, notice) if notice else None
        if notice and story is None:
            raise click.ClickException(f"{name} was told nothing with the id {notice!r}; see: mailroom webhook log {name}")
        count = parts.notices.replay(name, notice=story.notice.id if story else None, since=begin)
    click.echo(f"{counted(count, 'notice goes', 'notices go')} out again.")


COMMANDS = (webhook,)
