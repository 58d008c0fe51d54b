"""Odoo's memory while a mail with an attachment of 100 MB leaves: SMTP to a local `smtp-sink` beside the add-on to the emulator.

What counts is the proportional set size of Odoo's process at its highest. Each measurement has a process of its own, which has sent a
small mail the same way before: what one leaves behind does not help or burden the other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy

from bench.load import Sink
from bench.odoo.house import House, Way, house, in_turns
from bench.place import Missing, Place
from bench.results import Goal, Result, median
from bench.usage import PeakPss, pss
from tests.odoo import machine

MB = 1_000_000
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Peak:
    """MB of memory, and seconds."""

    peak: float
    over_idle: float
    seconds: float


def measure(place: Place, odoo: machine.Place, quick: bool) -> list[Result]:
    size, rounds = (20 * MB, 1) if quick else (100 * MB, ROUNDS)
    content = random.Random(2).randbytes(size)
    sink = Sink(place)
    try:
        with house(place, odoo) as home:
            servers = {Way.STOCK: home.smtp(sink.port), Way.ADD_ON: home.graph()}
            large, small = home.attachment("film.pdf", content), home.attachment("note.pdf", b"a few words")
            found: dict[Way, list[Peak]] = {way: [] for way in Way}
            for number in range(rounds):
                for way in in_turns(number):
                    found[way].append(_peak(home, servers[way], small, large))
            _compare(home, content, rounds)
    finally:
        sink.stop()
    return rows(f"odoo: a file of {size / MB:g} MB goes out", found)


def rows(title: str, found: dict[Way, list[Peak]]) -> list[Result]:
    ours, theirs = found[Way.ADD_ON], found[Way.STOCK]
    ratios = tuple(mine.peak / other.peak for mine, other in zip(ours, theirs, strict=True))
    return [
        Result(name=f"{title}, peak PSS, add-on / stock", value=median(ratios), unit="x", goal=Goal.AT_MOST, limit=1, rounds=ratios),
        *(
            Result(
                name=f"{title}, peak PSS, {way}",
                value=median([each.peak for each in peaks]),
                unit="MB",
                rounds=tuple(each.peak for each in peaks),
                facts={
                    "over_idle_mb": [round(each.over_idle, 1) for each in peaks],
                    "seconds": [round(each.seconds, 1) for each in peaks],
                },
            )
            for way, peaks in found.items()
        ),
    ]


def _peak(home: House, server: int, small: int, large: int) -> Peak:
    home.odoo.kill()
    home.start()
    home.write_mails(server, 1, small, "A note")
    home.run_queue()
    home.write_mails(server, 1, large, "A film")
    return watched(home, home.run_queue)


def watched(home: House, do: Callable[[], object]) -> Peak:
    """What Odoo needs meanwhile."""
    time.sleep(1)
    idle, start = pss(home.odoo.pid), time.monotonic()
    with PeakPss(home.odoo.pid) as watch:
        do()
    return Peak(watch.peak / MB, (watch.peak - idle) / MB, time.monotonic() - start)


def _compare(home: House, content: bytes, copies: int) -> None:
    """Raises Missing if what has arrived by the add-on is not what was sent; the sink keeps nothing."""
    films = [copy for copy in home.emulator.outside() if copy["subject"] == "A film"]
    if len(films) != copies:
        raise Missing(f"of {copies} mails with the large attachment {len(films)} have arrived")
    mail = message_from_bytes(home.emulator.outside_raw(films[-1]["id"]), policy=policy.default)
    if [part.get_payload(decode=True) for part in mail.iter_attachments()] != [content]:
        raise Missing("the attachment that has arrived is not the one that was sent")
