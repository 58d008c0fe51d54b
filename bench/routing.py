"""How long a routing decision takes: from the bytes of a head to the verdict, beside many aliases.

First the rules alone, then with all that the store is asked for one (SQLite), as it is for each mail that comes in.
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime

from bench.place import Place
from bench.results import Goal, Result, median
from mailroom.intake.judge import Came, Judge
from mailroom.intake.lookup import Lookup
from mailroom.objects import Alias as AliasObject
from mailroom.objects import AliasDomain, Destination, InboxTarget
from mailroom.store.open import open_store
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head
from mailroom_core.mime.source import InMemory
from mailroom_core.policy.aliases import Alias, Domain, Tables, Target
from mailroom_core.policy.decision import Arrival, Facts, Known, Settings
from mailroom_core.policy.routing import questions, route

_TARGET = Target("inbox")
_OURS = "<ours@example.com>"


ALIASES = 10_000
ROUNDS = 3


def measure(place: Place, quick: bool) -> list[Result]:
    decisions = 200 if quick else 2_000
    rules = tuple(decision_seconds(ALIASES, decisions) * 1000 for _ in range(ROUNDS))
    whole = tuple(_judged(place, number, decisions) for number in range(ROUNDS))
    facts = {"aliases": ALIASES, "decisions": decisions}
    name = f"routing: a decision beside {ALIASES:,} aliases"
    return [
        Result(name=name, value=median(rules), unit="ms", goal=Goal.AT_MOST, limit=1, rounds=rules, facts=facts),
        Result(name=f"{name}, with what the store is asked", value=median(whole), unit="ms", rounds=whole, facts=facts),
    ]


def _judged(place: Place, number: int, decisions: int) -> float:
    """Milliseconds for one mail, on average."""
    with closing(open_store(f"sqlite:///{place.folder}/routing-{number}.db", clock=_now)) as store:
        aliases = [AliasObject(name=f"alias{each}@example.com", destination="desk") for each in range(ALIASES)]
        store.apply([Destination(name="desk", target=InboxTarget()), AliasDomain(name="example.com"), *aliases], [], by="bench")
        directory, rules = store.directory(), Settings()
        judge = Judge(lambda: directory, Lookup(store, rules), rules)
        mails = [InMemory(_mail(to, "")) for to in (f"alias{ALIASES - 1}@example.com", "catchall@example.com", "nobody@example.com")]
        judge(mails[0], Came(by="bench"), _now())
        began = time.perf_counter()
        for each in range(decisions):
            judge(mails[each % len(mails)], Came(by="bench"), _now())
        return (time.perf_counter() - began) / decisions * 1000


def _now() -> datetime:
    return datetime.now(UTC)


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
