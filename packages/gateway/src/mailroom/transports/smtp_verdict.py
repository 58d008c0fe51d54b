"""What a refusal means: the table of known answers, then the rules of RFC 5321 for all others.

A row matches if all that it names matches; the first one wins. Each row says what a person can do and where we know it from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import assert_never

from mailroom_core.model import Deferred, Failed, Held, Reply


class Stage(Enum):
    """What was answered."""

    GREETING = "greeting"
    """The connection itself, EHLO and STARTTLS."""
    SIGN_IN = "sign-in"
    MAIL = "MAIL"
    RCPT = "RCPT"
    CONTENT = "DATA"
    """DATA, and the content after it."""


class Verdict(Enum):
    DEFER = "the mail waits"
    DEFER_LANE = "all mail of this server waits"
    FAIL = "the mail has failed"
    FAIL_ADDRESS = "the recipient's address is bad"
    HOLD = "a person must act for this mail"
    HOLD_LANE = "a person must act for this server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    verdict: Verdict
    advice: str
    source: str
    code: int = 0
    enhanced: str = ""
    """A regular expression for the whole enhanced status code."""
    text: str = ""
    """A regular expression somewhere in the text, letter case does not count."""
    stages: frozenset[Stage] = frozenset(Stage)
    retry_after: timedelta | None = None

    def matches(self, reply: Reply, stage: Stage) -> bool:
        return (
            stage in self.stages
            and (reply.code >= 500 or self.verdict in {Verdict.DEFER, Verdict.DEFER_LANE})
            and self.code in (0, reply.code)
            and (not self.enhanced or re.fullmatch(self.enhanced, reply.enhanced) is not None)
            and (not self.text or re.search(self.text, reply.text, re.IGNORECASE) is not None)
        )


_RCPT = frozenset({Stage.RCPT})
_HOUR = timedelta(hours=1)
_EXCHANGE_LIMITS = "https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements"
_GMAIL = "https://support.google.com/a/answer/3726730"
_SES_QUOTA = "https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html"

TABLE: tuple[Row, ...] = (
    # -- signing in at Microsoft
    Row(
        code=535,
        enhanced=r"5\.7\.139",
        text="basic authentication is disabled",
        verdict=Verdict.HOLD_LANE,
        advice="Microsoft takes no password here any more: give this server an account (OAuth), or use a Graph server instead",
        source="https://github.com/lukevella/rallly/issues/3154",
    ),
    Row(
        code=535,
        enhanced=r"5\.7\.139",
        text="SmtpClientAuthentication is disabled",
        verdict=Verdict.HOLD_LANE,
        advice="SMTP sign-in is switched off, for OAuth as well: an administrator runs Set-CASMailbox with "
        "-SmtpClientAuthenticationDisabled $false for this mailbox, or use a Graph server instead",
        source="https://github.com/simonrob/email-oauth2-proxy/issues/193",
    ),
    Row(
        enhanced=r"5\.7\.30",
        text="basic authentication",
        verdict=Verdict.HOLD_LANE,
        advice="Microsoft takes no password here any more: give this server an account (OAuth), or use a Graph server instead",
        source="Exchange Team blog, 2026-01-27; text announced at https://easi.its.utoronto.ca",
    ),
    Row(
        code=535,
        enhanced=r"5\.7\.3",
        verdict=Verdict.HOLD_LANE,
        advice="check the user and the password; with OAuth the user is the one who connected the account, also for a shared mailbox, "
        "and needs SMTP.Send",
        source="https://github.com/nextcloud/mail/issues/13668",
    ),
    Row(
        code=530,
        enhanced=r"5\.7\.57",
        verdict=Verdict.HOLD_LANE,
        advice="Microsoft wants a sign-in here: give this server a user or an account",
        source="https://github.com/MicrosoftDocs/OfficeDocs-Exchange/issues/3124",
    ),
    Row(
        code=534,
        enhanced=r"5\.7\.9",
        verdict=Verdict.HOLD_LANE,
        advice="make an app password for this Google account and enter that, or give this server an account (OAuth)",
        source=_GMAIL,
    ),
    # -- rights
    Row(
        enhanced=r"5\.7\.60",
        verdict=Verdict.HOLD,
        advice="the user who signs in may not send as this sender: grant Send As on the sender's mailbox, then send it again",
        source="Exchange: 5.7.60 SMTP; Client does not have permissions to send as this sender",
    ),
    Row(
        text="SendAsDenied",
        verdict=Verdict.HOLD,
        advice="the user who signs in may not send as this sender: grant Send As on the sender's mailbox, then send it again",
        source="https://learn.microsoft.com/exchange/mail-flow-best-practices/continuous-error-throttling-smtp-auth-submissions",
    ),
    Row(
        enhanced=r"5\.7\.68",
        verdict=Verdict.HOLD_LANE,
        advice="this tenant takes no Direct Send: set up a connector for this gateway, or use a Graph server instead",
        source="https://techcommunity.microsoft.com: Direct Send, 4408790",
    ),
    Row(
        code=554,
        text="email address is not verified",
        verdict=Verdict.HOLD,
        advice="verify the sender's address or domain at Amazon SES, then send it again",
        source="https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html",
    ),
    Row(
        code=530,
        verdict=Verdict.HOLD_LANE,
        advice="the server wants a sign-in or TLS first: set user or account, and security",
        source="RFC 4954 6, RFC 3207 4",
    ),
    # -- limits
    Row(
        text="concurrent connection|sender thread limit",
        verdict=Verdict.DEFER,
        advice="this server takes fewer connections at once; set connections lower (Microsoft allows 3 per mailbox)",
        source=_EXCHANGE_LIMITS,
        retry_after=timedelta(seconds=5),
    ),
    Row(
        code=554,
        enhanced=r"5\.2\.2",
        text=r"mailbox full|storedrv\.submission",
        stages=frozenset({Stage.MAIL, Stage.CONTENT}),
        verdict=Verdict.HOLD_LANE,
        advice="the mailbox that sends is full: empty its Sent Items, and set a retention policy for them",
        source=_EXCHANGE_LIMITS,
    ),
    Row(
        code=554,
        enhanced=r"5\.2\.0",
        text=r"storedrv.*quota",
        verdict=Verdict.DEFER_LANE,
        advice="this mailbox has had its 10,000 recipients of the day; it goes on by itself",
        source=_EXCHANGE_LIMITS,
        retry_after=_HOUR,
    ),
    Row(
        enhanced=r"5\.2\.25[1-5]",
        verdict=Verdict.DEFER_LANE,
        advice="Microsoft pauses this mailbox because the same error came again and again; remove its cause",
        source="https://learn.microsoft.com/exchange/mail-flow-best-practices/continuous-error-throttling-smtp-auth-submissions",
        retry_after=timedelta(minutes=10),
    ),
    Row(
        enhanced=r"5\.7\.233",
        verdict=Verdict.DEFER_LANE,
        advice="the tenant has had its external recipients of the day; it goes on by itself",
        source="Exchange Online tenant external recipient limit, since 2025-04",
        retry_after=_HOUR,
    ),
    Row(
        code=550,
        enhanced=r"5\.4\.5",
        text="sending (quota|limit)",
        verdict=Verdict.DEFER_LANE,
        advice="this Google account has had its mails of the day; it goes on by itself",
        source=_GMAIL,
        retry_after=_HOUR,
    ),
    Row(
        code=454,
        text="daily message quota exceeded",
        verdict=Verdict.DEFER_LANE,
        advice="this Amazon SES account has had its mails of the day; it goes on by itself",
        source=_SES_QUOTA,
        retry_after=_HOUR,
    ),
    Row(
        code=454,
        text="maximum sending rate exceeded",
        verdict=Verdict.DEFER_LANE,
        advice="set per_minute of this server to the rate that Amazon SES grants",
        source=_SES_QUOTA,
        retry_after=timedelta(seconds=5),
    ),
    # -- recipients
    Row(
        code=550,
        enhanced=r"5\.4\.1",
        text="recipient address rejected",
        stages=_RCPT,
        verdict=Verdict.FAIL_ADDRESS,
        advice="the recipient's domain does not know this address",
        source="https://learn.microsoft.com/exchange/mail-flow-best-practices/use-directory-based-edge-blocking",
    ),
    Row(
        text=r"relay(ing)?( access)? (is )?(denied|not (permitted|allowed))|unable to relay|not relay",
        stages=_RCPT,
        verdict=Verdict.FAIL,
        advice="this server does not relay for us: give it a user, or allow this gateway's address there",
        source="RFC 5321 3.6.2",
    ),
    Row(
        code=552,
        enhanced=r"|5\.5\.3",
        stages=_RCPT,
        verdict=Verdict.DEFER,
        advice="too many recipients at once; the others follow",
        source="RFC 5321 4.5.3.1.10",
        retry_after=timedelta(seconds=1),
    ),
    Row(
        code=452,
        enhanced=r"4\.5\.3",
        stages=_RCPT,
        verdict=Verdict.DEFER,
        advice="too many recipients at once; the others follow",
        source="RFC 5321 4.5.3.1.10",
        retry_after=timedelta(seconds=1),
    ),
    # -- the mail itself
    Row(
        code=552,
        enhanced=r"|5\.3\.4|5\.2\.3",
        stages=frozenset({Stage.MAIL, Stage.CONTENT}),
        verdict=Verdict.FAIL,
        advice="it is too big for this server: set max_size, so that such mail takes another server or is refused at once",
        source="RFC 1870 6",
    ),
    Row(
        code=503,
        stages=frozenset({Stage.MAIL}),
        verdict=Verdict.DEFER,
        advice="server and gateway were out of step; it is tried again over a new connection",
        source="RFC 5321 4.3.2",
    ),
)


def judge(reply: Reply, stage: Stage) -> Deferred | Failed | Held:
    """The outcome of anything but the yes that was wanted."""
    for row in TABLE:
        if row.matches(reply, stage):
            return _outcome(row.verdict, _with_advice(reply, row.advice), row.retry_after)
    return _outcome(*_by_the_rules(reply, stage), None)


def _by_the_rules(reply: Reply, stage: Stage) -> tuple[Verdict, Reply]:
    for_good = 500 <= reply.code < 600
    if reply.code == 421:  # RFC 5321 3.8: the server goes away for a while
        return Verdict.DEFER, reply
    match stage:
        case Stage.SIGN_IN if for_good:
            return Verdict.HOLD_LANE, _with_advice(reply, "check the user and the password, or connect the account again")
        case Stage.SIGN_IN:
            return Verdict.DEFER_LANE, reply
        case Stage.GREETING:
            # Also a 5xx: it says nothing of this mail, and the next connection may meet another machine.
            return Verdict.DEFER_LANE, _with_advice(reply, "ask the server's people whether this gateway's address is welcome there")
        case Stage.RCPT if for_good and _blames_address(reply):
            return Verdict.FAIL_ADDRESS, reply
        case Stage.MAIL | Stage.RCPT | Stage.CONTENT:
            return (Verdict.FAIL if for_good else Verdict.DEFER), reply
        case _:
            assert_never(stage)


def _blames_address(reply: Reply) -> bool:
    """RFC 3463 3.2 names the recipient's address with 5.1.x; 5.1.7 and 5.1.8 blame the sender's. Without a word on it, the code."""
    if reply.enhanced.startswith("5.1."):
        return reply.enhanced not in {"5.1.7", "5.1.8"}
    return reply.code in {550, 551, 553} and reply.enhanced in {"", "5.0.0"}


def _outcome(verdict: Verdict, reply: Reply, retry_after: timedelta | None) -> Deferred | Failed | Held:
    match verdict:
        case Verdict.DEFER | Verdict.DEFER_LANE:
            return Deferred(reply, retry_after, lane=verdict is Verdict.DEFER_LANE)
        case Verdict.FAIL | Verdict.FAIL_ADDRESS:
            return Failed(reply, bad_address=verdict is Verdict.FAIL_ADDRESS)
        case Verdict.HOLD | Verdict.HOLD_LANE:
            return Held(reply, lane=verdict is Verdict.HOLD_LANE)
        case _:
            assert_never(verdict)


def _with_advice(reply: Reply, advice: str) -> Reply:
    said = reply.text.rstrip(". ")
    return Reply(reply.code, f"{said}. What to do: {advice}" if said else advice, reply.enhanced, reply.name)
