"""What a sender has sent to us lately, and got from us by itself: what the limit against loops counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from mailroom.conversations import Entry, EntryKind
from mailroom.ports import Lately, NewMessage, Store
from tests.contract.store.makers import FakeClock, Maker

ANNA = "anna@customer.example"
WINDOW = timedelta(hours=2)


def came(make: Maker, author: str, *recipients: str, server: str = "desk", source: str = "mx") -> NewMessage:
    message = make.message(*(recipients or ("sales@desk.example",)), application="")
    deliveries = tuple(replace(each, server=server) for each in message.deliveries)
    return replace(message, header_from=author, source=source, deliveries=deliveries)


def lately(store: Store, clock: FakeClock, sender: str = ANNA) -> Lately:
    return store.from_sender(sender, clock() - WINDOW)


def nothing() -> Lately:
    return Lately(opened={}, added={}, answers=0)


def test_mails_are_counted_by_destination_however_their_author_is_spelt(store: Store, clock: FakeClock, make: Maker) -> None:
    spellings = (ANNA, "Anna@Customer.EXAMPLE", '"anna"@customer.example')
    store.put([came(make, each) for each in spellings])
    store.put([came(make, ANNA, server="erp"), came(make, "anna@customer.example.net"), came(make, "joanna@customer.example")])
    assert lately(store, clock) == Lately(opened={"desk": 3, "erp": 1}, added={}, answers=0)


def test_what_lies_behind_the_window_and_what_was_never_handed_over_does_not_count(store: Store, clock: FakeClock, make: Maker) -> None:
    store.put([came(make, ANNA)])
    clock.go_on(seconds=WINDOW.total_seconds() + 1)
    store.put([came(make, ANNA, server=""), came(make, ANNA, source="")])
    assert lately(store, clock) == nothing()


def test_nobody_is_no_sender(store: Store, clock: FakeClock, make: Maker) -> None:
    store.put([came(make, ""), came(make, ANNA, source="")])
    assert lately(store, clock, "") == nothing()


def test_a_mail_that_was_added_to_a_conversation_has_opened_nothing(store: Store, clock: FakeClock, make: Maker) -> None:
    first, second = came(make, ANNA), came(make, ANNA)
    store.put([first, second])
    number, _ = store.conversations.add("desk", _entry(first), subject="Offer", customer=ANNA)
    store.conversations.add("desk", _entry(second), subject="Offer", customer=ANNA, to=number)
    assert lately(store, clock) == Lately(opened={"desk": 1}, added={number: 2}, answers=0)


def test_a_mail_to_two_inboxes_has_opened_one_thing_in_each(store: Store, clock: FakeClock, make: Maker) -> None:
    mail = came(make, ANNA, "sales@desk.example", "repairs@desk.example")
    desk, repairs = mail.deliveries
    store.put([replace(mail, deliveries=(desk, replace(repairs, server="repairs")))])
    first, second = (
        store.conversations.add(server, _entry(mail), subject="Offer", customer=ANNA, spare=each.id)[0]
        for each, server in ((desk, "desk"), (repairs, "repairs"))
    )
    assert {int(first), int(second)} == {int(mail.id), int(repairs.id)}
    assert lately(store, clock) == Lately(opened={"desk": 1, "repairs": 1}, added={first: 1, second: 1}, answers=0)


def test_our_own_answers_to_a_sender_are_counted(store: Store, clock: FakeClock, make: Maker) -> None:
    store.put([_answer(make, ["Anna@customer.example"]), _answer(make, ["bob@customer.example"]), make.message(ANNA)])
    assert lately(store, clock) == Lately(opened={}, added={}, answers=1)


def _answer(make: Maker, recipients: Sequence[str]) -> NewMessage:
    return make.message(*recipients, application="mailroom")


def _entry(message: NewMessage) -> Entry:
    at, number = message.accepted_at, message.id
    return Entry(kind=EntryKind.MAIL_IN, at=at, author=ANNA, text="Hello", message_id=number, header_message_id=f"<{number}@x.example>")
