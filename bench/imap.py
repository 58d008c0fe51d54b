"""A full mailbox by IMAP: a real Dovecot, 10,000 unread mails, and a gateway that is killed while it fetches them.

What is in the store at the end is compared with what was in the mailbox: a missing or a double mail fails the row. Then a folder with
more unread mail than the answer to one search can name.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial

from bench import gateway as gateways
from bench.backlog import utc_now
from bench.place import Missing, Place
from bench.results import Goal, Result
from bench.usage import PeakPss, pss
from demo.processes import Gateway
from mailroom.ports import Query, Store
from mailroom.store.open import open_store
from tests.contract.transports.certificates import Authority
from tests.dovecot import PASSWORD, PROGRAM, Dovecot

MAILBOX, HUGE = "info@contoso.example", "archive@contoso.example"
WAITING = 10_000
UNREAD = 150_000
QUARTERS = 4
OBJECTS = "[destination.desk]\ninbox = {}\n"
PATIENCE = 120.0
"""Seconds without any progress after which it is over."""


def measure(place: Place, quick: bool) -> list[Result]:
    if PROGRAM is None:
        raise Missing("dovecot is not installed; as root: apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd")
    waiting = 1000 if quick else WAITING
    authority = place.folder / "authority"
    authority.mkdir()
    with Dovecot(Authority.make(authority)) as dovecot:
        _fill(dovecot, MAILBOX, waiting)
        results = _fetched(place, dovecot, waiting)
        if not quick:
            _fill(dovecot, HUGE, UNREAD)
            results.append(_found(place, dovecot))
    return results


def _fill(dovecot: Dovecot, mailbox: str, count: int) -> None:
    with dovecot.opened(mailbox):
        pass  # so that it is there
    dovecot.fill(mailbox, map(_small, range(count)))


def _small(number: int) -> bytes:
    head = f"From: c{number}@load.example\r\nTo: {MAILBOX}\r\nSubject: n{number}\r\nMessage-ID: <{number}@load.example>\r\n\r\n"
    return head.encode() + b"Hello\r\n"


def _prepared(place: Place, dovecot: Dovecot, name: str, mailbox: str) -> Gateway:
    gateway = gateways.prepared(place, name)
    gateways.configure(gateway, OBJECTS)
    words = ("--host", "127.0.0.1", "--port", str(dovecot.ports["imaps"]), "--ca-file", str(dovecot.authority.file))
    gateway.run("incoming", "add-imap", "info", *words, "--user", mailbox, "--destination", "desk", stdin=f"{PASSWORD}\n")
    return gateway


def _unread(dovecot: Dovecot, mailbox: str) -> int:
    with dovecot.opened(mailbox) as client:
        (said,) = client.status("INBOX", "(UNSEEN)")[1]
    return int(said.rpartition(b"UNSEEN ")[2].rstrip(b")"))


def _fetched(place: Place, dovecot: Dovecot, waiting: int) -> list[Result]:
    """Killed (`kill -9`) after each quarter of the mailbox."""
    gateway = _prepared(place, dovecot, "imap", MAILBOX)
    left, kills, over = waiting, 0, 0.0
    with gateways.running(place, gateway):
        start = time.monotonic()
        time.sleep(2)  # until what it does at its start is over
        idle = pss(gateway.process.pid)
        while left:
            with PeakPss(gateway.process.pid, every=0.5) as life:
                until = waiting * (QUARTERS - 1 - kills) // QUARTERS
                while left > until:
                    _wait(partial(_below, left, dovecot), f"{left} mails are unread, and no more are fetched")
                    left = _unread(dovecot, MAILBOX)
            over = max(over, (life.peak - idle) / 1e6)
            if left:
                gateway.kill()
                gateway.start()
                kills += 1
        seconds = time.monotonic() - start
        with closing(open_store(gateways.database(gateway), clock=utc_now)) as store:
            _compare(store, waiting)
    facts = {"mails": waiting, "kills": kills}
    return [
        Result(name=f"imap: {waiting:,} waiting mails fetched, killed in between", value=waiting / seconds, unit="mails/s", facts=facts),
        Result(name="    peak PSS over idle", value=over, unit="MB", goal=Goal.AT_MOST, limit=64, facts=facts),
    ]


def _below(last: int, dovecot: Dovecot) -> bool:
    return _unread(dovecot, MAILBOX) < last


def _compare(store: Store, waiting: int) -> None:
    names = Counter(each.message.header_message_id for each in store.find(Query(), limit=10 * waiting)[0])
    whole = {f"<{number}@load.example>" for number in range(waiting)}
    if set(names) != whole or max(names.values()) > 1:
        raise Missing(f"{len(whole - set(names))} mails are missing, {sum(count > 1 for count in names.values())} are there twice")


def _found(place: Place, dovecot: Dovecot) -> Result:
    """Until the first hundred are here."""
    gateway = _prepared(place, dovecot, "imap-huge", HUGE)
    with gateways.running(place, gateway):
        start = time.monotonic()
        with closing(open_store(gateways.database(gateway), clock=utc_now)) as store:
            _wait(lambda: len(store.find(Query(), limit=100)[0]) == 100, f"nothing came of {UNREAD:,} unread mails")
        seconds = time.monotonic() - start
    return Result(name=f"imap: the first hundred of {UNREAD:,} unread mails", value=seconds, unit="s", facts={"unread": UNREAD})


def _wait(what: Callable[[], object], failure: str) -> None:
    """Raises Missing after PATIENCE."""
    until = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > until:
            raise Missing(f"after {PATIENCE:.0f} s: {failure}; see the logs in bench/out")
        time.sleep(0.5)
