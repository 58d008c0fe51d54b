"""Which mail of ours a Message-ID names: what answers and reports are matched by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mailroom.ports import NewMessage, Store
from mailroom.store.searching import PART
from mailroom_core.model import Remote, State
from tests.contract.store.makers import Maker, claim_one

OURS, OTHER = "<offer@example.com>", "<other@example.com>"


def sent(store: Store, names: Sequence[str]) -> dict[str, int]:
    return {name: message.id for name, message in store.sent_as(names).items()}


def came(make: Maker, name: str) -> NewMessage:
    return replace(make.message(header_message_id=name), source="mx")


def test_a_mail_is_found_by_its_message_id_before_and_after_it_is_in_the_search_index(store: Store, make: Maker) -> None:
    ours, other = make.message(header_message_id=OURS), make.message(header_message_id=OTHER)
    store.put([ours, other])
    assert sent(store, [OURS, "<unknown@example.com>", OTHER]) == {OURS: ours.id, OTHER: other.id}
    many = make.message(*(f"c{number}@load.example" for number in range(PART)), header_message_id="<many@example.com>")
    store.put([many])
    assert store.index()
    fresh = make.message(header_message_id="<fresh@example.com>")
    store.put([fresh])
    names = [OURS, OTHER, "<many@example.com>", "<fresh@example.com>", "<unknown@example.com>"]
    assert sent(store, names) == dict(zip(names, [ours.id, other.id, many.id, fresh.id], strict=False))
    assert sent(store, []) == {}


def test_of_copies_under_one_message_id_the_one_to_whom_a_report_names_is_found(store: Store, make: Maker) -> None:
    copies = [make.message(to, header_message_id=OURS) for to in ("anna@example.org", "Bob@Example.org", "kim@example.org")]

    def meant(to: str) -> int:
        return store.sent_as([OURS], {to})[OURS].id

    for part in ([], [make.message(*(f"c{number}@load.example" for number in range(PART)), header_message_id=OTHER)]):
        store.put([*part, *([] if part else copies)])
        assert bool(part) == store.index()
        assert [meant(each.deliveries[0].recipient.lower()) for each in copies] == [each.id for each in copies]
        assert meant("forwarded@elsewhere.example") in {each.id for each in copies}


def test_copies_that_came_back_in_do_not_hide_it(store: Store, make: Maker) -> None:
    ours = make.message(header_message_id=OURS)
    store.put([ours])
    store.put([came(make, OURS) for _ in range(20)])
    assert sent(store, [OURS]) == {OURS: ours.id}


def test_what_only_came_in_is_not_ours(store: Store, make: Maker) -> None:
    store.put([came(make, OURS)])
    assert sent(store, [OURS]) == {}


def test_a_message_id_is_compared_letter_by_letter(store: Store, make: Maker) -> None:
    store.put([make.message(header_message_id="<Offer@example.com>")])
    assert sent(store, [OURS]) == {}


def test_a_mail_is_found_by_the_conversation_that_its_provider_put_it_into_with_all_whom_we_wrote_to(store: Store, make: Maker) -> None:
    first, second = make.message("anna@example.org", header_message_id=OURS), make.message("Bob@Example.org", header_message_id=OTHER)
    store.put([first, second])
    lane = claim_one(store)
    for attempt in make.begun(store, lane, store.due(lane, limit=10)):
        store.settle([make.settled(attempt, State.SENT, remote=Remote(conversation_id="AAQkAD="))])
    found = store.in_conversation("AAQkAD=")
    assert found is not None
    assert (found[0].id, found[1]) == (second.id, frozenset({"anna@example.org", "bob@example.org"}))
    assert store.in_conversation("AAQkAE=") is None
    assert store.in_conversation("") is None
