"""200 mails of 100 kB through Odoo's queue: SMTP to a local `smtp-sink` beside the add-on to the emulator.

What counts is the time of one run of Odoo's job, from its start until the last mail is committed as sent. The sink and the emulator
answer from this machine, so that the time is Odoo's, PostgreSQL's and the add-on's; what the way to Microsoft adds is the number of
requests times their latency, which the last row shows for a tenth of a second each.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from bench.load import Sink
from bench.odoo.house import SCALE, House, Way, house, in_turns
from bench.place import Place
from bench.results import Result, median
from bench.usage import cpu_seconds
from tests.odoo import machine

MAILS = 200
FILE = 72_000
"""Bytes of the attachment: the mail has 100 kB with it."""
ROUNDS = 5
LATENCY = 0.1
"""Seconds of each request, in the last row."""
SMTP_TURNS = "4 a mail (MAIL, RCPT, DATA, the mail), 3 a connection (greeting, EHLO, QUIT)"


@dataclass(frozen=True, slots=True)
class Round:
    """Milliseconds, of one mail."""

    time: float
    cpu: float
    commits: float


def measure(place: Place, odoo: machine.Place, quick: bool) -> list[Result]:
    mails, rounds = (20, 2) if quick else (MAILS, ROUNDS)
    sink = Sink(place)
    try:
        with house(place, odoo) as home:
            servers = {Way.STOCK: home.smtp(sink.port), Way.ADD_ON: home.graph()}
            file = home.attachment("offer.pdf", random.Random(1).randbytes(FILE))
            for way in Way:
                _round(home, servers[way], file, 20)
            home.emulator.ask("DELETE", "/counters")
            found: dict[Way, list[Round]] = {way: [] for way in Way}
            for number in range(rounds):
                for way in in_turns(number):
                    found[way].append(_round(home, servers[way], file, mails))
            counters = home.emulator.ask("GET", "/counters")
            home.emulator.switch(latency_seconds=LATENCY * SCALE)
            far = _round(home, servers[Way.ADD_ON], file, mails)
    finally:
        sink.stop()
    return _rows(found, counters, far, mails)


def _rows(found: dict[Way, list[Round]], counters: dict[str, Any], far: Round, mails: int) -> list[Result]:
    sent = mails * len(found[Way.ADD_ON])
    requests = {name: count / sent for name, count in counters["by_operation"].items()}
    ratios = tuple(ours.time / theirs.time for ours, theirs in zip(found[Way.ADD_ON], found[Way.STOCK], strict=True))
    facts: dict[str, Any] = {
        "mails": mails,
        "requests_a_mail": {name: round(each, 3) for name, each in requests.items()},
        "throttled": counters["throttled"],
        "smtp_round_trips": SMTP_TURNS,
    }
    return [
        Result(name="odoo: queue, 100 kB, add-on / SMTP", value=median(ratios), unit="x", rounds=ratios, facts=facts),
        *(
            Result(
                name=f"odoo: queue, 100 kB, {way}",
                value=median([each.time for each in rounds]),
                unit="ms/mail",
                rounds=tuple(each.time for each in rounds),
                facts={
                    "cpu_of_odoo_ms": [round(each.cpu, 1) for each in rounds],
                    "commits_a_mail": [round(each.commits, 1) for each in rounds],
                },
            )
            for way, rounds in found.items()
        ),
        Result(
            name="odoo: queue, 100 kB, add-on, 100 ms a request",
            value=far.time,
            unit="ms/mail",
            facts={"latency_ms": LATENCY * 1000, "cpu_of_odoo_ms": round(far.cpu, 1)},
        ),
    ]


def _round(home: House, server: int, file: int, mails: int) -> Round:
    home.write_mails(server, mails, file, "A hundred kilobytes")
    cpu, commits, start = cpu_seconds(home.odoo.pid), _commits(home), time.monotonic()
    home.run_queue()
    took = time.monotonic() - start
    return Round(took / mails * 1000, (cpu_seconds(home.odoo.pid) - cpu) / mails * 1000, (_commits(home) - commits) / mails)


def _commits(home: House) -> int:
    """Transactions of the database so far; the view lags by a moment, so it is asked until it rests."""
    last = -1
    while (now := _asked(home)) != last:
        last = now
        time.sleep(0.5)
    return last


def _asked(home: House) -> int:
    (row,) = home.odoo.place.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = %s", home.odoo.database)
    return int(row[0])
