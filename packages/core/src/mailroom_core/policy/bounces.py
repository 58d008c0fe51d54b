"""What a failure means, whether it is final, and when an address has failed often enough to get nothing more.

Servers say the same thing in a hundred ways, and different things with one code. So the words are looked at first where they are
plain, then the enhanced code (RFC 3463), then vaguer words, then the code of SMTP (`bounce_tables`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailroom_core.inbound import Action, ReportedRecipient
from mailroom_core.model import Reply
from mailroom_core.policy.bounce_tables import BY_CODE, BY_STATUS, PLAIN, VAGUE, VAGUE_STATUS
from mailroom_core.policy.reasons import Blame, Reason


@dataclass(frozen=True, slots=True)
class Judgement:
    """`permanent`: trying again is useless. `hard`: the address itself is dead."""

    reason: Reason
    permanent: bool
    hard: bool


_PLAIN = tuple((re.compile("|".join(patterns), re.IGNORECASE), reason) for reason, patterns in PLAIN)
_VAGUE = tuple((re.compile("|".join(patterns), re.IGNORECASE), reason) for reason, patterns in VAGUE)
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?=[- :;])")
_MOST = 600


def judge(recipient: ReportedRecipient) -> Judgement:
    """What a report says of one recipient. Only a failure that is final and blames the address is hard."""
    if recipient.action is Action.COMPLAINED:
        return Judgement(Reason.COMPLAINT, permanent=True, hard=True)
    said = recipient.diagnostic[:_MOST]
    statuses = _statuses(recipient.status, said)
    reason = _reason(said, statuses)
    permanent = recipient.action is Action.FAILED and _is_permanent(reason, statuses, said)
    return Judgement(reason, permanent, hard=permanent and reason.value.blame is Blame.ADDRESS)


def reply_of(failed: ReportedRecipient, judgement: Judgement) -> Reply:
    """As the server would have said it while the mail was handed to it."""
    return Reply(550 if judgement.permanent else 450, failed.diagnostic or judgement.reason.value.what, failed.status)


def _statuses(status: str, said: str) -> list[tuple[str, str]]:
    """Class and rest of every enhanced code, the most telling one first: what the remote server said itself, then the report's own."""
    found = [(match[1], f"{match[2]}.{match[3]}") for match in (*_STATUS.finditer(said), *_STATUS.finditer(status))]
    return sorted(found, key=lambda each: each[1] in VAGUE_STATUS)


def _reason(said: str, statuses: Sequence[tuple[str, str]]) -> Reason:
    for pattern, reason in _PLAIN:
        if pattern.search(said):
            return reason
    for _, detail in statuses:
        if detail not in VAGUE_STATUS and detail in BY_STATUS:
            return BY_STATUS[detail]
    for pattern, reason in _VAGUE:
        if pattern.search(said):
            return reason
    for _, detail in statuses:
        if detail in BY_STATUS:
            return BY_STATUS[detail]
        if detail.startswith("7."):
            return Reason.POLICY
    code = _CODE.search(said)
    return BY_CODE.get(code[1], Reason.UNKNOWN) if code else Reason.UNKNOWN


_PASSING = frozenset(
    {Reason.GREYLISTED, Reason.MAILBOX_BUSY, Reason.UNREACHABLE, Reason.EXPIRED, Reason.SERVER_TROUBLE, Reason.MAILBOX_FULL}
)


def _is_permanent(reason: Reason, statuses: Sequence[tuple[str, str]], said: str) -> bool:
    """By the class of the code, first of all that of the remote server; a mailbox that is full empties whatever its server says."""
    if reason in (Reason.MAILBOX_FULL, Reason.GREYLISTED, Reason.EXPIRED):
        return False
    if statuses:
        return statuses[0][0] == "5"
    code = _CODE.search(said)
    return code[1].startswith("5") if code else reason not in _PASSING


# Suppression


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """When an address gets nothing more. 0 switches a rule off."""

    hard: int = 1
    """Hard bounces, as many as these."""
    soft: int = 5
    """Bounces of any kind that blame the address or its mailbox."""
    window: timedelta = timedelta(weeks=13)
    span: timedelta = timedelta(weeks=1)
    """The soft ones must be further apart than this, first to last: one bad week is no dead address."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """One bounce of an address."""

    at: datetime
    judgement: Judgement


def suppression(bounces: Iterable[Bounce], now: datetime, settings: Settings | None = None) -> str:
    """Why an address gets nothing more after these bounces, in plain words; empty if it still does. What blames the mail, us or the way
    never counts: it would be as true for any other address. Only bounces that were matched to a delivery of ours may be given:
    anybody can write one.
    """
    settings = settings or Settings()
    recent = sorted((each for each in bounces if now - settings.window <= each.at <= now), key=lambda each: each.at)
    hard = [each for each in recent if each.judgement.hard]
    if settings.hard and len(hard) >= settings.hard:
        return f"{hard[-1].judgement.reason.value.what} (a bounce of {hard[-1].at:%Y-%m-%d} said so)"
    counted = [each for each in recent if each.judgement.reason.value.blame in (Blame.ADDRESS, Blame.MAILBOX)]
    if settings.soft and len(counted) >= settings.soft and counted[-1].at - counted[0].at > settings.span:
        return (
            f"{len(counted)} mails came back since {counted[0].at:%Y-%m-%d}, the last one because {counted[-1].judgement.reason.value.what}"
        )
    return ""
