"""What a refusal means for the mail: the table of known answers, then the rules of RFC 5321 for all others."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from mailroom.transports.smtp_table import TABLE, Stage, Verdict
from mailroom_core.model import Deferred, Failed, Held, Reply


def judge(reply: Reply, stage: Stage) -> Deferred | Failed | Held:
    """The outcome of anything but the yes that was wanted."""
    for row in TABLE:
        if row.verdict is not None and row.matches(reply, stage):
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
