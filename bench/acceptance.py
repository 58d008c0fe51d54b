"""Accepting by HTTP beside accepting by SMTP: the same gateway, the same mail, the same client program, as many connections; in turns.

The next hop is held, so that nothing is delivered meanwhile: what is measured is the way in, up to the durable commit before 202 and 250.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from urllib.parse import urlsplit

from bench import gateway as gateways
from bench.backlog import utc_now
from bench.place import Missing, Place
from bench.relay import Round
from bench.results import Goal, Result, median
from bench.usage import cpu_by_process
from demo.processes import Gateway
from mailroom.store.open import open_store
from mailroom_core.model import LaneName

SIZE = 20_000
SESSIONS = 20
MAILS = 6000
ROUNDS = 5
HTTP, SMTP = "http", "smtp"
_NOWHERE = 9  # nobody listens on the port of discard (RFC 863), and nobody is asked: the lane is held


def measure(place: Place, quick: bool) -> list[Result]:
    gateway = gateways.relay(place, "acceptance", _NOWHERE)
    token = gateway.run("token", "add", "load", "--scope", "messages:send", "--application", "load", "--per-minute", "0").split()[0]
    with closing(open_store(gateways.database(gateway), clock=utc_now)) as store:
        store.hold_lane(LaneName("smarthost:next hop"), "measuring")
    mails = MAILS // 6 if quick else MAILS
    rounds: dict[str, list[Round]] = {HTTP: [], SMTP: []}
    with gateways.running(place, gateway):
        for kind in rounds:
            one_round(place, gateway, kind, token, mails // 10)
        for number in range(2 if quick else ROUNDS):
            for kind in (HTTP, SMTP) if number % 2 == 0 else (SMTP, HTTP):
                rounds[kind].append(one_round(place, gateway, kind, token, mails))
    return _results(rounds, mails)


def one_round(place: Place, gateway: Gateway, kind: str, token: str, mails: int) -> Round:
    """The CPU is that of the process that accepts. Raises Missing if not every mail is accepted."""
    port = gateway.port if kind == SMTP else urlsplit(gateway.web).port
    before = cpu_by_process(gateway.process.pid)[gateway.process.pid]
    words = [sys.executable, "-m", "bench.client", kind, str(port), str(SESSIONS), str(mails), str(SIZE), token]
    with place.log("acceptance-client").open("ab") as log:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=log, text=True, check=False, timeout=120)
    if done.returncode:
        raise Missing(f"not every mail was accepted by {kind.upper()}; see bench/out/acceptance-client.log")
    used = cpu_by_process(gateway.process.pid)[gateway.process.pid] - before
    return Round(mails / float(done.stdout), used / mails * 1e6)


def _results(rounds: dict[str, list[Round]], mails: int) -> list[Result]:
    ratios = tuple(api.rate / smtp.rate for api, smtp in zip(rounds[HTTP], rounds[SMTP], strict=True))
    facts: dict[str, object] = {"mails_per_round": mails, "connections": SESSIONS}
    for kind, found in rounds.items():
        facts[kind] = {"mails_per_second": [round(each.rate) for each in found], "cpu_us_per_mail": [round(each.cpu) for each in found]}
    rates = {kind: tuple(each.rate for each in found) for kind, found in rounds.items()}
    return [
        Result(
            name="accept: 20 kB, HTTP / SMTP",
            value=median(ratios),
            unit="x",
            goal=Goal.AT_LEAST,
            limit=1.0,
            rounds=ratios,
            facts=facts,
        ),
        Result(name="    POST /v1/messages (MIME)", value=median(rates[HTTP]), unit="mails/s", rounds=rates[HTTP]),
        Result(name="    SMTP, many mails per connection", value=median(rates[SMTP]), unit="mails/s", rounds=rates[SMTP]),
    ]
