from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from mailroom.ports import NewMessage, Query, Store
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.errors import StoreError
from mailroom_core.model import MessageId, Reply, State
from tests.contract.store.makers import LANE, LIFETIME, FakeClock, Maker, states_of


def test_what_was_put_is_there_with_all_its_parts(store: Store, make: Maker) -> None:
    message = make.message("anna@example.org", "bert@example.org", raw=b"\x00\xff\r\n", rewrite_from='"Mary" <n@example.com>')
    assert store.put([message]) == {}
    story = store.story(message.id)
    assert story is not None
    assert (story.message.id, story.message.accepted_at, story.message.sender) == (message.id, message.accepted_at, message.sender)
    assert (story.message.subject, story.message.application, story.message.kind) == ("Offer", "odoo", message.kind)
    assert (story.message.size, story.message.rewrite_from) == (4, '"Mary" <n@example.com>')
    assert story.message.header_message_id == "<1@example.com>"
    assert [delivery.recipient for delivery in story.deliveries] == ["anna@example.org", "bert@example.org"]
    assert [delivery.due_at for delivery in story.deliveries] == [message.accepted_at] * 2
    assert [delivery.expires_at for delivery in story.deliveries] == [message.accepted_at + LIFETIME] * 2
    assert story.events == message.events
    assert story.attempts == ()


def test_the_bytes_come_back_as_they_were(store: Store, make: Maker) -> None:
    message = make.message(raw=bytes(range(256)) * 1024)
    store.put([message])
    read = store.read(message.id)
    assert read is not None
    assert read.raw == message.raw
    assert read.blob == ""


def test_of_a_large_message_only_the_blobs_name_is_kept(store: Store, make: Maker) -> None:
    message = make.message(raw=None, blob="0abc")
    store.put([message])
    read = store.read(message.id)
    assert read is not None
    assert (read.raw, read.blob) == (None, "0abc")


def test_the_null_sender_stays_the_null_sender(store: Store, make: Maker) -> None:
    message = make.message(sender=None)
    store.put([message])
    read = store.read(message.id)
    assert read is not None
    assert read.sender is None


def test_what_nobody_put_is_not_there(store: Store) -> None:
    assert store.read(MessageId(1)) is None
    assert store.story(MessageId(1)) is None


def test_a_suppressed_recipient_is_stored_as_failed_and_never_due(store: Store, make: Maker) -> None:
    message = make.message(state=State.FAILED)
    store.put([message])
    assert states_of(store, message) == [State.FAILED]
    assert store.claim("worker", want=1, ttl=timedelta(seconds=30)) == []


def test_a_batch_is_stored_whole_or_not_at_all(store: Store, make: Maker) -> None:
    good = make.message()
    with pytest.raises(StoreError):
        store.put([good, good])
    assert store.read(good.id) is None
    assert sum(store.counts().values()) == 0


def test_an_empty_batch_is_no_mistake(store: Store) -> None:
    assert store.put([]) == {}


def test_a_used_idempotency_key_names_the_first_message_and_stores_nothing(store: Store, make: Maker) -> None:
    first, again, other = make.message(key="order-7"), make.message(key="order-7"), make.message(key="order-8")
    assert store.put([first]) == {}
    assert store.put([again, other]) == {again.id: first.id}
    assert store.read(again.id) is None
    assert store.read(other.id) is not None


def test_the_first_use_of_a_key_is_remembered_with_its_digest(store: Store, make: Maker) -> None:
    first, again = replace(make.message(key="order-7"), digest="a"), replace(make.message(key="order-7"), digest="b")
    store.put([first])
    store.put([again])
    assert store.first_use("odoo", "order-7") == (first.id, "a")
    assert store.first_use("odoo", "order-8") is None


def test_a_key_is_used_within_one_batch_too(store: Store, make: Maker) -> None:
    first, again = make.message(key="order-7"), make.message(key="order-7")
    assert store.put([first, again]) == {again.id: first.id}
    assert len(store.find(Query(), limit=10)[0]) == 1


def test_the_key_of_another_application_is_another_key(store: Store, make: Maker) -> None:
    assert store.put([make.message(key="k"), make.message(key="k", application="printer")]) == {}


def test_a_new_delivery_lives_its_whole_lifetime_though_its_lane_was_held_before(store: Store, make: Maker, clock: FakeClock) -> None:
    store.hold_lane(LANE, "no grant")
    clock.go_on(days=2)
    store.free_lane(LANE)
    clock.go_on(days=1)
    message = make.message()
    store.put([message])
    assert expiry_of(store, message) == clock() + LIFETIME
    store.hold_lane(LANE, "again")
    clock.go_on(hours=1)
    on_hold = make.message()
    store.put([on_hold])
    clock.go_on(hours=1)
    assert expiry_of(store, on_hold) == clock() + LIFETIME


def expiry_of(store: Store, message: NewMessage) -> datetime:
    story = store.story(message.id)
    assert story is not None
    return story.deliveries[0].expires_at


def test_a_kill_in_the_middle_loses_nothing_that_was_reported(url: str, store: Store) -> None:
    putter = subprocess.Popen([sys.executable, "-m", "tests.contract.store.putter", url], stdout=subprocess.PIPE, text=True)
    assert putter.stdout is not None
    lines = [putter.stdout.readline() for _ in range(20)]
    putter.kill()
    lines += putter.stdout.readlines()
    putter.wait()
    putter.stdout.close()
    reported = [MessageId(int(number)) for line in lines if line.endswith("\n") for number in line.split()]
    assert len(reported) >= 140
    for number in reported:
        read = store.read(number)
        assert read is not None
        assert read.raw == b"x" * 4096
    assert sum(store.counts().values()) % 7 == 0, "a batch was stored in part"


def test_another_process_sees_it_at_once(store: Store, reopen: Callable[[], Store], make: Maker) -> None:
    other = reopen()
    message = make.message()
    store.put([message])
    assert other.read(message.id) is not None


def test_each_opening_has_a_node_number_of_its_own(store: Store, reopen: Callable[[], Store]) -> None:
    numbers = [store.node(), reopen().node(), store.node()]
    assert len(set(numbers)) == 3
    assert all(0 <= number < 1024 for number in numbers)


def test_real_time_has_microseconds(url: str) -> None:
    now = datetime(2026, 7, 8, 9, 10, 11, 123457, tzinfo=timezone.utc)
    store = open_store(url, clock=lambda: now)
    message = Maker(lambda: now).message()
    store.put([message])
    read = store.read(message.id)
    store.close()
    assert read is not None
    assert read.accepted_at == now


def test_a_failed_deliverys_reply_is_kept(store: Store, make: Maker) -> None:
    message = make.message(state=State.FAILED)
    reply = Reply(550, "suppressed", "5.1.1", "Suppressed")
    message = replace(message, deliveries=tuple(replace(delivery, reply=reply) for delivery in message.deliveries))
    store.put([message])
    story = store.story(message.id)
    assert story is not None
    assert story.deliveries[0].reply == reply


def test_whoever_only_looks_waits_for_nobody_who_writes(store: Store, reopen: Callable[[], Store]) -> None:
    """As `mailroom status` beside a busy database, or one whose writer hangs."""
    assert isinstance(store, SqlStore)

    def look() -> int:
        other = reopen()
        return len(other.lanes()) + sum(other.counts().values()) + other.directory_version()

    with ThreadPoolExecutor(1) as another, store._database.write() as tx:
        tx.run("UPDATE meta SET value = value + 1 WHERE name = 'node'")
        assert another.submit(look).result(timeout=5) == 0
