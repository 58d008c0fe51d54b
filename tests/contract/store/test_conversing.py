"""Conversations: mail in, mail out and notes in one thread."""

from __future__ import annotations

from dataclasses import replace

from mailroom.audit import Wanted
from mailroom.conversations import ConversationId, Entry, EntryKind, Stage
from mailroom.ports import Store
from mailroom_core.model import MessageId, show_id
from tests.contract.store.makers import FakeClock, Maker

ANN = "ann@customer.example"
MARY = "user:mary@example.com"


def mail(clock: FakeClock, number: int, kind: EntryKind = EntryKind.MAIL_IN) -> Entry:
    return Entry(
        kind=kind,
        at=clock(),
        author=ANN,
        text=f"words {number}",
        message_id=MessageId(number),
        header_message_id=f"<{number}@customer.example>",
    )


def opened(store: Store, clock: FakeClock, number: int = 7) -> ConversationId:
    return store.conversations.add("desk", mail(clock, number), subject="Offer", customer=ANN)[0]


def test_a_first_mail_opens_a_conversation_and_the_same_mail_never_a_second(store: Store, clock: FakeClock) -> None:
    number, added = store.conversations.add("desk", mail(clock, 7), subject="Offer", customer=ANN)
    assert (number, added) == (7, True)
    assert store.conversations.add("desk", mail(clock, 7), subject="Offer", customer=ANN) == (number, False)
    found = store.conversations.one(number)
    assert found is not None
    conversation, entries = found
    assert (conversation.subject, conversation.customer, conversation.stage, conversation.destination) == ("Offer", ANN, Stage.OPEN, "desk")
    assert entries == [mail(clock, 7)]


def test_a_mail_to_two_destinations_opens_a_conversation_at_each_and_none_twice(store: Store, clock: FakeClock) -> None:
    for _ in range(2):
        desk, _ = store.conversations.add("desk", mail(clock, 7), subject="Offer", customer=ANN, spare=8)
        repairs, _ = store.conversations.add("repairs", mail(clock, 7), subject="Offer", customer=ANN, spare=9)
    assert (desk, repairs) == (7, 9)
    assert {(each.id, each.destination) for each in store.conversations.all(limit=10)[0]} == {(7, "desk"), (9, "repairs")}
    for destination, number in (("desk", desk), ("repairs", repairs)):
        assert store.conversations.of(["<7@customer.example>"], destination=destination) == {"<7@customer.example>": number}
        found = store.conversations.one(number)
        assert found is not None
        assert found[1] == [mail(clock, 7)]
    assert store.conversations.of(["<7@customer.example>"], destination="elsewhere") == {}


def test_answers_find_their_conversation_by_any_of_its_mails(store: Store, clock: FakeClock) -> None:
    number = opened(store, clock)
    store.conversations.add("desk", mail(clock, 8, EntryKind.MAIL_OUT), subject="", customer="", to=number)
    found = store.conversations.of(["<8@customer.example>", "<9@customer.example>", "<7@customer.example>"])
    assert found == {"<7@customer.example>": number, "<8@customer.example>": number}
    assert store.conversations.of([]) == {}


def test_a_mail_for_a_conversation_that_is_gone_opens_one(store: Store, clock: FakeClock) -> None:
    assert store.conversations.add("desk", mail(clock, 9), subject="Late", customer=ANN, to=ConversationId(1)) == (9, True)


def test_mail_that_comes_in_opens_again_what_was_closed_and_what_goes_out_does_not(store: Store, clock: FakeClock) -> None:
    number = opened(store, clock)
    assert store.conversations.change(number, by=MARY, stage=Stage.CLOSED, assignee="mary")
    store.conversations.add("desk", mail(clock, 8, EntryKind.MAIL_OUT), subject="", customer="", to=number)
    assert store.conversations.all(stage=Stage.CLOSED, limit=10)[0][0].assignee == "mary"
    store.conversations.add("desk", mail(clock, 9), subject="", customer="", to=number)
    assert [each.id for each in store.conversations.all(stage=Stage.OPEN, limit=10)[0]] == [number]


def test_only_what_is_opened_gets_an_assignee(store: Store, clock: FakeClock) -> None:
    number, _ = store.conversations.add("desk", mail(clock, 7), subject="", customer=ANN, assignee="mary@example.com")
    store.conversations.add("desk", mail(clock, 8), subject="", customer=ANN, to=number, assignee="tom@example.com")
    assert [each.assignee for each in store.conversations.all(limit=10)[0]] == ["mary@example.com"]


def test_who_closes_and_assigns_stands_in_the_audit_log_and_what_changes_nothing_does_not(store: Store, clock: FakeClock) -> None:
    number = opened(store, clock)
    for stage, assignee in ((Stage.CLOSED, "mary"), (Stage.CLOSED, "mary"), (None, None), (Stage.OPEN, ""), (Stage.OPEN, "tom")):
        assert store.conversations.change(number, by="user:ann@example.com", stage=stage, assignee=assignee)
    store.conversations.change(number, by="rule", stage=Stage.CLOSED)
    found, _ = store.audited(Wanted(kind="conversation", name=show_id(number)), limit=10)
    assert {each.by for each in found} == {"user:ann@example.com"}
    assert [(each.what, each.before, each.after) for each in reversed(found)] == [
        ("close", "open", "closed"),
        ("assign", "", "mary"),
        ("open again", "closed", "open"),
        ("assign", "mary", ""),
        ("assign", "", "tom"),
    ]


def test_notes_stand_among_the_mails_in_their_order(store: Store, clock: FakeClock) -> None:
    number = opened(store, clock)
    clock.go_on(minutes=1)
    for text in ("call her", "call her again"):
        assert store.conversations.note(number, Entry(kind=EntryKind.NOTE, at=clock(), author="mary", text=text))
    found = store.conversations.one(number)
    assert found is not None
    assert [(entry.kind, entry.text) for entry in found[1]] == [
        (EntryKind.MAIL_IN, "words 7"),
        (EntryKind.NOTE, "call her"),
        (EntryKind.NOTE, "call her again"),
    ]


def test_what_is_not_there_is_told(store: Store, clock: FakeClock) -> None:
    nobody = ConversationId(1)
    assert store.conversations.one(nobody) is None
    assert not store.conversations.note(nobody, Entry(kind=EntryKind.NOTE, at=clock(), author="mary", text="?"))
    assert not store.conversations.change(nobody, by=MARY, stage=Stage.CLOSED)


def test_pages_go_from_the_last_change_to_the_first(store: Store, clock: FakeClock) -> None:
    for number in range(1, 6):
        opened(store, clock, number)
        clock.go_on(seconds=number % 2)
    store.conversations.note(ConversationId(2), Entry(kind=EntryKind.NOTE, at=clock(), author="mary", text="first now"))
    seen, after = list[int](), ""
    while True:
        page, after = store.conversations.all(destination="desk", limit=2, after=after)
        seen += [each.id for each in page]
        if not after:
            break
    assert seen == [2, 5, 4, 3, 1]
    assert store.conversations.all(destination="other", limit=2) == ([], "")


def test_mail_that_is_stored_for_a_conversation_stands_in_it_from_then_on_and_once(store: Store, make: Maker, clock: FakeClock) -> None:
    number = opened(store, clock)
    for _ in range(2):
        message = make.message(key="answer 1")
        entry = Entry(kind=EntryKind.MAIL_OUT, at=clock(), author="mary", text="Yes", message_id=message.id, header_message_id="<yes@us>")
        store.put([replace(message, entry=(number, entry))])
    found = store.conversations.one(number)
    assert found is not None
    assert [(each.kind, each.text) for each in found[1]] == [(EntryKind.MAIL_IN, "words 7"), (EntryKind.MAIL_OUT, "Yes")]
    assert store.conversations.of(["<yes@us>"]) == {"<yes@us>": number}


def test_mail_for_a_conversation_that_is_gone_is_stored_all_the_same(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message()
    entry = Entry(kind=EntryKind.MAIL_OUT, at=clock(), author="mary", text="Yes", message_id=message.id)
    store.put([replace(message, entry=(ConversationId(1), entry))])
    assert store.read(message.id) is not None
    assert store.conversations.one(ConversationId(1)) is None
