"""The questions, each with the checks that tell its causes apart."""

from __future__ import annotations

from mailroom.doctor.symptoms import coming, mails, queued, reports, ways
from mailroom.doctor.symptoms.asking import Question
from mailroom_core.errors import ConfigError

_MAIL = "a mail, or an address of its sender or recipient"

QUESTIONS: tuple[Question, ...] = (
    Question(
        slug="not-sent",
        text="Mail isn't sent",
        about=_MAIL,
        checks=(ways.carried, mails.became, queued.lanes, ways.suppressed, ways.refused("submission", "sign-in"), ways.servers, ways.house),
    ),
    Question(
        slug="spam",
        text="Mail lands in spam",
        about="a mail as it was received, an address, or the domain of the sender",
        checks=(coming.taken_apart, ways.dns, mails.came_back, ways.carried),
    ),
    Question(
        slug="connection-refused",
        text="Connection refused",
        about="the address of a client (192.0.2.7), or a mail that can't leave",
        checks=(ways.house, ways.reach, ways.refused("session", "tls"), ways.servers, queued.lanes),
    ),
    Question(
        slug="authentication-failed",
        text="Authentication failed",
        about="the user that a program signs in as, an address, or a mail",
        checks=(ways.refused("sign-in"), ways.signing_in, queued.lanes),
    ),
    Question(
        slug="replies-dont-thread",
        text="Replies don't thread",
        about="the answer that did not find its conversation, or the mail that was answered",
        checks=(mails.threads, ways.incoming, ways.domain_objects),
    ),
    Question(slug="duplicates", text="Mail comes twice", about=_MAIL, checks=(mails.doubles,)),
    Question(
        slug="queued",
        text="Mail is queued, but not sent",
        about=_MAIL,
        checks=(queued.lanes, mails.put_off, queued.turn, ways.servers, ways.limits),
    ),
    Question(
        slug="daily-limit",
        text="The daily limit is reached",
        about="a mail, or the address of the sender",
        checks=(mails.over_the_limit, ways.limits),
    ),
    Question(
        slug="not-received",
        text="Incoming mail doesn't arrive",
        about="the address that mail was sent to, or a mail that came in",
        checks=(ways.incoming, coming.rules, coming.arrived, ways.domain_objects),
    ),
    Question(
        slug="bounces",
        text="Bounces without a reason",
        about="a mail, or the address that bounces",
        checks=(mails.came_back, ways.suppressed, reports.read),
    ),
)

BY_SLUG = {each.slug: each for each in QUESTIONS}


def question(slug: str) -> Question:
    """Raises ConfigError."""
    if slug not in BY_SLUG:
        raise ConfigError(f"there is no question {slug[:40]!r}; there are: {', '.join(BY_SLUG)}")
    return BY_SLUG[slug]
