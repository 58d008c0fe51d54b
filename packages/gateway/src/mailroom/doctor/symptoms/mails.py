"""Checks of mail: what became of it, what waits and why, what came twice, what was answered."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mailroom.doctor.explain import UNKNOWN, explain_reply
from mailroom.doctor.findings import Evidence, Finding, Harm, Look, Repair, Unchecked
from mailroom.doctor.symptoms.asking import Asked, Clinic, looked, meaning
from mailroom.ports import Delivery, Found, Message, Query, Resolution
from mailroom_core.mime.headers import Fields
from mailroom_core.model import State, show_id

MOST = 200
"""Mails that a check looks at, the newest."""
SHOWN = 3
RECENT = timedelta(days=2)
_DAILY = re.compile(r"in a day|daily limit", re.IGNORECASE)
_ID = re.compile(r"<[^<>\s]+>")
_WORDS = {
    State.HELD: ("is held", "are held"),
    State.FAILED: ("has failed", "have failed"),
    State.BOUNCED: ("came back", "came back"),
    State.UNSURE: ("is unsure", "are unsure"),
    State.QUEUED: ("was put off", "were put off"),
}
_WHY = {
    State.QUEUED: "It is tried again by itself.",
    State.UNSURE: "The answer got lost. The provider is asked what became of it, before anything is sent again.",
    State.BOUNCED: "The next server took it, and it came back later.",
}
_TODO = {
    State.UNSURE: "Wait: it is looked up by itself; if nobody can tell, a person is asked",
    State.HELD: "Look whether it has arrived, or why somebody holds it; then try it again, or ignore it",
}
"""Where no server has said anything."""


async def became(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Mail that is held, failed, came back or is unsure, by what its answers mean."""
    looks = await _troubles(clinic, asked, (State.HELD, State.FAILED, State.BOUNCED, State.UNSURE), "what became of mail")
    return [*looks, *_cancelled(asked)]


def _cancelled(asked: Asked) -> list[Look]:
    """By a person, which is no trouble and a cause all the same."""
    lost = [each for each in asked.story.deliveries if each.state is State.CANCELLED] if asked.story else []
    if asked.story is None or not lost:
        return []
    number = show_id(asked.story.message.id)
    who = next((each.text for each in reversed(asked.story.events) if each.name == "cancelled"), "its state is cancelled")
    finding = Finding(
        "mail-cancelled",
        Harm.RISKY,
        f"A person has cancelled it for {lost[0].recipient}",
        "It is not sent unless somebody wants that after all.",
        "Send it all the same, if it was a mistake",
        (Evidence(f"the story of mail {number}", who, "queue"),),
        repairs=(Repair("send it all the same", f"mailroom queue retry {number}", f"/messages/{number}"),),
    )
    return [looked("what a person did", "", finding)]


async def came_back(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    return await _troubles(clinic, asked, (State.BOUNCED, State.FAILED), "mail that came back")


async def put_off(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Mail that the next server did not take yet; of one mail, also why it does not wait any more."""
    ended = (State.FAILED, State.BOUNCED) if asked.story else ()
    looks = await _troubles(clinic, asked, (State.QUEUED, State.UNSURE, State.HELD, *ended), "mail that waits")
    return [*looks, *_cancelled(asked)]


async def over_the_limit(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Answers that speak of a limit of the day."""
    found = await _found(clinic, asked, (State.QUEUED, State.HELD, State.FAILED))
    said = [(each, told) for each in found if each.delivery.reply and (told := explain_reply(each.delivery.reply))]
    daily = [(each, told[0]) for each, told in said if any(_DAILY.search(one.means) for one in told)]
    if not daily:
        return (looked("answers about limits", f"none among the {len(found)} mails that wait, are held or have failed"),)
    first = daily[0][1]
    return (
        looked(
            "answers about limits",
            "",
            Finding(
                "daily-limit",
                Harm.HARMFUL,
                f"{_count(len(daily))} of it wait because of a limit: {first.means}",
                "The provider takes no more until a part of the day's limit is free again.",
                first.todo,
                tuple(_shown([each for each, _ in daily])),
                repairs=(Repair("see what waits", "mailroom queue list", "/messages?state=queued"),),
            ),
        ),
    )


async def _troubles(clinic: Clinic, asked: Asked, states: tuple[State, ...], area: str) -> Sequence[Look]:
    found = [each for each in await _found(clinic, asked, states) if each.delivery.state is not State.QUEUED or each.delivery.reply]
    if not found:
        return (looked(area, _nothing(asked)),)
    groups: dict[_Group, list[Found]] = defaultdict(list)
    for each in found:
        groups[await _group(clinic, each)].append(each)
    return (looked(area, "", *(_of_group(group, mails) for group, mails in groups.items())),)


@dataclass(frozen=True, slots=True)
class _Group:
    """Mails with one cause."""

    state: State
    means: str
    todo: str
    answered: bool
    """A server says so; else its story does."""


async def _group(clinic: Clinic, found: Found) -> _Group:
    state, reply = found.delivery.state, found.delivery.reply
    if reply and state is not State.HELD:
        return _Group(state, *meaning(reply), answered=True)
    story = await asyncio.to_thread(clinic.store.story, found.message.id)
    events = story.events if story else ()
    last = next((each for each in reversed(events) if each.delivery_id == found.delivery.id), None)
    if reply and not (last and "by" in last.data):
        return _Group(state, *meaning(reply), answered=True)
    return _Group(state, last.text if last else "nothing is noted", _TODO.get(state, UNKNOWN), answered=False)


def _nothing(asked: Asked) -> str:
    if asked.story is None:
        return "none" + (f" with {asked.address}" if asked.address else "")
    states = ", ".join(sorted({each.state.value for each in asked.story.deliveries}))
    return f"it is {states}; sent means that the next server has taken responsibility"


def _of_group(group: _Group, mails: Sequence[Found]) -> Finding:
    state, number = group.state, show_id(mails[0].message.id)
    again = Repair("try it again", f"mailroom queue retry {number}", f"/messages/{number}")
    see = Repair("see its story", f"mailroom queue show {number}", f"/messages/{number}")
    wait = state in (State.QUEUED, State.UNSURE)
    quarantined = state is State.HELD and bool(mails[0].message.source)
    return Finding(
        code=f"mail-{'waits' if state is State.QUEUED else state.value}",
        harm=Harm.RISKY if wait else Harm.HARMFUL,
        title=f"{_count(len(mails))} {_WORDS[state][len(mails) > 1]}: {group.means}",
        why="It waits in quarantine." if quarantined else _WHY.get(state, "It goes no further until somebody acts."),
        todo=group.todo or UNKNOWN,
        evidence=tuple(_shown(mails, "" if group.answered else group.means)),
        repairs=(see,) if wait else (again, see),
    )


def _shown(mails: Sequence[Found], said: str = "") -> Iterable[Evidence]:
    """`said` by its story, where no server has answered."""
    for each in mails[:SHOWN]:
        name = f"mail {show_id(each.message.id)} to {each.delivery.recipient}"
        asked = f"the story of {name}" if said else f"the answer to {name}"
        yield Evidence(asked, said or str(each.delivery.reply), each.delivery.server)


def _count(number: int) -> str:
    return "1 mail" if number == 1 else f"{number} mails"


async def _found(clinic: Clinic, asked: Asked, states: tuple[State, ...]) -> list[Found]:
    """Of one mail, or the newest that have to do with the address; what has ended long ago is left out."""
    if asked.story is not None:
        message = asked.story.message
        return [Found(each, message) for each in asked.story.deliveries if each.state in states]

    def find() -> list[Found]:
        query = Query(states=frozenset(states), text=asked.address)
        found, _ = clinic.store.find(query, limit=MOST)
        since = clinic.clock() - RECENT
        lasting = (State.HELD, State.QUEUED, State.UNSURE)
        return [each for each in found if not each.message.source and (each.delivery.state in lasting or each.message.accepted_at > since)]

    return await asyncio.to_thread(find)


async def doubles(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """The same Message-ID handed in twice, and mail that was sent again without an answer."""
    found = await _found(clinic, asked, tuple(State)) if asked.story is None else []
    messages = {each.message.id: each.message for each in found}
    if asked.story is not None:
        same = Query(header_message_id=asked.story.message.header_message_id)
        again, _ = await asyncio.to_thread(clinic.store.find, same, limit=MOST) if same.header_message_id else ([], "")
        messages = {each.message.id: each.message for each in again}
    by_id: dict[str, list[Message]] = defaultdict(list)
    for message in messages.values():
        if message.header_message_id and not message.source:
            by_id[message.header_message_id].append(message)
    twice = [each for each in by_id.values() if len(each) > 1]
    findings = [_submitted_twice(sorted(each, key=lambda one: one.id)) for each in twice[:SHOWN]]
    stories = [asked.story] if asked.story else []
    for story in stories:
        unsure = [each for each in story.attempts if each.resolution is Resolution.UNSURE or "may arrive twice" in each.text]
        if unsure and len(story.attempts) > 1:
            findings.append(_sent_again(show_id(story.message.id), [each.text for each in unsure]))
    about = "of this mail" if asked.story else f"among the {len(messages)} newest mails"
    return (looked("mail that came twice", f"no Message-ID was handed in twice {about}, none was sent again without an answer", *findings),)


def _submitted_twice(mails: Sequence[Message]) -> Finding:
    first = mails[0]
    evidence = [
        Evidence(f"mail {show_id(each.id)}", f"handed in by {each.application} at {each.accepted_at:%Y-%m-%d %H:%M:%S} UTC")
        for each in mails
    ]
    return Finding(
        "submitted-twice",
        Harm.HARMFUL,
        f"{first.application} has handed in the same mail {len(mails)} times ({first.header_message_id})",
        "Each is a mail of its own for Mailroom: programs hand in copies under one Message-ID on purpose, one for each recipient.",
        "If the recipients are the same, look why the program sends it again: an impatient timeout, or two jobs. Over the "
        "API an Idempotency-Key makes two submissions one",
        tuple(evidence[: SHOWN + 2]),
        repairs=(Repair("see its story", f"mailroom queue show {show_id(first.id)}", f"/messages/{show_id(first.id)}"),),
    )


def _sent_again(number: str, texts: Sequence[str]) -> Finding:
    return Finding(
        "sent-again",
        Harm.HARMFUL,
        "The answer of the next server got lost, and the mail was sent again",
        "A server that had taken it before its answer got lost now has it twice; SMTP knows no other way.",
        "With Graph and Mail.ReadWrite Mailroom looks before it sends again; for a smarthost, look why the connection breaks",
        tuple(Evidence(f"a try of mail {number}", each or "no answer", "queue") for each in texts[:SHOWN]),
        repairs=(Repair("see its story", f"mailroom queue show {number}", f"/messages/{number}"),),
    )


async def threads(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Whether an answer names a mail of ours."""
    if asked.story is None:
        return (_answers_have_a_place(clinic),)
    message = asked.story.message
    if not message.source and not any(each.name == "routed" for each in asked.story.events):
        return (_known_names(asked.story.deliveries, message),)
    head = await asyncio.to_thread(clinic.head, message.id)
    routed = next((each.text for each in asked.story.events if each.name == "routed"), "nothing is noted")
    verdict = Evidence("what was decided when it came", routed, "routing")
    if not head:
        return (looked("the answer", "", unchecked=(Unchecked("the head of the answer", "its bytes are gone (queue.keep_raw)"),)),)
    fields = Fields(head)
    ids = list(dict.fromkeys(_ID.findall(" ".join(fields.all("in-reply-to") + fields.all("references")))))
    read = Evidence("In-Reply-To and References of the mail", " ".join(ids) or "neither is there", "the mail")
    known = await asyncio.to_thread(clinic.store.sent_as, ids)
    if not ids:
        why = "The sender's program left out In-Reply-To and References: an answering machine, a form, or a new mail with the old subject."
        lost = _thread("answer-names-nothing", "The answer names no mail that it answers", why, read, verdict)
        return (looked("the answer", "", lost),)
    if not known:
        why = "What it names was sent by another way, or was forgotten since (queue.keep_rows), or got another Message-ID on its way."
        lost = _thread("answer-names-others", "The answer names no mail that left through Mailroom", why, read, verdict)
        return (looked("the answer", "", lost),)
    return (looked("the answer", f"it names mail of ours ({', '.join(known)}); {routed}"),)


def _thread(code: str, title: str, why: str, *evidence: Evidence) -> Finding:
    return Finding(
        code,
        Harm.HARMFUL,
        title,
        why,
        "Ask the sender to answer the mail itself; let all mail of that program leave through Mailroom",
        evidence,
        repairs=(Repair("see what would become of a mail", "mailroom route explain FILE", "/routing"),),
    )


def _known_names(deliveries: Sequence[Delivery], message: Message) -> Look:
    other = [
        each.remote.internet_message_id for each in deliveries if each.remote.internet_message_id not in ("", message.header_message_id)
    ]
    told = f"; the provider calls it {other[0]}, and answers to either name find it" if other else ""
    return looked("its Message-ID", f"{message.header_message_id} is known{told}")


def _answers_have_a_place(clinic: Clinic) -> Look:
    directory = clinic.directory()
    lost = [each for each in directory.applications.values() if each.active and not each.answers]
    incoming = [each for each in directory.incoming.values() if each.active]
    if incoming or not lost:
        return looked(
            "where answers go", f"{len(incoming)} incoming servers; {len(directory.applications) - len(lost)} applications with a place"
        )
    names = ", ".join(sorted(each.name for each in lost))
    return looked(
        "where answers go",
        "",
        Finding(
            "answers-have-no-place",
            Harm.RISKY,
            f"Answers to mail of {names} come nowhere that Mailroom sees",
            "There is no incoming server, and these applications name no destination: answers stay in the mailbox of the sender.",
            "Let Mailroom fetch the mailbox that answers come to, and name the destination in `answers` of the application",
            tuple(
                Evidence(f"application {each.name}", "answers is empty, and there is no incoming server", "objects")
                for each in lost[:SHOWN]
            ),
            repairs=(Repair("fetch a mailbox", "mailroom incoming add NAME", "/incoming"),),
        ),
    )
