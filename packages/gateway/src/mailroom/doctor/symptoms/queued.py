"""Checks of the queue: ways out that are held or that nobody serves, and what a waiting mail waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from mailroom.doctor.findings import Evidence, Finding, Harm, Look, Repair
from mailroom.doctor.symptoms.asking import Asked, Clinic, looked, meaning, server_of
from mailroom.ports import Attempt, Delivery, LaneStatus, Query, Resolution
from mailroom_core.model import Reply, State, show_id

LATE = timedelta(minutes=2)
"""Longer than a worker takes to see that something is due."""
SHOWN = 3
MANY = 50


async def lanes(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Ways out that are held, or that nobody serves."""
    known = await _known(clinic, asked)
    findings = [*(_held(each) for each in known if each.held), *_idle(clinic, known)]
    waiting = sum(each.waiting for each in known)
    return (looked("ways out", f"none is held; {_count(waiting)} waiting", *findings),)


async def _known(clinic: Clinic, asked: Asked) -> list[LaneStatus]:
    """Those that it is about."""
    found = await asyncio.to_thread(clinic.store.lanes)
    if asked.story is not None:
        return [each for each in found if each.name in {one.lane for one in asked.story.deliveries}]
    of = server_of(clinic, asked)
    return [each for each in found if not of or _is_of(clinic, each, of)]


def _is_of(clinic: Clinic, lane: LaneStatus, server: str) -> bool:
    """Whether its mail can go by this lane; see `accept.lane_of`."""
    account = getattr(clinic.directory().servers[server].route, "account", "")
    kind, name = (*lane.name.split(":"), "")[:2]
    return name in (server, account) or kind not in ("smarthost", "graph", "sink")


def _held(lane: LaneStatus) -> Finding:
    means, todo = meaning(Reply(0, lane.held))
    return Finding(
        "lane-held",
        Harm.HARMFUL,
        f"The way out {lane.name} is held: {means}",
        f"{_count(lane.waiting)} of it wait until somebody acts; their lifetime stands still.",
        f"{todo or lane.held.rstrip('.')}. Then let it go on",
        (Evidence(f"the way out {lane.name}", lane.held, "queue"),),
        repairs=(Repair("let it go on", f"mailroom queue free {lane.name}", "/"),),
    )


def _idle(clinic: Clinic, known: Sequence[LaneStatus]) -> list[Finding]:
    late = [each for each in known if _is_late(clinic, each) and not each.owned]
    if not late:
        return []
    first = late[0]
    return [
        Finding(
            "nobody-delivers",
            Harm.HARMFUL,
            f"Nobody delivers: mail of {first.name} has been due since {first.due_at:%Y-%m-%d %H:%M} UTC",
            "The process that delivers does not run, or can't reach the database.",
            "Start the gateway, and look into its log for worker_ended, worker_missing and store_trouble",
            (
                Evidence(
                    f"the way out {first.name}",
                    f"{_count(first.waiting)} waiting, due at {first.due_at:%H:%M} UTC, leased by nobody",
                    "queue",
                ),
            ),
            repairs=(Repair("see how the gateway is", "mailroom status", "/"),),
        )
    ]


def _is_late(clinic: Clinic, lane: LaneStatus) -> bool:
    return bool(lane.waiting and not lane.held and lane.due_at and clinic.clock() - lane.due_at > LATE)


async def turn(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """What waits although nobody has answered it: is it being sent, when is it due, and what is before it?"""
    known = {each.name: each for each in await _known(clinic, asked)}
    if asked.story is None:
        late = [each for each in known.values() if _is_late(clinic, each) and each.owned]
        findings = [await asyncio.to_thread(_in_line, clinic, each) for each in late[:SHOWN]]
        return (looked("turns", "nothing that somebody serves has been due for long", *findings),)
    findings = [_being_sent(clinic, each) for each in asked.story.attempts if each.resolution is Resolution.OPEN]
    for each in asked.story.deliveries:
        if each.state is State.QUEUED and not each.reply:
            findings += await asyncio.to_thread(_turn, clinic, each, known.get(each.lane))
    return (looked("its turn", "nothing is before it", *findings),)


def _being_sent(clinic: Clinic, attempt: Attempt) -> Finding:
    """A try that has not ended."""
    number, now = show_id(attempt.message_id), clinic.clock()
    over = attempt.deadline < now
    return Finding(
        "try-without-end" if over else "being-sent",
        Harm.HARMFUL if over else Harm.ADVICE,
        f"A try that began at {attempt.started_at:%H:%M:%S} UTC has no end"
        if over
        else f"It is being sent at this moment, since {attempt.started_at:%H:%M:%S} UTC",
        "Who began it has died or lost the database; whoever takes over the way out asks first what became of it."
        if over
        else "The next server takes its time, or the mail is large.",
        "See that the gateway runs; it settles the try by itself" if over else f"Wait until {attempt.deadline:%H:%M} UTC at most",
        (Evidence(f"the try of mail {number} by {attempt.lane}", f"deadline {attempt.deadline:%Y-%m-%d %H:%M:%S} UTC", "queue"),),
        repairs=(Repair("see its story", f"mailroom queue show {number}", f"/messages/{number}"),),
    )


def _turn(clinic: Clinic, delivery: Delivery, lane: LaneStatus | None) -> list[Finding]:
    """Blocking."""
    number = show_id(delivery.message_id)
    if delivery.due_at and delivery.due_at - clinic.clock() > LATE:
        return [
            Finding(
                "scheduled",
                Harm.ADVICE,
                f"It is to be sent at {delivery.due_at:%Y-%m-%d %H:%M} UTC, not before",
                "Who handed it in wanted that.",
                "Wait, or send it now",
                (Evidence(f"when the delivery to {delivery.recipient} is due", f"{delivery.due_at:%Y-%m-%d %H:%M:%S} UTC", "queue"),),
                repairs=(Repair("send it now", f"mailroom queue send-now {number}", f"/messages/{number}"),),
            )
        ]
    if lane is None or lane.held or (lane.waiting < 2 and not _is_late(clinic, lane)):
        return []
    return [_in_line(clinic, lane)]


def _in_line(clinic: Clinic, lane: LaneStatus) -> Finding:
    """Why what is due at a way out that somebody serves does not leave at once. Blocking."""
    found, _ = clinic.store.find(Query(lane=lane.name, states=frozenset({State.QUEUED, State.UNSURE})), limit=MANY)
    put_off = next((each for each in found if each.delivery.reply), None)
    if put_off is not None:
        means, todo = meaning(put_off.delivery.reply)
        number = show_id(put_off.message.id)
        return Finding(
            "way-out-pauses",
            Harm.RISKY,
            f"{_count(lane.waiting)} wait at {lane.name}, because the next server puts mail off: {means}",
            "When it wants a pause, all mail of that way out waits with it, and goes on by itself.",
            todo or "Wait; it is tried again by itself",
            (Evidence(f"the answer to mail {number}, which waits there, too", str(put_off.delivery.reply), put_off.delivery.server),),
            repairs=(Repair("see what waits", "mailroom queue list --state queued", "/messages?state=queued"),),
        )
    server = next((clinic.directory().servers.get(each.delivery.server) for each in found), None)
    pace = f"at most {server.per_minute} mails a minute leave there" if server and server.per_minute else "they leave one after the other"
    return Finding(
        "waits-its-turn",
        Harm.ADVICE,
        f"{_count(lane.waiting)} wait for their turn at {lane.name}, and {pace}",
        "Mailroom paces what leaves, so that the provider refuses nothing; transactional mail goes before bulk mail.",
        "Wait; the overview says when the last one will have left. Raise per_minute of the server if the provider grants more",
        (Evidence(f"the way out {lane.name}", f"{_count(lane.waiting)} waiting, {pace}", "queue"),),
        repairs=(Repair("see the outgoing servers", "mailroom server list", "/servers"),),
    )


def _count(number: int) -> str:
    return "1 mail" if number == 1 else f"{number} mails"
