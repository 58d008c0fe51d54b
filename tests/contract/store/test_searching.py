from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.ports import Action, Move, NewMessage, Query, Store
from mailroom.store import looking, schema, searching
from mailroom.store.database import Row
from mailroom.store.open import open_store
from mailroom.store.searching import Part, build, cover
from mailroom.store.sql import SqlStore
from mailroom_core.model import LaneName, State
from tests.contract.store.makers import FakeClock, Maker

SMALL = 16
"""Deliveries in a part, and in every other step, so that a few mails need many of them."""


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PART", SMALL)
    monkeypatch.setattr(searching, "BITS", SMALL // 8)
    monkeypatch.setattr(searching, "SPARSE", SMALL // 4)
    monkeypatch.setattr(searching, "PAGE", 3)
    monkeypatch.setattr(looking, "NEAR", 4)
    monkeypatch.setattr(looking, "FIRST_STEP", 2)
    monkeypatch.setattr(looking, "STEP", 3)
    monkeypatch.setattr(looking, "MISSES", 1000)


def found(store: Store, query: Query, limit: int = 1000) -> list[str]:
    """All that is found, however many pages that takes."""
    recipients: list[str] = []
    cursor = ""
    while True:
        page, cursor = store.find(query, limit=limit, after=cursor)
        recipients += [one.delivery.recipient for one in page]
        if not cursor:
            return recipients


def indexed(store: Store) -> Store:
    while store.index():
        pass
    return store


def others(make: Maker, count: int = 40) -> list[NewMessage]:
    return [make.message(f"other{number}@example.org", subject="Nothing", header_message_id=f"<{number}@x>") for number in range(count)]


def hidden(store: Store, make: Maker, *wanted: NewMessage) -> None:
    """Among others, old, and in the index."""
    store.put([*others(make), *wanted, *others(make)])
    assert store.index()
    indexed(store)


@pytest.mark.parametrize(
    "query",
    [
        Query(text="wanted"),
        Query(text="WANTED@EXAMPLE"),
        Query(text="boss@example.com"),
        Query(text='100% o_f "all" it\'s'),
        Query(text='"all"'),
        Query(text="s 1'"),
        Query(text="%"),
        Query(text="_"),
        Query(text='"'),
        Query(text="äpf"),
        Query(text="ÄPFEL STRASSE"),
        Query(text="日本"),
        Query(text="日本語の件名"),
        Query(text="<wanted@id>"),
        Query(text="wanted@id"),
        Query(header_message_id="wanted@id"),
        Query(header_message_id="<wanted@id>"),
        Query(tag="q_1"),
        Query(application="printer"),
        Query(account="sal_es"),
        Query(lane="graph:sal_es:mary@x.org"),
        Query(text="wanted", tag="q_1", application="printer", states=frozenset({State.FAILED})),
    ],
    ids=str,
)
def test_what_is_old_is_found_by_each_part_of_a_query(store: Store, make: Maker, query: Query) -> None:
    wanted = make.message(
        "Wanted@example.org",
        state=State.FAILED,
        lane="graph:sal_es:mary@x.org",
        application="printer",
        sender="boss@example.com",
        subject="100% O_f \"all\" it's 1' Äpfel Straße 日本語の件名",
        header_message_id="<wanted@id>",
    )
    hidden(store, make, replace(wanted, tags=("invoice", "q_1")))
    assert found(store, query) == ["Wanted@example.org"]


@pytest.mark.parametrize("text", ["wantedx", "dwant", "ant%ed", "w_nted", "wanted wanted", "anted@i", "\0", "xx"])
def test_what_is_not_there_is_not_found(store: Store, make: Maker, text: str) -> None:
    hidden(store, make, make.message("wanted@example.org", header_message_id="<wanted@id>"))
    assert found(store, Query(text=text)) == []


def test_a_part_does_not_reach_from_one_field_into_the_next(store: Store, make: Maker) -> None:
    hidden(store, make, make.message("anna@example.org", sender="boss@example.com", subject="Offer"))
    assert found(store, Query(text="orgboss")) == found(store, Query(text="comOffer")) == []


def test_mail_is_found_at_once_and_wherever_it_is(store: Store, make: Maker) -> None:
    """In a part, waiting for one, among the newest."""
    for number in range(5 * SMALL + 3):
        store.put([make.message(f"needle{number}@example.org" if number % 5 == 0 else "hay@example.org")])
        store.index()
    assert found(store, Query(text="needle"), 2) == [f"needle{number}@example.org" for number in range(80, -1, -5)]


def test_common_words_come_page_by_page_and_none_twice(store: Store, make: Maker) -> None:
    store.put([make.message(f"r{number:02}@example.org") for number in range(70)])
    indexed(store)
    pages, cursor = [], ""
    while True:
        page, cursor = store.find(Query(text="example.org"), limit=7, after=cursor)
        pages.append([one.delivery.recipient[:3] for one in page])
        if not cursor:
            break
    assert pages == [[f"r{number:02}" for number in range(last, last - 7, -1)] for last in range(69, 0, -7)]


def test_what_comes_late_with_an_old_id_is_found_in_its_place(store: Store, make: Maker) -> None:
    """Its transaction took longer than that of the others; its id was made before theirs."""
    late = [make.message(f"needle-late{number}@example.org") for number in range(SMALL)]
    store.put([make.message(f"needle{number}@example.org") for number in range(2 * SMALL)])
    indexed(store)
    store.put(late[:3])
    expected = [f"needle{number}@example.org" for number in range(2 * SMALL - 1, -1, -1)]
    assert found(store, Query(text="needle"), 5) == [*expected, *(f"needle-late{number}@example.org" for number in (2, 1, 0))]
    newest = [make.message(f"needle-new{number}@example.org") for number in range(SMALL - 3)]
    store.put(newest)
    assert store.index(), "a part with the oldest and the newest"
    assert found(store, Query(text="needle"), 5) == [
        *(f"needle-new{number}@example.org" for number in range(SMALL - 4, -1, -1)),
        *expected,
        *(f"needle-late{number}@example.org" for number in (2, 1, 0)),
    ]


def test_a_search_in_vain_ends_for_now_and_goes_on_with_its_cursor(store: Store, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MISSES", 20)
    store.put([make.message("zz@example.org"), *others(make, 60)])
    page, cursor = store.find(Query(text="zz"), limit=5)
    assert page == []
    assert cursor
    assert found(store, Query(text="zz")) == ["zz@example.org"]


def test_since_and_until_bound_a_search(store: Store, make: Maker, clock: FakeClock) -> None:
    edges = []
    for number in range(3):
        store.put([make.message(f"needle{number}@example.org"), *others(make, SMALL)])
        clock.go_on(hours=1)
        edges.append(clock())
    indexed(store)
    assert found(store, Query(text="needle", since=edges[0], until=edges[1])) == ["needle1@example.org"]
    assert found(store, Query(text="needle", since=edges[1])) == ["needle2@example.org"]
    assert found(store, Query(text="needle", until=edges[0])) == ["needle0@example.org"]


def test_too_few_are_left_to_be_looked_at_one_by_one(store: Store, make: Maker) -> None:
    store.put(others(make, SMALL - 1))
    assert not store.index()
    store.put(others(make, 1))
    assert store.index()
    assert not store.index()


def test_what_is_forgotten_leaves_nothing_in_the_index(store: SqlStore, make: Maker, clock: FakeClock) -> None:
    store.put([make.message(state=State.FAILED) for _ in range(3 * SMALL + 5)])
    indexed(store)
    clock.go_on(days=100)
    while store.forget(raw_before=clock(), rows_before=clock(), limit=7)[0]:
        pass
    with store._database.read() as tx:
        assert [tx.one(f"SELECT count(*) FROM {table}") for table in ("search_parts", "postings", "unindexed", "deliveries")] == [(0,)] * 4


def test_what_is_left_of_a_part_is_found_still(store: SqlStore, make: Maker, clock: FakeClock) -> None:
    left = [make.message(f"needle{number}@example.org") for number in range(3)]
    gone = [make.message("needle-gone@example.org", state=State.FAILED) for _ in range(SMALL - 3)]
    store.put([*gone[:5], *left, *gone[5:]])
    indexed(store)
    clock.go_on(days=100)
    store.put([make.message(f"needle-new{number}@example.org") for number in range(20)])
    store.forget(raw_before=clock(), rows_before=clock(), limit=100)
    everything = [
        *(f"needle-new{number}@example.org" for number in range(19, -1, -1)),
        *(f"needle{number}@example.org" for number in (2, 1, 0)),
    ]
    assert found(store, Query(text="needle"), 4) == everything
    assert store.index(), "the old ones are indexed anew, with new ones"
    assert found(store, Query(text="needle"), 4) == everything
    with store._database.read() as tx:
        assert tx.one("SELECT count(*) FROM search_parts") == (1,)


def test_two_that_index_the_same_do_it_once(store: SqlStore, make: Maker) -> None:
    store.put([make.message(f"needle{number}@example.org") for number in range(SMALL)])
    with store._database.read() as tx:
        rows = searching.next_part(tx)
    assert store.index()
    with pytest.raises(searching.Meanwhile), store._database.write() as tx:
        searching.add(tx, build(rows))
    assert len(found(store, Query(text="needle"))) == SMALL


def test_indexing_goes_on_after_a_crash(store: Store, make: Maker, reopen: Callable[[], Store]) -> None:
    store.put([make.message(f"needle{number}@example.org") for number in range(2 * SMALL)])
    assert store.index()
    other = reopen()
    assert other.index()
    assert len(found(other, Query(text="needle"))) == 2 * SMALL


@pytest.mark.parametrize("action", [Action.CANCEL, Action.HOLD])
def test_people_act_on_what_they_have_found(store: Store, make: Maker, action: Action) -> None:
    hidden(store, make, *(make.message(f"needle{number}@example.org") for number in range(9)))
    assert store.act(Query(text="NEEDLE"), action, by="eve") == 9
    assert sum(store.counts().values()) - store.counts()[State.QUEUED] == 9


@pytest.mark.parametrize("count", [0, 1, 127, 128, 2047, 2048])
def test_a_posting_is_read_as_it_was_written(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(searching, "PART", 2048)
    monkeypatch.setattr(searching, "BITS", 256)
    places = list(range(2048 - count, 2048))
    assert searching._places(searching._packed(places)) == set(places)


MARYS = LaneName("graph:office:mary@example.org")
TO_MARY = Move("other", lambda _from, _bulk: MARYS)


def test_what_was_moved_is_found_in_its_new_lane(store: Store, make: Maker) -> None:
    needles = [make.message(f"needle{number}@example.org") for number in range(9)]
    hidden(store, make, *needles)
    assert store.move(Query(text="needle"), TO_MARY, by="eve") == 9
    every = sorted(each.deliveries[0].recipient for each in needles)
    for query in (Query(lane=MARYS), Query(account="office"), Query(lane=MARYS, states=frozenset({State.QUEUED}), text="needle")):
        assert sorted(found(store, query)) == every
    assert store.act(Query(lane=MARYS), Action.CANCEL, by="eve") == 9


def test_what_is_moved_while_it_is_indexed_is_found_in_its_new_lane(store: SqlStore, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    needles = [make.message(f"needle{number}@example.org") for number in range(SMALL)]
    store.put(needles)

    def moved_meanwhile(rows: Sequence[Row]) -> Part:
        monkeypatch.setattr(searching, "build", build)
        assert store.move(Query(text="needle3@"), TO_MARY, by="eve") == 1
        return build(rows)

    monkeypatch.setattr(searching, "build", moved_meanwhile)
    indexed(store)
    store.put(others(make))
    indexed(store)
    assert found(store, Query(lane=MARYS)) == ["needle3@example.org"]


def test_mail_of_before_the_index_is_indexed(tmp_path: Path) -> None:
    make = Maker(FakeClock())
    with closing(open_store(tmp_path / "m.db", clock=FakeClock())) as store:
        store.put([make.message(f"needle{number}@example.org") for number in range(SMALL)])
        with store._database.write() as tx:
            for table in ("unindexed", "search_parts", "postings"):
                tx.run(f"DROP TABLE {table}")
            for statement in schema.SEARCH:
                tx.run(statement)
        assert store.index()
        assert len(found(store, Query(text="needle"))) == SMALL


words = st.text(alphabet="abAB ß%_'\"", max_size=6)


@given(subjects=st.lists(words, min_size=SMALL, max_size=SMALL), text=words.filter(bool))
def test_the_index_misses_nothing(subjects: list[str], text: str) -> None:
    rows = [(number, "", None, subject, "<x>", "", "", LaneName("l")) for number, subject in enumerate(subjects)]
    known = build(rows).postings
    holding = {number for number, subject in enumerate(subjects) if text.casefold() in subject.casefold()}
    if parts := cover(text):
        assert holding <= searching._common(known, parts)
