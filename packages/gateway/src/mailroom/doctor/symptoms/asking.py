"""Asking, and what a check may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mailroom.doctor.explain import explain_reply
from mailroom.doctor.findings import Check, Finding, Harm, Look, Report, Unchecked, Verdict, by_harm
from mailroom.doctor.health.looking import Examined, Subject
from mailroom.doctor.mail_judge import MailReport
from mailroom.doctor.shapes import check_body, finding_body
from mailroom.objects import Directory, OutgoingServer
from mailroom.observe.recent import Refusal
from mailroom.ports import Clock, Store, Story
from mailroom_core.errors import ConfigError, MailroomError, Refused
from mailroom_core.model import MessageId, Reply, seek_id
from mailroom_core.policy.addresses import domain_of, normalize
from mailroom_core.policy.decision import Decision


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would become of a mail that came this way."""

    way: str
    """For example `fetched by info`."""
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinic:
    """What checks may ask. The store blocks."""

    store: Store
    directory: Callable[[], Directory]
    clock: Clock
    health: Callable[[Subject], Awaitable[Examined]]
    domain: Callable[[str], Awaitable[Report]]
    """Its DNS. Raises ConfigError for what is no domain."""
    server_of: Callable[[str], str]
    """By which outgoing server mail from an address leaves. Raises MailroomError, Refused, which say why by none."""
    head: Callable[[MessageId], bytes]
    """Blocking. Of a mail; empty if its bytes are gone."""
    refusals: Callable[[], Sequence[Refusal] | None]
    """What was refused lately, the newest first; None: this process can't know."""
    ways_in: Callable[[], Sequence[str]]
    """How mail comes in at all: incoming servers, the MX listener, tokens that hand in mail."""
    prospects: Callable[[str], Sequence[Prospect]]
    """Blocking. What the routing rules say of a new mail of a stranger to this address, by each way that it could come, the likeliest
    first. Raises ConfigError for what is no address."""
    apart: Callable[[MessageId | bytes], MailReport | None]
    """Blocking. Take a received mail apart; None: its bytes are gone. Raises MimeError."""
    returns: Callable[[OutgoingServer, str], bool]
    """Whether a report about mail of this server with this envelope sender comes to where we read it, besides fetched mailboxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What it is about; all of it may be empty."""

    story: Story | None = None
    address: str = ""
    """Normalised: a mail address, a domain, or for connections the address of a client."""
    letter: bytes | None = None
    """A mail as it was received."""

    @property
    def domain(self) -> str:
        """Of the sender; an address is taken for one."""
        if self.address:
            return domain_of(self.address) if "@" in self.address else self.address
        return domain_of(self.story.message.header_from) if self.story and "@" in self.story.message.header_from else ""


def is_ours(directory: Directory, address: str) -> bool:
    """Whether mail may leave from this address, so that it is a sender's; what is not, is a recipient's."""
    domain = domain_of(address) if "@" in address else ""
    filters = (part for server in directory.servers.values() for part in server.from_filter)
    senders = (part for application in directory.applications.values() for part in application.senders)
    mailboxes = (account.mailbox for account in directory.accounts.values())
    known = {part.lower().lstrip("@") for part in (*directory.alias_domains, *filters, *senders, *mailboxes)}
    return bool(domain) and bool({address, domain} & known or domain in {domain_of(each) for each in known if "@" in each})


CheckOf = Callable[[Clinic, Asked], Awaitable[Sequence[Look]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    slug: str
    text: str
    about: str
    """What its subject may be."""
    checks: tuple[CheckOf, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    question: Question
    at: datetime
    subject: str
    findings: tuple[Finding, ...]
    """Worst first: the first is the cause."""
    checks: tuple[Check, ...]
    """What was looked at."""
    unchecked: tuple[Unchecked, ...]

    @property
    def harmful(self) -> bool:
        return any(each.harm is Harm.HARMFUL for each in self.findings)

    @property
    def verdict(self) -> str:
        if self.findings:
            return self.findings[0].title
        return "Nothing was found; this was looked at" if not self.unchecked else "Nothing was found in what could be looked at"


async def ask(clinic: Clinic, question: Question, *, message: str = "", address: str = "", letter: bytes | None = None) -> Answer:
    """Raises ConfigError for a mail that there is not."""
    story = None
    if message:
        story = await asyncio.to_thread(clinic.store.story, MessageId(seek_id(message.strip())))
        if story is None:
            raise ConfigError(
                f"there is no mail {message[:40]!r}; mailroom queue list shows the ids, or it is so old that it has been forgotten"
            )
    asked = Asked(story=story, address=_normal(address), letter=letter)
    looks = [look for these in await asyncio.gather(*(_checked(each, clinic, asked) for each in question.checks)) for look in these]
    return Answer(
        question=question,
        at=clinic.clock(),
        subject=" ".join(filter(None, (message, asked.address, "the mail that was given" if letter is not None else ""))),
        findings=by_harm(list(dict.fromkeys(each for look in looks for each in look.findings))),
        checks=tuple(dict.fromkeys(each.check for each in looks)),
        unchecked=tuple(dict.fromkeys(each for look in looks for each in look.unchecked)),
    )


async def _checked(check: CheckOf, clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """What keeps it from looking is no finding."""
    try:
        return await check(clinic, asked)
    except (MailroomError, OSError) as problem:
        area = check.__name__.replace("_", " ").strip()
        return (Look(Check(area, Verdict.UNCHECKED, str(problem)), (), (Unchecked(area, str(problem)),)),)


def _normal(address: str) -> str:
    return normalize(address) or address.strip().lower() if "@" in address else address.strip().lower()


def server_of(clinic: Clinic, asked: Asked) -> str:
    """By which server mail of the sender that it is about leaves; empty if it is about no sender, or if there is none."""
    if not is_ours(clinic.directory(), asked.address):
        return ""
    try:
        return clinic.server_of(asked.address)
    except (MailroomError, Refused, ValueError):
        return ""  # another check says so


async def health_of(clinic: Clinic, subjects: Collection[Subject], of: Callable[[Finding], bool] = lambda each: True) -> list[Look]:
    """The health of these objects, as far as it is about the question."""
    found = await asyncio.gather(*(clinic.health(each) for each in dict.fromkeys(subjects)))
    return [_kept(each, of) for each in found]


def _kept(found: Examined, of: Callable[[Finding], bool]) -> Look:
    """Without the findings that are about something else."""
    findings = tuple(each for each in found.look.findings if of(each))
    if len(findings) == len(found.look.findings):
        return found.look
    usage = "; ".join(str(each) for each in found.usage)
    check = found.look.check
    if not findings:
        check = replace(check, verdict=Verdict.GOOD, text=f"nothing about this{f'; {usage}' if usage else ''}")
    return Look(replace(check, text=findings[0].title) if findings else check, findings, found.look.unchecked)


def meaning(reply: Reply | None) -> tuple[str, str]:
    """What an answer says and what to do, in words of the tables, else of the server."""
    if reply is None:
        return "no answer is noted", ""
    told = explain_reply(reply)
    return (told[0].means, told[0].todo) if told else (reply.text[:160].rstrip(".") or "the server gave no reason", "")


def looked(area: str, good: str, *findings: Finding, unchecked: Sequence[Unchecked] = ()) -> Look:
    """`good` is what was seen where nothing is wrong."""
    verdict = Verdict.FOUND if findings else Verdict.UNCHECKED if unchecked else Verdict.GOOD
    text = findings[0].title if findings else unchecked[0].why if unchecked else good
    return Look(Check(area, verdict, text), tuple(findings), tuple(unchecked))


def answer_body(answer: Answer) -> Mapping[str, Any]:
    """As JSON."""
    return {
        "question": answer.question.text,
        "name": answer.question.slug,
        "subject": answer.subject,
        "at": answer.at.isoformat(timespec="seconds"),
        "harmful": answer.harmful,
        "verdict": answer.verdict,
        "findings": [finding_body(each) for each in answer.findings],
        "unchecked": [{"what": each.what, "why": each.why} for each in answer.unchecked],
        "checks": [check_body(each) for each in answer.checks],
    }
