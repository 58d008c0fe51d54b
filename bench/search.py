"""How long it takes to find mail among a million: rare words and common ones, of yesterday and of long ago, and what is not there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.backlog import utc_now
from bench.place import Missing, Place
from bench.results import Goal, Result, median
from mailroom.ports import NewMessage, Query
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.model import State
from tests.contract.store.makers import Maker
from tests.contract.store.postgresql import programs, running

MAILS = 1_000_000
BATCH = 5000
ROUNDS = 5
PAGE = 50
FIRST = "anna", "bernd", "clara", "dora", "emil", "franz", "gerda", "hans", "ida", "jakob", "karl", "lena", "maria", "nils", "olga", "ute"
LAST = "mueller", "schmidt", "fischer", "weber", "meyer", "wagner", "becker", "schulz", "koch", "richter", "klein", "wolf", "braun"
SUBJECTS = "Ihre Rechnung RE-{}", "Order confirmation S{}", "Ticket #{} updated", "Password reset {}", "Änderung Ihrer Bestellung {}"


def measure(place: Place, quick: bool) -> list[Result]:
    count = MAILS // 5 if quick else MAILS
    results = []
    for name, opened in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        with opened(place) as store:
            results += _measure(name, store, count)
    return results


@contextmanager
def _sqlite(place: Place) -> Iterator[SqlStore]:
    store = open_store(place.folder / "search.db", clock=utc_now)
    yield store
    store.close()


@contextmanager
def _postgresql(place: Place) -> Iterator[SqlStore]:
    folder = programs()
    if folder is None:
        raise Missing("PostgreSQL is not installed; as root: apt-get install postgresql")
    with running(folder) as cluster:
        store = open_store(cluster.url(cluster.create()), clock=utc_now)
        yield store
        store.close()


def mail(maker: Maker, number: int, of: int) -> NewMessage:
    """The first half of them came from a printer; some have failed."""
    first, last = FIRST[number % len(FIRST)], LAST[number // 7 % len(LAST)]
    made = maker.message(
        f"{first}.{last}{number % 4999}@{('kunde', 'client')[number % 2]}{number % 6007}.example",
        subject=SUBJECTS[number % len(SUBJECTS)].format(number),
        header_message_id=f"<{number}.erp@example.com>",
        application="printer" if number < of // 2 else "odoo",
        sender="printer@example.com" if number < of // 2 else "erp@example.com",
        state=State.FAILED if number % 997 == 0 else State.QUEUED,
    )
    return replace(made, tags=("quarterly",)) if number % 50_021 == 0 else made


def queries(of: int) -> dict[str, Query]:
    old = of // 3 * 2 // 7 * 7
    return {
        "the newest of all": Query(text="example"),
        "a whole recipient, old": Query(text=f"{FIRST[old % len(FIRST)]}.{LAST[old // 7 % len(LAST)]}{old % 4999}@"),
        "a part of a recipient, rare": Query(text="mueller123@kunde"),
        "a part of a recipient, common": Query(text="anna."),
        "only in the older half": Query(text="printer@example"),
        "a number in a subject": Query(text=f"-{of // 5 * 3}"),
        "in another script and case": Query(text="ÄNDERUNG ihrer bestellung 12345"),
        "what is not there": Query(text="nobody@nowhere"),
        "two characters": Query(text="zz"),
        "with a percent sign": Query(text="100%"),
        "a Message-ID": Query(text=f"<{of // 10}.erp@example.com>"),
        "a tag": Query(tag="quarterly"),
        "an application": Query(application="printer"),
        "failed, of one domain": Query(text="kunde1234.example", states=frozenset({State.FAILED})),
        "failed, with a common word": Query(text="example", states=frozenset({State.FAILED})),
    }


def _measure(name: str, store: SqlStore, count: int) -> list[Result]:
    maker = Maker(utc_now, store.node())
    start = time.monotonic()
    for first in range(0, count, BATCH):
        store.put([mail(maker, number, count) for number in range(first, min(first + BATCH, count))])
    filled, cpu = time.monotonic(), time.process_time()
    while store.index():
        pass
    facts: dict[str, object] = {
        "mails": count,
        "filling_seconds": round(filled - start, 1),
        "indexing_seconds": round(time.monotonic() - filled, 1),
        "indexing_cpu_microseconds_per_mail": round((time.process_time() - cpu) / count * 1e6, 1),
    }
    rounds = {what: [_milliseconds(store, query) for _ in range(ROUNDS)] for what, query in queries(count).items()}
    every = sorted(one for times in rounds.values() for one in times)
    facts |= {what: [round(one, 1) for one in times] for what, times in rounds.items()}
    title = f"search: among {count:,}, {name}"
    return [
        Result(name=f"{title}, half of all searches", value=median(every), unit="ms", goal=Goal.AT_MOST, limit=100, facts=facts),
        Result(name=f"{title}, the slowest", value=every[-1], unit="ms", goal=Goal.AT_MOST, limit=100),
    ]


def _milliseconds(store: SqlStore, query: Query) -> float:
    start = time.perf_counter()
    store.find(query, limit=PAGE)
    return (time.perf_counter() - start) * 1000
