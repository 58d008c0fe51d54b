"""Durable relay beside Postfix, end to end: smtp-source -> the system -> one smtp-sink.

The time runs from the start of smtp-source until the sink has counted the last mail. The two take turns, so that whatever else the
machine and its disk do meets both. Mailroom does its admission, routing, attempts and states; Postfix runs with its defaults.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench import gateway as gateways
from bench import load
from bench.load import Shape, Sink
from bench.place import Missing, Place
from bench.postfix import running
from bench.results import Goal, Result, median
from bench.usage import cpu_seconds

SHAPES = tuple(Shape(size, together) for size in (4000, 20000) for together in (True, False))
ROUNDS = 5
SECONDS = 3.0
"""How long the slower one is busy with one round, about."""
_WARM = 400
_CALM = 0.5
"""Seconds between two rounds, for what a system does afterwards."""


@dataclass(frozen=True, slots=True)
class Round:
    """One load through one system."""

    rate: float
    """Mails per second."""
    cpu: float
    """Microseconds of CPU per mail, of all processes of the system."""


@dataclass(frozen=True, slots=True)
class System:
    name: str
    port: int
    pid: int


def measure(place: Place, quick: bool) -> list[Result]:
    sink = Sink(place)
    try:
        gateway = gateways.relay(place, "relay", sink.port)
        with gateways.running(place, gateway), running(place, sink.port) as postfix:
            ours, theirs = System("Mailroom", gateway.port, gateway.process.pid), System("Postfix", postfix.port, postfix.pid)
            return [result for shape in SHAPES for result in _compare(place, sink, ours, theirs, shape, quick)]
    finally:
        sink.stop()


def _compare(place: Place, sink: Sink, ours: System, theirs: System, shape: Shape, quick: bool) -> list[Result]:
    warm = {system.name: one_round(place, sink, system, shape, _WARM) for system in (ours, theirs)}
    messages = 100 * round(warm[theirs.name].rate * (1 if quick else SECONDS) / 100) or 100
    rounds: dict[str, list[Round]] = {ours.name: [], theirs.name: []}
    for number in range(2 if quick else ROUNDS):
        for system in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            rounds[system.name].append(one_round(place, sink, system, shape, messages))
    ratios = tuple(mine.rate / other.rate for mine, other in zip(rounds[ours.name], rounds[theirs.name], strict=True))
    facts: dict[str, object] = {"mails_per_round": messages, "sessions": shape.sessions}
    for name, found in rounds.items():
        facts[name] = {"mails_per_second": [round(each.rate) for each in found], "cpu_us_per_mail": [round(each.cpu) for each in found]}
    limit = 1.3 if shape.size == 20000 and not shape.together else 2.0
    mine, other = (median([each.rate for each in rounds[system.name]]) for system in (ours, theirs))
    return [
        Result(
            name=f"relay: {shape.name}, Mailroom / Postfix",
            value=median(ratios),
            unit="x",
            goal=Goal.AT_LEAST,
            limit=limit,
            rounds=ratios,
            facts=facts,
        ),
        Result(name="    Mailroom", value=mine, unit="mails/s", rounds=tuple(each.rate for each in rounds[ours.name])),
        Result(name="    Postfix", value=other, unit="mails/s", rounds=tuple(each.rate for each in rounds[theirs.name])),
    ]


def one_round(place: Place, sink: Sink, system: System, shape: Shape, messages: int) -> Round:
    """Raises Missing if not every mail arrives exactly once."""
    before, cpu = sink.count(), cpu_seconds(system.pid)
    start = time.monotonic()
    source = load.send(place, system.port, shape, messages)
    try:
        seconds = sink.wait(before + messages) - start
    finally:
        load.stop(source)
    time.sleep(_CALM)
    if (arrived := sink.count() - before) != messages:
        raise Missing(f"{system.name} was given {messages} mails and delivered {arrived}")
    return Round(messages / seconds, (cpu_seconds(system.pid) - cpu) / messages * 1e6)
