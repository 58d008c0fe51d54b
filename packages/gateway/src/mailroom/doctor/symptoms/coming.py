"""Checks of the way in: what would become of a mail to an address, what has come for it, and what became of that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailroom.doctor.explain import UNKNOWN, explain_reply
from mailroom.doctor.findings import Evidence, Finding, Harm, Look, Repair, Unchecked
from mailroom.doctor.health.looking import Subject
from mailroom.doctor.symptoms.asking import Asked, Clinic, Prospect, health_of, looked
from mailroom.objects import Directory
from mailroom.ports import Found, Query, Story
from mailroom_core.model import State, show_id
from mailroom_core.policy.addresses import domain_of, normalize
from mailroom_core.policy.decision import Decision, Verdict

MOST = 50
SHOWN = 3
LONGEST = 600
"""Characters of the way to a decision that are shown."""
TAKEN = frozenset({Verdict.ALIAS, Verdict.FALLBACK, Verdict.REPLY})
_AREA = "the routing rules"


async def rules(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """What would become of a new mail to this address, by the rules that decide over real ones; and whether its destination takes it."""
    if asked.story is not None:
        return ()
    if not clinic.ways_in():
        return (looked("ways in", "", _no_way_in()),)
    if "@" not in asked.address:
        return (looked("ways in", ", ".join(clinic.ways_in())),)
    if own := _own(clinic.directory(), asked.address):
        return (looked(_AREA, f"{asked.address} is {own}: it opens nothing new"),)
    found = await asyncio.to_thread(clinic.prospects, asked.address)
    taken = [each for each in found if each.decision.verdict in TAKEN]
    if not taken:
        return (looked(_AREA, "", *(_not_taken(asked.address, each) for each in found[:1])),)
    names = dict.fromkeys(route.target.destination for each in taken for route in each.decision.routes)
    said = "; ".join(f"{each.way}: {each.decision.why}" for each in found)
    looks = await health_of(clinic, [Subject("destination", name) for name in names if name in clinic.directory().destinations])
    return (looked(_AREA, f"a new mail to {asked.address} goes to {', '.join(names)} ({said})"), *looks)


def _own(directory: Directory, address: str) -> str:
    """What it is, if it is one of those that an alias domain has for itself."""
    local, _, name = address.partition("@")
    domain = directory.alias_domains.get(name)
    roles = {"the catchall": "catchall", "the bounce address": "bounce", "the notification address": "default_from"}
    return next((f"{role} of {name}" for role, field in roles.items() if domain and getattr(domain, field) in (local, address)), "")


def _no_way_in() -> Finding:
    return Finding(
        "no-way-in",
        Harm.HARMFUL,
        "Nothing brings mail to Mailroom",
        "Mail that comes stays where it is: in a mailbox that nobody fetches, or at a mail server that does not hand it over.",
        "Add an incoming server for the mailbox that it comes to, or switch on the MX listener",
        (Evidence("ways in", "no active incoming server, no MX listener, no token that may hand in mail", "settings"),),
        repairs=(Repair("fetch a mailbox", "mailroom incoming add NAME", "/incoming"),),
    )


def _not_taken(address: str, prospect: Prospect) -> Finding:
    decision = prospect.decision
    code, harm, what = _VERDICTS.get(decision.verdict, ("would-be-kept", Harm.RISKY, "is kept, and nothing happens"))
    way = "; ".join(f"{each.rule}: {each.said}" for each in decision.steps)[-LONGEST:]
    return Finding(
        code,
        harm,
        f"A new mail of a stranger to {address} {what}: {decision.why}",
        "Answers to mail of ours need no alias; everything new does, or an incoming server with a destination.",
        _todo(decision),
        (Evidence(f"the rules, for a mail of a stranger to {address}, {prospect.way}", way, "routing"),),
        repairs=(
            Repair("add an alias", "mailroom alias add ADDRESS --destination NAME", "/aliases"),
            Repair("ask the rules about a real mail", "mailroom route explain FILE", "/routing"),
        ),
    )


_VERDICTS = {
    Verdict.QUARANTINED: ("no-alias", Harm.RISKY, "waits in quarantine"),
    Verdict.REFUSED: ("would-be-refused", Harm.RISKY, "is refused"),
    Verdict.ANSWERED: ("would-be-refused", Harm.RISKY, "is answered with a refusal"),
    Verdict.LOOP: ("would-be-refused", Harm.RISKY, "counts as a loop"),
}


def _todo(decision: Decision) -> str:
    if any(each.rule == "aliases" and each.decided for each in decision.steps):
        return "Change who may write to the alias, if strangers should"
    return "Add an alias with a destination, if mail to it is wanted"


async def arrived(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """What came for an address, or one mail that came, and what became of it."""
    if asked.story is not None:
        return await _came(clinic, asked.story)
    found, _ = await asyncio.to_thread(clinic.store.find, Query(came_in=True, text=asked.address), limit=MOST)
    mine = [each for each in found if _is_for(each, asked.address)]
    findings = _in_quarantine(mine) + _not_handed_over(mine) + await asyncio.to_thread(_kept, clinic, mine)
    about = f" for {asked.address}" if asked.address else ""
    if not mine:
        return (looked("mail that came", f"none is known{about}: what a mail server keeps, nobody here sees"),)
    newest = mine[0]
    went = newest.delivery.server or "nowhere"
    told = f"{len(mine)} known{about}; the newest came on {newest.message.accepted_at:%Y-%m-%d %H:%M} UTC and went to {went}"
    return (looked("mail that came", told, *findings),)


def _is_for(found: Found, address: str) -> bool:
    """Rather than from it."""
    if not address:
        return True
    recipient = normalize(found.delivery.recipient)
    return recipient == normalize(address) if "@" in address else domain_of(recipient) == address


def _in_quarantine(mails: Sequence[Found]) -> list[Finding]:
    waiting = [each for each in mails if each.delivery.state is State.HELD]
    if not waiting:
        return []
    first = waiting[0]
    count = "1 mail waits" if len(waiting) == 1 else f"{len(waiting)} mails wait"
    return [
        Finding(
            "in-quarantine",
            Harm.HARMFUL,
            f"{count} in quarantine: {_reply(first)}",
            "They are here, and no rule or destination wanted them.",
            "Put right what stands in the way, then try them again",
            tuple(Evidence(f"mail {_number(each)} for {each.delivery.recipient}", _reply(each), "quarantine") for each in waiting[:SHOWN]),
            repairs=(Repair("judge them anew", "mailroom quarantine retry", f"/messages/{_number(first)}"),),
        )
    ]


def _not_handed_over(mails: Sequence[Found]) -> list[Finding]:
    """Their destination does not take them at present."""
    late = [each for each in mails if each.delivery.state in (State.QUEUED, State.UNSURE) and each.delivery.reply]
    if not late:
        return []
    first = late[0]
    told = explain_reply(first.delivery.reply) if first.delivery.reply else ()
    count = "1 mail waits" if len(late) == 1 else f"{len(late)} mails wait"
    name = first.delivery.server
    return [
        Finding(
            "not-handed-over",
            Harm.RISKY,
            f"{count} for the destination {name}: {told[0].means if told else _reply(first)}",
            "It is handed over as soon as the destination takes it, and waits in quarantine if it never does.",
            told[0].todo if told and told[0].todo else UNKNOWN,
            tuple(Evidence(f"the answer to mail {_number(each)}", _reply(each), each.delivery.server) for each in late[:SHOWN]),
            repairs=(Repair("try the destination", f"mailroom destination test {name}", "/destinations"),),
        )
    ]


def _kept(clinic: Clinic, mails: Sequence[Found]) -> list[Finding]:
    """What came, and was kept without being handed over: automatic mail, copies, answers to nobody. Blocking."""
    ignored = [each for each in mails if each.delivery.state is State.IGNORED][:SHOWN]
    stories = [(each, clinic.store.story(each.message.id)) for each in ignored]
    why = [(each, _verdict(story)) for each, story in stories if story is not None]
    mute = [each for each, verdict in why if verdict in ("IGNORED", "ANSWERED")]
    if not mute:
        return []
    return [
        Finding(
            "kept-and-ignored",
            Harm.ADVICE,
            f"A mail came, and nothing had to happen: {_reply(mute[0])}",
            "Absence notes, lists and what other programs write by themselves open nothing, unless the alias wants it.",
            "If such mail should be handed over, let the alias take automatic mail (`automatic`), and retry it",
            tuple(Evidence(f"mail {_number(each)} for {each.delivery.recipient}", _reply(each), "routing") for each in mute),
            repairs=(Repair("see its story", f"mailroom queue show {_number(mute[0])}", f"/messages/{_number(mute[0])}"),),
        )
    ]


def _verdict(story: Story) -> str:
    return next((each.data.get("verdict", "") for each in story.events if each.name == "routed"), "")


async def _came(clinic: Clinic, story: Story) -> Sequence[Look]:
    """A mail that is here: where it went, or why it waits."""
    number = show_id(story.message.id)
    if not story.message.source:
        return (looked("the mail", f"{number} did not come in: {story.message.application or 'Mailroom itself'} has handed it in"),)
    mails = [Found(each, story.message) for each in story.deliveries]
    routed = next((each.text for each in story.events if each.name == "routed"), "")
    findings = _not_handed_over(mails) + await asyncio.to_thread(_kept, clinic, mails)
    waiting = [each for each in story.deliveries if each.state is State.HELD]
    if waiting:
        reply = waiting[0].reply
        findings.append(
            Finding(
                "in-quarantine",
                Harm.HARMFUL,
                f"It waits in quarantine: {reply.text if reply else routed}",
                "It is here, and no rule or destination wanted it.",
                "Put right what stands in the way, then try it again",
                (Evidence(f"mail {number} for {waiting[0].recipient}", str(reply or routed), "quarantine"),),
                repairs=(Repair("judge it anew", f"mailroom queue retry {number}", f"/messages/{number}"),),
            )
        )
    went = ", ".join(f"{each.server or 'nowhere'} ({each.state.value})" for each in story.deliveries)
    open_ = [each.server for each in story.deliveries if each.state is not State.SENT and each.server in clinic.directory().destinations]
    looks = await health_of(clinic, [Subject("destination", name) for name in open_])
    return (looked("the mail", f"it is here, and went to {went}" + (f"; {routed}" if routed else ""), *findings), *looks)


async def taken_apart(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """A mail as it was received: who vouches for it, what changed it, what filters see."""
    area = "the mail as it arrived"
    if asked.letter is None and asked.story is None:
        return ()
    if asked.letter is None and asked.story is not None and not asked.story.message.source:
        why = "this is the mail as it left; give the one that was received, out of the folder where it landed, with its whole header"
        return (looked(area, "", unchecked=(Unchecked(area, why),)),)
    report = await asyncio.to_thread(clinic.apart, asked.letter if asked.letter is not None else asked.story.message.id)  # type: ignore[union-attr]  # one of them is there
    if report is None:
        return (looked(area, "", unchecked=(Unchecked(area, "its bytes are gone (queue.keep_raw)"),)),)
    findings = [each for each in report.findings if each.harm is not Harm.ADVICE]
    good = looked(area, f"{report.score:g} of 10 points", *findings, unchecked=report.unchecked)
    return (good, *(Look(each) for each in report.checks))


def _reply(found: Found) -> str:
    return str(found.delivery.reply or "no answer is noted")


def _number(found: Found) -> str:
    return show_id(found.message.id)
