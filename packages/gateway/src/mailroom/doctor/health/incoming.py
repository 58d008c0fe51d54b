"""An incoming server: is its mailbox open to us, may mail be marked there, and was the last look well?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote
from urllib.parse import quote as encoded

from mailroom.doctor.findings import Evidence, Finding, Harm, Repair, Unchecked
from mailroom.doctor.health.limits import of_ends
from mailroom.doctor.health.looking import Examined, Fact, Subject, judged, shown, unused
from mailroom.doctor.health.servers import SOON, Held, held
from mailroom.doctor.trial import Step
from mailroom.objects import GraphInbox, IncomingServer
from mailroom.vault.expiry import Expiry

LATE = 5
"""So many times its pause a mailbox may be late before that is a finding."""

_CODES = {
    "resolve": ("unreachable", "The mail server of {name} can't be found"),
    "connect": ("unreachable", "The mail server of {name} can't be reached"),
    "tls": ("no-tls", "There is no trusted encryption with the mail server of {name}"),
    "sign in": ("sign-in-refused", "The mail server of {name} does not let us in"),
    "read": ("no-folder", "The folder of {name} can't be read"),
    "folder": ("no-folder", "The folder of {name} can't be read"),
    "mailbox": ("no-folder", "The mailbox of {name} can't be read"),
    "move to": ("no-folder", "The folder that mail of {name} is moved to is not there"),
    "mark": ("read-only", "Mail of {name} may not be marked"),
    "rights": ("read-only", "Mail of {name} may not be marked"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingFacts:
    """What was asked of an incoming server."""

    server: IncomingServer
    host: str = ""
    steps: tuple[Step, ...] = ()
    looked_at: datetime | None = None
    """When the gateway last finished a look."""
    due_at: datetime | None = None
    trouble: str = ""
    """Why its last look did not end well."""
    failing_since: datetime | None = None
    told_until: datetime | None = None
    """The provider tells us of new mail until then; None: it does not."""
    held: tuple[Held, ...] = ()


def judge(facts: IncomingFacts, now: datetime) -> Examined:
    server, subject = facts.server, Subject("incoming", facts.server.name)
    if not server.active:
        return unused(subject, "not active")
    ends = tuple(
        Expiry(server.name, "certificate of the mail server", step.ends, "Tell whoever runs it", facts.host)
        for step in facts.steps
        if step.ends is not None
    )
    live = [*_live(facts)]
    findings = [*live, *held(facts.held)]
    if not findings:
        findings = [*_looks(facts, now), *_telling(facts, now)]
    findings += of_ends(ends, now, "Then no mail is fetched, because its certificate is not trusted.", soon=SOON)
    until = facts.told_until if isinstance(server.source, GraphInbox) else None
    told = (Expiry(server.name, "subscription", until, "It is renewed by itself", facts.host),) if until else ()
    return judged(
        subject,
        next((step.said for step in facts.steps if step.name in ("read", "folder", "mailbox")), "well"),
        findings,
        _open(facts),
        evidence=shown(facts.steps, facts.host),
        facts=_facts(facts, now),
        ends=(*ends, *told),
    )


def _failed(facts: IncomingFacts) -> Step | None:
    return next((each for each in facts.steps if not each.ok), None)


def _live(facts: IncomingFacts) -> Iterator[Finding]:
    step, name = _failed(facts), facts.server.name
    if step is None or step.passes or step.name == "token":
        return
    code, title = _CODES.get(step.name, ("not-read", "Mail of {name} can't be fetched"))
    yield Finding(
        code=code,
        harm=Harm.HARMFUL,
        title=title.format(name=name),
        why="Its mail stays where it is; nobody here sees it.",
        todo=step.said,
        evidence=shown(facts.steps, facts.host),
        repairs=(
            *(
                (Repair("enter its password", f"mailroom incoming password {quote(name)}"),)
                if step.name == "sign in" and _password(facts)
                else ()
            ),
            _page(name),
        ),
    )


def _password(facts: IncomingFacts) -> bool:
    return not facts.server.source.account


def _looks(facts: IncomingFacts, now: datetime) -> Iterator[Finding]:
    """What the gateway's own looks say, where ours is well."""
    name = facts.server.name
    again = (Repair("look now", f"mailroom incoming fetch {quote(name)}", f"/incoming/of/{encoded(name)}"),)
    if facts.trouble and facts.failing_since:
        yield Finding(
            code="not-fetched",
            harm=Harm.HARMFUL,
            title=f"Mail of {name} has not been fetched since {facts.failing_since:%d %b %H:%M} UTC",
            why="Its mail stays where it is; nobody here sees it.",
            todo=facts.trouble,
            evidence=(Evidence("the last look", facts.trouble, "gateway"),),
            repairs=again,
        )
    elif facts.due_at and now - facts.due_at > LATE * timedelta(minutes=facts.server.every_minutes):
        yield Finding(
            code="not-looked",
            harm=Harm.HARMFUL,
            title=f"{name} should have been looked at on {facts.due_at:%d %b at %H:%M} UTC",
            why="Its mail stays where it is; nobody here sees it.",
            todo="See whether the gateway runs, and what its log says; a busy queue of the same mailbox makes it late, too",
            evidence=(Evidence("the next look", f"{facts.due_at:%Y-%m-%d %H:%M} UTC", "gateway"),),
            repairs=again,
        )


def _telling(facts: IncomingFacts, now: datetime) -> Iterator[Finding]:
    if facts.told_until and facts.told_until < now and isinstance(facts.server.source, GraphInbox):
        yield Finding(
            code="subscription-ended",
            harm=Harm.ADVICE,
            title=f"Microsoft has not told of new mail in {facts.server.name} since {facts.told_until:%d %b %H:%M} UTC",
            why=f"Mail is found by looking every {facts.server.every_minutes} minutes instead of at once.",
            todo="See that public_url can be reached from the internet, and what the log says of the subscription",
            evidence=(Evidence("subscription", f"until {facts.told_until:%Y-%m-%d %H:%M} UTC", "gateway"),),
        )


def _open(facts: IncomingFacts) -> Iterator[Unchecked]:
    step = _failed(facts)
    if step is not None and (step.passes or step.name == "token"):
        of_account = f"its account {facts.server.source.account} gives no token: " if step.name == "token" else ""
        yield Unchecked("mailbox", f"{of_account}{step.said}")


def _facts(facts: IncomingFacts, now: datetime) -> Iterator[Fact]:
    yield Fact("last look", f"{facts.looked_at:%Y-%m-%d %H:%M} UTC" if facts.looked_at else "none yet")
    told = facts.told_until is not None and facts.told_until > now
    yield Fact("new mail", "told at once" if told else f"looked for every {facts.server.every_minutes} minutes")
    yield Fact("what no alias wants goes to", facts.server.destination or "quarantine")


def _page(name: str) -> Repair:
    return Repair("change it", page=f"/incoming/of/{encoded(name)}")
