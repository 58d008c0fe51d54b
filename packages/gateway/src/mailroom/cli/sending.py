"""`mailroom send`: through the same door as every other mail, then watching it."""

from __future__ import annotations

import asyncio
import shlex
import time
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP

import click

from mailroom.accept import Submission
from mailroom.objects import Application
from mailroom.ports import Story
from mailroom.wiring.door import make_accept
from mailroom.wiring.parts import Parts
from mailroom_core.model import FINAL, MessageId, State, show_id

_SETTLED = FINAL | {State.HELD}


def compose(sender: str, recipients: tuple[str, ...], subject: str, text: str) -> bytes:
    """A plain mail."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, ", ".join(recipients), subject
    message.set_content(text)
    return message.as_bytes()


def send(parts: Parts, sender: str, recipients: tuple[str, ...], raw: bytes, *, wait: bool) -> None:
    """Exits with 1 if it was not sent to everybody."""
    number = asyncio.run(_submit(parts, sender, recipients, raw))
    click.echo(f"accepted as {show_id(number)}")
    if wait and not watch(parts, number):
        raise click.exceptions.Exit(1)


async def _submit(parts: Parts, sender: str, recipients: tuple[str, ...], raw: bytes) -> MessageId:
    accept, commit = make_accept(parts, lambda: None)
    raw = b"\r\n".join(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    submission = Submission(
        application=Application(name="command line"),
        sender=sender,
        recipients=recipients,
        raw=raw,
        spool=None,
        size=len(raw),
        client="127.0.0.1",
        helo="localhost",
        tls="",
        authenticated="",
    )
    try:
        return await accept(submission)
    finally:
        await commit.close()


def watch(parts: Parts, number: MessageId, *, limit: float = 120.0) -> bool:
    """Print each new line of its story; whether it was sent to everybody."""
    seen, looks = 0, 0
    until = time.monotonic() + limit
    while time.monotonic() < until:
        story = parts.store.story(number)
        if story is None:
            return False
        for event in story.events[seen:]:
            click.echo(f"  {event.at.astimezone(UTC):%H:%M:%S} UTC  {_recipient(story, event.delivery_id)}{event.text}")
        seen = len(story.events)
        states = {delivery.state for delivery in story.deliveries}
        if states <= _SETTLED:
            return states == {State.SENT}
        if looks % 5 == 0 and _is_held(parts, story):
            return False
        looks += 1
        time.sleep(0.2)
    click.echo(f"It is still on its way; look again with: mailroom queue show {show_id(number)}")
    return False


def _is_held(parts: Parts, story: Story) -> bool:
    """Say why nothing more will happen by itself, if so."""
    waiting = {delivery.lane for delivery in story.deliveries if delivery.state not in _SETTLED}
    held = {lane.name: lane.held for lane in parts.store.lanes() if lane.held and lane.name in waiting}
    if waiting - held.keys():
        return False
    for name, reason in held.items():
        click.echo(f"  It waits: the lane {name} is held: {reason}")
        click.echo(f"  When that is mended, let it go on with: mailroom queue free {shlex.quote(name)}")
    return True


def _recipient(story: Story, delivery_id: int | None) -> str:
    return next((f"{delivery.recipient}: " for delivery in story.deliveries if delivery.id == delivery_id), "")
