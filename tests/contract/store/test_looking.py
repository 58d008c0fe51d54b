from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom.ports import Query, Store
from mailroom_core.model import LaneName, MessageId, State
from tests.contract.store.makers import FakeClock, Maker, claim_one


def found(store: Store, query: Query, limit: int = 100) -> list[str]:
    return [one.delivery.recipient for one in store.find(query, limit=limit)[0]]


def test_the_newest_comes_first_page_by_page(store: Store, make: Maker, clock: FakeClock) -> None:
    for number in range(7):
        store.put([make.message(f"r{number}@example.org")])
        clock.go_on(seconds=1)
    pages, cursor = [], ""
    while True:
        page, cursor = store.find(Query(), limit=3, after=cursor)
        pages.append([one.delivery.recipient[:2] for one in page])
        if not cursor:
            break
    assert pages == [["r6", "r5", "r4"], ["r3", "r2", "r1"], ["r0"]]


def test_a_full_last_page_has_no_next_one(store: Store, make: Maker) -> None:
    store.put([make.message() for _ in range(4)])
    _, cursor = store.find(Query(), limit=2)
    page, end = store.find(Query(), limit=2, after=cursor)
    assert (len(page), end) == (2, "")


def test_what_comes_in_meanwhile_does_not_shift_the_pages(store: Store, make: Maker) -> None:
    store.put([make.message(f"r{number}@example.org") for number in range(4)])
    first, cursor = store.find(Query(), limit=2)
    store.put([make.message("new@example.org")])
    second, _ = store.find(Query(), limit=2, after=cursor)
    assert [one.delivery.recipient[:2] for one in first + second] == ["r3", "r2", "r1", "r0"]


def test_pages_hold_over_several_states(store: Store, make: Maker) -> None:
    store.put([make.message(f"r{number}@example.org", state=(State.QUEUED, State.FAILED)[number % 2]) for number in range(6)])
    both = Query(states=frozenset({State.QUEUED, State.FAILED, State.HELD}))
    first, cursor = store.find(both, limit=4)
    second, end = store.find(both, limit=4, after=cursor)
    assert [one.delivery.recipient[:2] for one in first + second] == ["r5", "r4", "r3", "r2", "r1", "r0"]
    assert end == ""


@pytest.mark.parametrize(
    "query",
    [
        Query(states=frozenset({State.FAILED})),
        Query(lane="other"),
        Query(application="printer"),
        Query(text="wanted@EXAMPLE"),
        Query(text="BOSS@"),
        Query(text="100% o_f"),
        Query(text="<wanted@id>"),
        Query(text="wanted@id"),
        Query(text="wanted", states=frozenset({State.FAILED}), lane="other", application="printer"),
    ],
    ids=str,
)
def test_each_part_of_a_query_selects(store: Store, make: Maker, query: Query) -> None:
    store.put([make.message("someone@example.org", subject="100 or 20")])
    wanted = make.message(
        "Wanted@example.org",
        state=State.FAILED,
        lane="other",
        application="printer",
        sender="boss@example.com",
        subject="100% O_f it",
        header_message_id="<wanted@id>",
    )
    store.put([wanted])
    assert found(store, query) == ["Wanted@example.org"]


def test_part_of_a_message_id_is_not_enough(store: Store, make: Maker) -> None:
    store.put([make.message(header_message_id="<wanted@id>")])
    assert found(store, Query(text="anted@id")) == []


def test_all_that_is_given_must_match(store: Store, make: Maker) -> None:
    store.put([make.message()])
    assert found(store, Query(text="anna", application="printer")) == []


def test_one_message_or_delivery_is_found_by_its_id(store: Store, make: Maker) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message, make.message()])
    assert found(store, Query(message_id=message.id)) == ["b@example.org", "a@example.org"]
    assert found(store, Query(delivery_id=message.deliveries[0].id)) == ["a@example.org"]


def test_since_leaves_out_what_came_before(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message("old@example.org")])
    clock.go_on(hours=1)
    since = clock()
    store.put([make.message("new@example.org")])
    assert found(store, Query(since=since)) == ["new@example.org"]
    assert found(store, Query(since=since - timedelta(hours=1))) == ["new@example.org", "old@example.org"]


def test_until_leaves_out_what_came_later(store: Store, make: Maker, clock: FakeClock) -> None:
    store.put([make.message("old@example.org")])
    clock.go_on(hours=1)
    store.put([make.message("new@example.org")])
    assert found(store, Query(until=clock())) == ["old@example.org"]


def test_a_tag_is_found_as_a_whole(store: Store, make: Maker) -> None:
    store.put([replace(make.message("a@x.org"), tags=("invoice", "q_1")), replace(make.message("b@x.org"), tags=("invoices", "q11"))])
    assert found(store, Query(tag="invoice")) == found(store, Query(tag="q_1")) == ["a@x.org"]
    assert found(store, Query(tag="voice")) == []
    ((one, _), _) = store.find(Query(), limit=2)
    assert one.message.tags == ("invoices", "q11")


def test_an_account_is_all_of_its_mailboxes(store: Store, make: Maker) -> None:
    store.put(
        [make.message("a@x.org", lane=LaneName("graph:sal_es:mary@x.org")), make.message("b@x.org", lane=LaneName("graph:sales:tom@x.org"))]
    )
    assert found(store, Query(account="sal_es")) == ["a@x.org"]


def test_a_message_id_is_found_with_and_without_brackets(store: Store, make: Maker) -> None:
    store.put([make.message("a@x.org", header_message_id="<1@erp>"), make.message("b@x.org", header_message_id="<2@erp>")])
    assert found(store, Query(header_message_id="1@erp")) == found(store, Query(header_message_id="<1@erp>")) == ["a@x.org"]


def test_what_is_found_comes_without_its_bytes(store: Store, make: Maker) -> None:
    message = make.message(subject="Where is it?")
    store.put([message])
    ((one,), _) = store.find(Query(), limit=1)
    assert (one.message.id, one.message.subject, one.message.raw) == (message.id, "Where is it?", None)
    assert one.delivery.message_id == message.id


def test_counts_know_every_state(store: Store, make: Maker) -> None:
    store.put([make.message("a@x.org", "b@x.org"), make.message(state=State.FAILED)])
    lane = claim_one(store)
    make.begun(store, lane, store.due(lane, limit=1))
    store.put([make.message()])
    counts = store.counts()
    assert set(counts) == set(State)
    assert {state: count for state, count in counts.items() if count} == {State.QUEUED: 1, State.SENDING: 2, State.FAILED: 1}


def test_nothing_is_found_in_an_empty_store(store: Store) -> None:
    assert store.find(Query(), limit=5) == ([], "")
    assert found(store, Query(message_id=MessageId(3))) == []
    assert store.lanes() == []
