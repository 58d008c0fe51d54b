"""The nouns of routing: how a mail came, what had to be looked up, what was decided and why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from mailroom_core.inbound import Head
from mailroom_core.model import Envelope
from mailroom_core.policy.addresses import normalize
from mailroom_core.policy.aliases import Alias, Target
from mailroom_core.policy.answers import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The limits, as people set them."""

    loop_count: int = 20
    """Mails of one sender in the window that open something of one kind, or are added to one thing; one more is a loop."""
    loop_window: timedelta = timedelta(minutes=120)
    exempt: tuple[str, ...] = ()
    """Senders without that limit: addresses, domains."""
    most_hops: int = 50
    most_answers: int = 3
    """Automatic answers of ours to one address in the window."""
    mark: str = ""
    """Of this installation, in what it writes and forwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a mail came. With an envelope (MX, pipe) only its recipients count; else those that the head names."""

    envelope: Envelope | None = None
    in_session: bool = False
    """The client waits for our reply, so that a mail can be refused without writing one."""
    fallback: Target | None = None
    """Of the incoming server."""
    conversation: str = ""
    """The provider's id of the conversation."""
    doubt: str = ""
    """Why its sender is not believed: a person looks at what would be handed over."""
    returns_to: str = ""
    """It came to an envelope sender of ours (SRS) for a mail that we have forwarded; whom that is from."""


@dataclass(frozen=True, slots=True)
class Known:
    """A mail that we have sent or handed over, found by one of its ids."""

    target: Target
    thread: str
    answer: bool = False
    """It is an automatic answer of ours."""
    gone: bool = False
    """What it belonged to does not exist any more."""
    message_id: str = ""
    """Its Message-ID as its author knows it, which the destination must find in In-Reply-To."""
    correspondents: frozenset[str] = frozenset()
    """Normalised addresses that have a part in its conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What has to be looked up for one mail."""

    ids: tuple[str, ...]
    """Message-IDs, ours and the provider's."""
    conversation: str
    """The provider's id of the conversation, from the mailbox: what a head says of it anybody can write."""
    sender: str
    """Normalised; empty if there is none."""
    aliases: tuple[Alias, ...]
    """Those that may take it: does the sender follow their threads or parents?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The answers. What is left out is unknown, or never happened."""

    known: Mapping[str, Known] = field(default_factory=dict)
    """By Message-ID."""
    conversation: Known | None = None
    sender_known: bool = False
    follows: frozenset[str] = frozenset()
    """Threads that the sender follows."""
    opened: Mapping[Target, int] = field(default_factory=dict)
    """Mails of this sender within the window that opened something there."""
    added: Mapping[str, int] = field(default_factory=dict)
    """Mails of this sender within the window that were added to one thread."""
    answers: int = 0
    """Automatic answers of ours to this sender within the window."""
    returned: int = 0
    """Bounces that we have passed on to `Arrival.returns_to` within the window, and answers of ours to it."""


class Verdict(Enum):
    """What becomes of it; the value is for people."""

    BOUNCE = "it reports that mail of ours did not arrive"
    RETURNED = "it is passed on to the sender of what was forwarded"
    REPLY = "it is added to what it answers"
    ALIAS = "it goes where its alias says"
    FALLBACK = "it goes where the incoming server says"
    ANSWERED = "its sender gets an answer, and nothing else happens"
    REFUSED = "it is refused"
    LOOP = "it goes round in circles, so nothing happens"
    IGNORED = "it is kept, and nothing has to happen"
    QUARANTINED = "it waits in quarantine for a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One hand-over. Without a thread, something new is opened."""

    target: Target
    thread: str = ""
    alias: Alias | None = None
    known: Known | None = None
    """What it answers."""
    automatic: bool = False
    """It is an automatic answer: a note for those who read, no reason to answer."""

    @property
    def defaults(self) -> Mapping[str, object]:
        """Values of what it opens; of what is there already, nothing is changed."""
        return self.alias.defaults if self.alias and not self.thread else {}

    def told_defaults(self) -> str:
        """For people: `, with team_id = 3`; empty without any."""
        shown = ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in self.defaults.items())
        return f", with {shown}" if shown else ""


@dataclass(frozen=True, slots=True)
class Step:
    """One rule, and what it said of the mail."""

    rule: str
    said: str
    decided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    verdict: Verdict
    why: str
    """In words for a person."""
    routes: tuple[Route, ...] = ()
    answers: tuple[Answer, ...] = ()
    """Mails of ours; in a session that ends with a refusal, what we say there."""
    returns_to: str = ""
    """Who gets it, as a bounce of what was forwarded for them."""
    withheld: str = ""
    """Why an answer that the rules ask for is not written."""
    steps: tuple[Step, ...] = ()

    def lines(self) -> list[str]:
        """The way to the decision, a line each, for commands and pages."""
        width = max((len(step.rule) for step in self.steps), default=0)
        shown = [f"{'*' if step.decided else ' '} {step.rule:<{width}}  {step.said}" for step in self.steps]
        shown.append(f"So {self.verdict.value}: {self.why}.")
        for route in self.routes:
            what = f"added to {route.thread}" if route.thread else "opens something new"
            through = f" through {route.alias.address}" if route.alias else ""
            note = ", as an automatic answer" if route.automatic else ""
            shown.append(f"  to {route.target}{through}: {what}{note}{route.told_defaults()}")
        shown += [f"  answer to {each.to}: {each.code} {each.enhanced} {each.text}" for each in self.answers]
        if self.returns_to:
            shown.append(f"  to {self.returns_to}: passed on")
        if self.withheld:
            shown.append(f"  no answer is written, because {self.withheld}")
        return shown


def dedupe_key(mail: Head, content: str, route: Route) -> str:
    """By what a second copy is known, for one way: whatever a reader or a destination may go by is the same.

    Message-ID, author, where answers go, subject, what it answers, and the content (`mime.incoming.digest`). A mail that differs in any of
    it is another one, so nobody keeps a mail away by sending another under its Message-ID before it. Empty without a Message-ID: such
    mail is never taken for a copy. Left out is what differs between honest copies: trace lines, Date (its zone), To and Cc.
    """
    if not mail.message_id:
        return ""
    boxes = [" ".join(normalize(address) for _, address in each) for each in (mail.from_, mail.reply_to)]
    way = (route.target.destination, route.target.kind, route.alias.address if route.alias else "")
    answers = [" ".join(each) for each in (mail.in_reply_to, mail.references)]
    parts = (mail.message_id, *boxes, " ".join(mail.subject.split()), *answers, content, *way)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
