"""How long a routing decision takes: from the bytes of a head to the verdict, beside many aliases."""

from __future__ import annotations

import time

from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head
from mailroom_core.policy.aliases import Alias, Domain, Tables, Target
from mailroom_core.policy.decision import Arrival, Facts, Known
from mailroom_core.policy.routing import questions, route

_TARGET = Target("inbox")
_OURS = "<ours@example.com>"


def decision_seconds(aliases: int = 10_000, decisions: int = 2_000) -> float:
    """Seconds of processor time for one decision, on average over answers, new mail and mail to nobody."""
    tables = Tables(
        (Alias(name=f"alias{number}", domain="example.com", target=_TARGET, local_part=number % 2 == 0) for number in range(aliases)),
        [Domain(name="example.com")],
    )
    facts = Facts(known={_OURS: Known(_TARGET, "thread")})
    mails = [_mail(f"alias{aliases - 1}@example.com", ""), _mail("catchall@example.com", _OURS), _mail("nobody@example.com", "")]
    began = time.process_time()
    for number in range(decisions):
        mail = head(Fields(mails[number % len(mails)]))
        questions(mail, Arrival(), tables)
        route(mail, Arrival(), tables, facts)
    return (time.process_time() - began) / decisions


def _mail(to: str, answers: str) -> bytes:
    hops = "".join(
        f"Received: from h{n}.example by h{n + 1}.example with ESMTPS id {n}; Fri, 20 Nov 2026 12:00:00 +0000\r\n" for n in range(6)
    )
    references = "".join(f" <{n}@shop.example>" for n in range(20))
    return (
        f"Return-Path: <bob@shop.example>\r\nDelivered-To: office@example.com\r\n{hops}From: Bob <bob@shop.example>\r\nTo: {to}\r\n"
        f"Message-ID: <1@shop.example>\r\nIn-Reply-To: {answers}\r\nReferences:{references}\r\nSubject: Re: Offer\r\n\r\n"
    ).encode()
