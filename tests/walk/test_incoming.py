"""Mail comes in: from the mailbox to its conversation, and nothing is lost or doubled on the way."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace

import pytest

from mailroom.conversations import Conversation, Entry, EntryKind
from mailroom.ports import Found, Query, Watched
from mailroom_core.model import State
from tests.walk.conftest import MakeWorld
from tests.walk.world import ANNA, MARY, World, eventually, mail, unique

INCOMING = """
[alias_domain."contoso.example"]

[destination.desk]
inbox = {}

[alias."sales@contoso.example"]
destination = "desk"

[incoming.mary]
graph = { account = "office" }
"""
ENDED = (State.SENT, State.HELD, State.IGNORED)


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    made = make_world().set_up(INCOMING)
    with made.store() as store:
        store.apply([replace(store.directory().applications["erp"], answers="desk")], [], by="test")
    return made


def come(world: World, raw: bytes, mailbox: str = MARY) -> None:
    """A mail arrives in a mailbox of the tenant."""
    world.emulator.deliver(mailbox, raw)


def look(world: World) -> Watched:
    """Look at Mary's mailbox now; what the store knows of it when that has ended."""
    with world.store() as store:
        (before,) = store.watch.all()
        store.watch.now(["mary"])

    def asked() -> Watched | None:
        with world.store() as store:
            (now,) = store.watch.all()
        return now if now.looked_at is not None and now.looked_at != before.looked_at and now.due_at > now.looked_at else None

    found = eventually(asked)
    assert found, "nobody looked at the mailbox"
    return found


def fetched(world: World, subject: str) -> list[Found]:
    """The deliveries of a mail that came in, when all that had to be done with it is done."""

    def asked() -> list[Found]:
        with world.store() as store:
            found = [each for each in store.find(Query(text=subject), limit=100)[0] if each.message.source]
        return found if found and all(each.delivery.state in ENDED for each in found) else []

    found = eventually(asked)
    assert found, world.story(subject)
    return found


def conversation(world: World, subject: str) -> tuple[Conversation, list[Entry]]:
    with world.store() as store:
        (found,) = [each for each in store.conversations.all(limit=100)[0] if each.subject == subject]
        whole = store.conversations.one(found.id)
    assert whole is not None
    return whole


def test_an_answer_stands_in_one_conversation_with_the_mail_that_it_answers(world: World) -> None:
    subject = unique("Offer")
    world.submit(mail(subject), ANNA)
    world.wait_until_sent(subject)
    world.emulator.reply(ANNA, subject, "Twelve, please")
    assert look(world).trouble == ""
    (answer,) = fetched(world, f"Re: {subject}")
    assert (answer.delivery.state, answer.delivery.server) == (State.SENT, "desk")
    found, entries = conversation(world, subject)
    assert [(entry.kind, entry.author) for entry in entries] == [(EntryKind.MAIL_OUT, MARY), (EntryKind.MAIL_IN, ANNA)]
    assert "Twelve, please" in entries[1].text
    assert found.customer == ANNA


def test_an_answer_that_names_no_mail_is_found_by_the_providers_conversation_if_we_wrote_to_its_author(world: World) -> None:
    subject = unique("Quotation")
    world.emulator.switch(conversation_by_subject=True)
    try:
        world.submit(mail(subject), ANNA)
        world.wait_until_sent(subject)
        come(world, mail(subject, sender=ANNA, text="I take it\r\n"))
        come(world, mail(subject, sender="stranger@elsewhere.example", text="Buy this\r\n"))
        look(world)
    finally:
        world.emulator.switch(conversation_by_subject=False)
    states = {each.message.header_from: (each.delivery.state, each.delivery.server) for each in fetched(world, subject)}
    assert states == {ANNA: (State.SENT, "desk"), "stranger@elsewhere.example": (State.HELD, "")}
    _, entries = conversation(world, subject)
    assert [(entry.kind, entry.author) for entry in entries] == [(EntryKind.MAIL_OUT, MARY), (EntryKind.MAIL_IN, ANNA)]


def test_a_mail_to_an_alias_opens_a_conversation_and_is_marked_as_read(world: World) -> None:
    subject = unique("Enquiry")
    come(world, mail(subject, sender=ANNA, to="sales@contoso.example", text="Do you have blue ones?\r\n"))
    look(world)
    fetched(world, subject)
    _, (entry,) = conversation(world, subject)
    assert (entry.kind, entry.text.strip()) == (EntryKind.MAIL_IN, "Do you have blue ones?")
    (there,) = [each for each in world.emulator.folder(MARY, "inbox") if each["subject"] == subject]
    assert there["is_read"] is True


def test_what_nobody_wants_waits_in_quarantine_with_its_bytes_and_the_reason(world: World) -> None:
    subject = unique("Lost")
    raw = mail(subject, sender=ANNA, to="nobody@elsewhere.example")
    come(world, raw)
    look(world)
    (found,) = fetched(world, subject)
    assert found.delivery.state is State.HELD
    assert "no alias, no reply, no fallback" in str(found.delivery.reply)
    with world.store() as store:
        read = store.read(found.message.id)
    assert read is not None
    assert subject.encode() in (read.raw or b"")


def test_who_writes_to_the_catchall_is_answered_from_the_null_sender(world: World) -> None:
    subject = unique("Hello catchall")
    come(world, mail(subject, sender=ANNA, to="catchall@contoso.example"))
    look(world)
    (found,) = fetched(world, subject)
    assert found.delivery.state is State.IGNORED
    answered = f"Re: {subject}"
    world.wait_until_sent(answered)
    assert world.arrived(answered) == [ANNA]


def test_an_automatic_answer_opens_nothing(world: World) -> None:
    subject = unique("Out of office")
    come(world, mail(subject, sender=ANNA, to="sales@contoso.example", more="Auto-Submitted: auto-replied\r\n"))
    look(world)
    (found,) = fetched(world, subject)
    assert found.delivery.state is State.IGNORED


def test_a_mail_is_taken_once_however_often_it_is_looked_at_and_killed_in_between(world: World) -> None:
    subjects = [unique(f"Wave {number}") for number in range(12)]
    for subject in subjects:
        come(world, mail(subject, sender=ANNA, to="sales@contoso.example"))
    world.emulator.fault(match={"operation": "updateMessage"}, action={"kind": "drop", "when": "before"}, times=3)
    with world.store() as store:
        store.watch.now(["mary"])
    eventually(lambda: _count(world, subjects) >= 3, every=0.02)
    world.gateway.kill()
    world.gateway.start()
    eventually(lambda: look(world).trouble == "")
    assert {subject: len(fetched(world, subject)) for subject in subjects} == dict.fromkeys(subjects, 1)
    unread = [each for each in world.emulator.folder(MARY, "inbox") if not each["is_read"]]
    assert unread == []


def test_the_provider_tells_of_new_mail_and_it_is_there_long_before_the_next_look(make_world: MakeWorld) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environment = {"MAILROOM_WEB_PORT": str(port), "MAILROOM_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    world = make_world(environment=environment).set_up(INCOMING)
    assert eventually(lambda: _subscribed(world)), "nobody asked to be told"
    subject = unique("Pushed")
    come(world, mail(subject, sender=ANNA, to="sales@contoso.example"))
    assert fetched(world, subject)[0].delivery.state is State.SENT
    told = world.emulator.ask("GET", "/subscriptions")
    assert (len(told["subscriptions"]), told["failed"]) == (1, 0)
    assert told["delivered"] >= 1

    first = told["subscriptions"][0]["id"]
    world.emulator.ask("POST", f"/subscriptions/{first}/lifecycle", json={"event": "subscriptionRemoved"})
    assert eventually(lambda: [each["id"] for each in world.emulator.ask("GET", "/subscriptions")["subscriptions"]] not in ([], [first]))


def _subscribed(world: World) -> bool:
    with world.store() as store:
        return any(each.subscription and each.due_at > each.looked_at for each in store.watch.all() if each.looked_at)


def _count(world: World, subjects: list[str]) -> int:
    with world.store() as store:
        found = store.find(Query(text="Wave"), limit=1000)[0]
    return sum(each.message.subject in subjects for each in found)


def test_a_bounce_turns_up_at_the_mail_with_its_reason_and_the_dead_address_gets_nothing_more(world: World) -> None:
    nobody = f"unknown-{unique('x').rpartition(' ')[2]}@customer.example"
    subject = unique("To nobody")
    world.submit(mail(subject, to=nobody), nobody)
    assert eventually(lambda: world.states(subject).get(nobody) in (State.SENT, State.BOUNCED))
    eventually(lambda: look(world).trouble == "" and world.states(subject)[nobody] is State.BOUNCED)
    assert world.states(subject)[nobody] is State.BOUNCED, world.story(subject)
    assert "no such mailbox" in world.story(subject)
    with world.store() as store:
        assert nobody in store.suppressed([nobody])
    again = unique("Again")
    world.submit(mail(again, to=nobody), nobody)
    assert world.states(again) == {nobody: State.FAILED}
