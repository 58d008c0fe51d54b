"""Who moves here, over every store."""

from __future__ import annotations

from dataclasses import replace

from mailroom.audit import Wanted
from mailroom.ports import Mover, Store
from tests.contract.store.makers import FakeClock, Maker

BY = "user:anna@example.com"


def mover(clock: FakeClock, address: str = "scanner@example.com", application: str = "scanner", *, made: bool = True) -> Mover:
    now = clock()
    known = {"mails": 12, "tls": "1.2", "protocols": "password", "reported_at": now, "listed_at": now}
    return Mover(address=address, application=application, made=made, **known)  # type: ignore[arg-type]  # each has its own type


def test_who_is_listed_is_given_back_and_a_newer_report_changes_the_numbers_alone(store: Store, clock: FakeClock) -> None:
    first = mover(clock)
    store.cutover.enlist([first, mover(clock, "erp@example.com", "odoo", made=False)], by=BY)
    clock.go_on(seconds=60)
    store.cutover.enlist([replace(mover(clock), application="other", made=False, mails=None, tls="")], by=BY)
    other, same = store.cutover.all()
    assert other.address == "erp@example.com"
    assert same == replace(first, mails=None, tls="", reported_at=clock())
    told, _ = store.audited(Wanted(kind="cutover"), limit=10)
    assert [(each.what, each.name) for each in reversed(told)] == [("add", first.address), ("add", "erp@example.com")]


def test_the_first_mail_ticks_off_and_the_next_changes_nothing(store: Store, clock: FakeClock, make: Maker) -> None:
    store.put([make.message("a@b.example", application="scanner")])
    clock.go_on(seconds=1)
    store.cutover.enlist([mover(clock)], by=BY)
    assert store.cutover.look() == []
    clock.go_on(seconds=30)
    mail = make.message("a@b.example", application="scanner")
    store.put([make.message("a@b.example", application="other"), mail])
    clock.go_on(seconds=30)
    store.put([make.message("a@b.example", application="scanner")])
    (done,) = store.cutover.look()
    assert (done.message_id, done.done_at) == (mail.id, mail.accepted_at)
    assert store.cutover.look() == []
    assert store.cutover.all() == [done]


def test_a_mail_that_is_committed_late_is_seen_all_the_same(store: Store, clock: FakeClock, make: Maker) -> None:
    store.cutover.enlist([mover(clock)], by=BY)
    late = make.message("a@b.example", application="scanner")
    clock.go_on(seconds=50)
    store.put([make.message("a@b.example", application="other")])
    assert store.cutover.look() == []
    store.put([late])
    assert [each.message_id for each in store.cutover.look()] == [late.id]


def test_an_application_that_was_there_counts_only_with_the_address(store: Store, clock: FakeClock, make: Maker) -> None:
    store.cutover.enlist(
        [mover(clock, "erp@example.com", "odoo", made=False), mover(clock, "sales@example.com", "odoo", made=False)], by=BY
    )
    clock.go_on(seconds=1)
    store.put([make.message("a@b.example", sender="bounce@example.com")])  # its From is sales@example.com
    assert [each.address for each in store.cutover.look()] == ["sales@example.com"]
    clock.go_on(hours=1)
    store.put([make.message("a@b.example", sender="ERP@example.com")])
    assert [each.address for each in store.cutover.look()] == ["erp@example.com"]


def test_who_is_dropped_is_forgotten_and_may_come_again(store: Store, clock: FakeClock, make: Maker) -> None:
    store.cutover.enlist([mover(clock)], by=BY)
    store.cutover.drop(["scanner@example.com", "unknown@example.com"], by=BY)
    assert store.cutover.all() == []
    clock.go_on(seconds=1)
    store.put([make.message("a@b.example", application="scanner")])
    clock.go_on(seconds=1)
    store.cutover.enlist([mover(clock)], by=BY)
    assert store.cutover.look() == []
    assert store.audited(Wanted(kind="cutover", what="remove"), limit=10)[0][0].name == "scanner@example.com"


def test_a_look_reads_only_what_came_since_the_last_one(store: Store, clock: FakeClock, make: Maker) -> None:
    store.cutover.enlist([mover(clock)], by=BY)
    clock.go_on(minutes=1)
    forgotten = make.message("a@b.example", application="scanner")
    clock.go_on(hours=1)
    assert store.cutover.look() == []
    store.put([forgotten])
    assert store.cutover.look() == [], "no mail is committed an hour after its id was made"
