"""One mail over one connection: MAIL, RCPT, DATA, the content, and what each answer means for each recipient.

Where the server offers PIPELINING (RFC 2920), everything up to DATA is one write. An answer belongs to one recipient only if it came
to that recipient's RCPT; what is missing in the end is `Deferred`, unless the dot that ends the mail may have left: then `Unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from mailroom.transports.smtp_body import Body, Unreadable, on_the_wire, pieces_on_the_wire
from mailroom.transports.smtp_reply import Answer
from mailroom.transports.smtp_table import Stage
from mailroom.transports.smtp_verdict import judge
from mailroom.transports.smtp_wire import Wire
from mailroom_core.model import Deferred, DeliveryId, Outcome, Reply, Sent, Unknown

Outcomes = dict[DeliveryId, Outcome]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long we wait for the server. An attempt's own deadline ends all of them."""

    connect: timedelta = timedelta(seconds=30)
    """Until the connection is signed in."""
    command: timedelta = timedelta(minutes=2)
    piece: timedelta = timedelta(minutes=3)
    """Until the server has taken the next piece of a body (RFC 5321 4.5.3.2.5)."""
    end: timedelta = timedelta(minutes=10)
    """From the end of a mail to the reply (RFC 5321 4.5.3.2.6): giving up too early is how mail arrives twice."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The timeouts, and the end of the attempt on the event loop's clock."""

    timeouts: Timeouts
    hard: float

    def by(self, span: timedelta) -> float:
        return min(asyncio.get_running_loop().time() + span.total_seconds(), self.hard)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Checked addresses; the sender without angle brackets, empty for the null reverse-path."""

    sender: str
    recipients: Mapping[DeliveryId, str]
    utf8: bool
    """An address has characters beyond ASCII (RFC 6531)."""


async def transact(wire: Wire, envelope: Envelope, body: Body, limits: Limits) -> Outcomes | None:
    """An outcome for each recipient. None: the connection had gone stale in the pool, and the server has seen nothing of the mail."""
    reused = wire.used > 0
    wire.used += 1
    if wire.dirty and not await _reset(wire, limits):
        return None
    answers = await _offer(wire, envelope, body, limits)
    if reused and (not answers or answers[0].code == 421):
        return None
    outcomes, accepted = _read_offer(wire, envelope, answers)
    if accepted:
        outcomes |= dict.fromkeys(accepted, await _content(wire, body, limits))
    return outcomes


async def _reset(wire: Wire, limits: Limits) -> bool:
    answers = await wire.ask(b"RSET\r\n", 1, limits.by(limits.timeouts.command))
    wire.dirty = False
    if answers and answers[0].yes:
        return True
    wire.drop("the server did not take RSET")
    return False


async def _offer(wire: Wire, envelope: Envelope, body: Body, limits: Limits) -> list[Answer]:
    """The answers to MAIL, each RCPT, and DATA; fewer where one made the rest needless, or the connection ended."""
    commands = _commands(wire, envelope, body)
    deadline = limits.by(limits.timeouts.command)
    if wire.features.pipelining:
        return await wire.ask(b"".join(commands), len(commands), deadline)
    answers: list[Answer] = []
    for command in commands:
        if answers and not answers[0].yes:
            break
        if command is commands[-1] and not any(answer.yes for answer in answers[1:]):
            break
        answers += await wire.ask(command, 1, limits.by(limits.timeouts.command))
        if wire.broken:
            break
    return answers


def _commands(wire: Wire, envelope: Envelope, body: Body) -> list[bytes]:
    options = ""
    if wire.features.size:
        options += f" SIZE={body.content.length}"
    if body.eight_bit and wire.features.eight_bit:
        options += " BODY=8BITMIME"
    if envelope.utf8:
        options += " SMTPUTF8"
    return [
        f"MAIL FROM:<{envelope.sender}>{options}\r\n".encode(),
        *(f"RCPT TO:<{address}>\r\n".encode() for address in envelope.recipients.values()),
        b"DATA\r\n",
    ]


def _read_offer(wire: Wire, envelope: Envelope, answers: list[Answer]) -> tuple[Outcomes, list[DeliveryId]]:
    """The outcomes so far, and the recipients whom the content may now be sent for."""
    if confused := next((answer for answer in answers[: len(envelope.recipients) + 1] if answer.code // 100 == 3), None):
        wire.drop("the server's answers fit no question")
        return dict.fromkeys(envelope.recipients, _judge(confused, Stage.MAIL)), []
    if not answers or not answers[0].yes:
        outcome = _judge(answers[0], Stage.MAIL) if answers else _silence(wire, answers)
        _leave(wire, answers, envelope)
        return dict.fromkeys(envelope.recipients, outcome), []
    outcomes: Outcomes = {}
    accepted = []
    for delivery, answer in zip(envelope.recipients, answers[1:], strict=False):
        if answer.yes:
            accepted.append(delivery)
        else:
            outcomes[delivery] = _judge(answer, Stage.RCPT)
    data = answers[-1] if len(answers) == len(envelope.recipients) + 2 else None
    if accepted and data and 300 <= data.code < 400:
        return outcomes, accepted
    rest = _judge(data, Stage.CONTENT) if data else _silence(wire, answers)
    outcomes = dict.fromkeys(envelope.recipients, rest) | outcomes
    _leave(wire, answers, envelope)
    return outcomes, []


def _leave(wire: Wire, answers: list[Answer], envelope: Envelope) -> None:
    """The mail ends before its content: what has to happen before the connection can carry the next one."""
    wire.dirty = True
    if len(answers) == len(envelope.recipients) + 2 and answers[-1].code < 400:
        # It waits for a content that nobody may get. RFC 2920 3.1 would send a lone dot; closing can't deliver anything.
        wire.drop("the server wanted the content of a mail that it had refused")


async def _content(wire: Wire, body: Body, limits: Limits) -> Outcome:
    try:
        if body.small:
            last = on_the_wire(body)
        else:
            last = b""
            async with aclosing(pieces_on_the_wire(body)) as pieces:
                async for piece in pieces:
                    await wire.send(last, limits.by(limits.timeouts.piece))
                    if wire.broken:
                        break
                    last = piece
    except Unreadable as problem:
        wire.drop("the mail could not be read to its end")
        return Deferred(Reply(0, str(problem)))
    if wire.broken:
        return _cut_off(wire)
    answers = await wire.ask(last, 1, limits.by(limits.timeouts.end))
    if not answers:
        return Unknown(f"the mail was sent, but no answer came: {wire.broken}")
    final = answers[0]
    if final.yes:
        return Sent(final.reply())
    if final.code < 400:
        wire.drop("the server answered the end of a mail with neither yes nor no")
        return Unknown(f"the mail was sent, and the server answered neither yes nor no: {final.reply()}")
    return judge(final.reply(), Stage.CONTENT)


def _cut_off(wire: Wire) -> Outcome:
    """Before its last dot a mail is no mail: it was not delivered (RFC 5321 4.1.1.4)."""
    if wire.spoke and wire.spoke.code >= 400:
        return judge(wire.spoke.reply(), Stage.CONTENT)
    return Deferred(Reply(0, f"the connection ended in the middle of the mail: {wire.broken}", "4.4.2"))


def _silence(wire: Wire, answers: list[Answer]) -> Outcome:
    """For recipients whose answer never came."""
    if answers and answers[-1].code == 421:
        return judge(answers[-1].reply(), Stage.MAIL)
    return Deferred(Reply(0, f"the connection ended before the mail was sent: {wire.broken}", "4.4.2"))


def _judge(answer: Answer, stage: Stage) -> Outcome:
    if answer.code >= 400:
        return judge(answer.reply(), stage)
    return Deferred(Reply(answer.code, f"the server answered {stage.value} with something that fits no question: {answer.reply().text}"))
