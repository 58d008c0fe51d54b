"""A test of an outgoing server: a real mail through it, and each step with what the other side said.

It takes the server's own transport, beside the queue: nothing of it is kept, retried or reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from secrets import token_hex
from typing import assert_never

from mailroom.ports import Attempt, Job, Message, Resolution, Transport
from mailroom_core.errors import MailroomError
from mailroom_core.mime.source import InMemory
from mailroom_core.model import (
    AttemptId,
    Deferred,
    DeliveryId,
    Failed,
    Held,
    Kind,
    LaneName,
    MessageId,
    Outcome,
    Sent,
    Unknown,
)

TIME_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried. `said` is the other side's answer, or what to do."""

    name: str
    said: str
    ok: bool = True
    passes: bool = False
    """It failed for now: the other side is busy."""
    ends: datetime | None = None
    """When the certificate that was shown ends."""


Tell = Callable[[str, str, bool], None]
"""A step: its name, what was said, and whether that is a yes."""
MakeTransport = Callable[[Tell], Transport]
Check = Callable[[], Awaitable[str]]
"""Something to look at before: what was found, or raises MailroomError."""


async def trial(
    make: MakeTransport, checks: Mapping[str, Check], *, sender: str, recipient: str, now: datetime, last: str
) -> AsyncIterator[Step]:
    """The steps as they happen; the one called `last` says whether the mail was taken. Raises nothing that concerns the mail."""
    for name, check in checks.items():
        try:
            yield Step(name, await check())
        except MailroomError as problem:
            yield Step(name, str(problem), ok=False)
            return
    steps: asyncio.Queue[Step | None] = asyncio.Queue()
    transport = make(lambda name, said, ok: steps.put_nowait(Step(name, said, ok)))

    async def remember(facts: Mapping[str, str]) -> None:
        if "draft_id" in facts:
            steps.put_nowait(Step("draft", f"created, {facts['draft_id'][:16]}…"))

    attempt = asyncio.create_task(_attempt(transport, _job(sender, recipient, now), remember))
    attempt.add_done_callback(lambda _: steps.put_nowait(None))
    try:
        while (step := await steps.get()) is not None:
            yield step
        yield _named(attempt.result(), last)
    finally:
        attempt.cancel()
        await transport.close()


async def _attempt(transport: Transport, job: Job, remember: Callable[[Mapping[str, str]], Awaitable[None]]) -> Step:
    try:
        async with asyncio.timeout(TIME_LIMIT.total_seconds()):
            (outcome,) = (await transport.attempt(job, remember)).values()
    except MailroomError as problem:
        return Step("token", str(problem), ok=False)
    except TimeoutError:
        return Step("result", f"no end after {TIME_LIMIT.seconds} seconds; look at host, port and the firewall", ok=False)
    return _result(outcome)


def _named(step: Step, last: str) -> Step:
    return replace(step, name=last) if step.name == "result" else step


def _result(outcome: Outcome) -> Step:
    match outcome:
        case Sent(reply=reply):
            return Step("result", f"taken: {reply}")
        case Deferred(reply=reply) | Failed(reply=reply) | Held(reply=reply):
            return Step("result", str(reply), ok=False)
        case Unknown(why=why):
            return Step("result", f"{why}; whether it left is not known", ok=False)
        case _:
            assert_never(outcome)


def _job(sender: str, recipient: str, now: datetime) -> Job:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, "A test of Mailroom"
    mail["Date"] = now
    mail["Message-ID"] = f"<{token_hex(12)}@{sender.rpartition('@')[2]}>"
    mail.set_content("This mail was sent by Mailroom to see whether an outgoing server works. If you can read it, it does.\n")
    raw = mail.as_bytes()
    delivery = DeliveryId(1)
    message = Message(
        id=MessageId(0),
        accepted_at=now,
        sender=sender,
        header_from=sender,
        header_message_id=str(mail["Message-ID"]),
        subject=str(mail["Subject"]),
        application="",
        kind=Kind.TRANSACTIONAL,
        size=len(raw),
        rewrite_from="",
        raw=raw,
        blob="",
    )
    attempt = Attempt(
        id=AttemptId(0),
        message_id=message.id,
        delivery_ids=(delivery,),
        lane=LaneName("test"),
        epoch=0,
        started_at=now,
        deadline=now + TIME_LIMIT,
        marker=token_hex(8),
        facts={},
        resolution=Resolution.OPEN,
        looks=0,
        ended_at=None,
        text="",
    )
    return Job(attempt, message, {delivery: recipient}, InMemory(raw))
