"""What webhooks are told, over both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

import pytest

from mailroom.notices import (
    NewNotice,
    News,
    NoticeId,
    Notices,
    NoticeState,
    Tried,
    Try,
    facts_of,
    reply_of,
)
from mailroom.objects import Webhook
from mailroom.ports import Store
from mailroom.store.sql import SqlStore
from mailroom_core.model import Reply, State
from tests.contract.store.makers import LANE, TTL, FakeClock, Maker, claim_one

HOOK = Webhook(name="shop", url="https://shop.example/hook")
LONG_AGO = timedelta(days=4)


@pytest.fixture
def notices(store: Store) -> Notices:
    return cast("SqlStore", store)


def follow(store: Store, *hooks: Webhook) -> None:
    store.apply(hooks or [HOOK], [], by="test")


def news(notices: Notices, limit: int = 1000) -> News:
    found = notices.happenings(limit=limit)
    assert found is not None
    return found


def notice(make: Maker, webhook: str = "shop", body: str = "{}") -> NewNotice:
    return NewNotice(id=NoticeId(make.ids()), webhook=webhook, event="sent", message_id=None, body=body)


def wait_for(notices: Notices, make: Maker, *made: NewNotice) -> None:
    assert notices.enqueue(news(notices), made or (notice(make),))


def tried(
    one: NewNotice, now: datetime, state: NoticeState, *, due_in: timedelta | None = None, status: int = 500, **more: object
) -> Tried:
    due_at = None if due_in is None else now + due_in
    what = Try(now, timedelta(milliseconds=20), status, "no")
    return Tried(notice_id=one.id, webhook=one.webhook, tried=what, state=state, due_at=due_at, **more)  # type: ignore[arg-type]


def test_without_a_webhook_nothing_is_followed(store: Store, notices: Notices, make: Maker) -> None:
    store.put([make.message()])
    assert notices.happenings(limit=10) is None


def test_a_webhook_hears_what_is_committed_after_it_and_nothing_from_before(store: Store, notices: Notices, make: Maker) -> None:
    store.put([make.message()])
    follow(store)
    assert news(notices).happenings == ()
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    (one,) = news(notices).happenings
    assert (one.name, one.message_id, one.recipients) == ("accepted", message.id, ("a@example.org", "b@example.org"))
    assert (one.application, one.header_message_id, one.delivery_id) == ("odoo", "<1@example.com>", None)
    assert news(notices).webhooks == (HOOK,)


def test_the_end_of_an_attempt_is_news_with_its_delivery(store: Store, notices: Notices, make: Maker) -> None:
    follow(store)
    store.put([make.message()])
    lane = claim_one(store)
    (attempt,) = make.begun(store, lane, store.due(lane, limit=1))
    store.settle([make.settled(attempt, State.SENT, reply=Reply(250, "ok"))])
    one = news(notices).happenings[-1]
    assert (one.name, one.recipient, one.state, one.reply) == ("sent", "anna@example.org", State.SENT, Reply(250, "ok"))


def test_news_come_in_pages_and_each_once(store: Store, notices: Notices, make: Maker) -> None:
    follow(store)
    messages = [make.message() for _ in range(5)]
    store.put(messages)
    seen = []
    while (page := news(notices, limit=2)).happenings:
        seen += [one.message_id for one in page.happenings]
        assert notices.enqueue(page, ())
    assert seen == [message.id for message in messages]


def test_of_two_that_have_read_the_same_news_one_enqueues(store: Store, notices: Notices, make: Maker) -> None:
    follow(store)
    store.put([make.message()])
    mine, theirs = news(notices), news(notices)
    assert notices.enqueue(mine, (notice(make),))
    assert not notices.enqueue(theirs, (notice(make),))
    assert len(notices.due_notices("shop", limit=10)) == 1


def test_what_is_committed_late_is_not_passed_over(store: Store, make: Maker, url: str) -> None:
    """A transaction has got its number and is not over, while a later one has committed."""
    if url.startswith("sqlite"):
        pytest.skip("on SQLite one writes at a time")
    from mailroom.store import accepting, telling

    follow(store)
    database = cast("SqlStore", store)._database
    early, late = make.message(lane="one"), make.message(lane="two")
    ended, begun = threading.Event(), threading.Event()

    def slow() -> None:
        with database.write() as tx:
            accepting.put(tx, [early])
            begun.set()
            assert ended.wait(20)

    writer = threading.Thread(target=slow)
    writer.start()
    assert begun.wait(20)
    store.put([late])
    with database.read() as tx:
        before = telling.happenings(tx, 10, pause=lambda _: None)
    assert before is not None
    assert before.happenings == ()
    ended.set()
    writer.join(20)
    assert [one.message_id for one in news(cast("SqlStore", store)).happenings] == [early.id, late.id]


def test_a_held_account_is_news_once(store: Store, notices: Notices, make: Maker) -> None:
    follow(store)
    store.put([make.message()])
    assert notices.enqueue(news(notices), ())
    store.hold_lane(LANE, "401: sign in again", account="sales")
    store.hold_lane(LANE, "401: sign in again, please", account="sales")
    (one,) = news(notices).happenings
    assert (one.name, one.text, one.message_id) == ("account.needs_attention", "401: sign in again", None)
    assert dict(one.data) == {"account": "sales", "lane": LANE}


def test_what_waits_comes_oldest_first_and_when_its_time_has_come(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    one, two, other = notice(make, body="1"), notice(make, body="2"), notice(make, "erp")
    wait_for(notices, make, one, two, other)
    assert [each.body for each in notices.due_notices("shop", limit=10)] == ["1", "2"]
    notices.record_tries([tried(one, clock(), NoticeState.WAITING, due_in=timedelta(seconds=5))], give_up=clock() - LONG_AGO)
    assert [each.body for each in notices.due_notices("shop", limit=10)] == ["2"]
    clock.go_on(seconds=5)
    assert [(each.body, each.tries) for each in notices.due_notices("shop", limit=10)] == [("2", 0), ("1", 1)]


def test_each_try_is_in_the_log(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    one = notice(make)
    wait_for(notices, make, one)
    notices.record_tries([tried(one, clock(), NoticeState.WAITING, due_in=timedelta(seconds=5))], give_up=clock() - LONG_AGO)
    notices.record_tries([tried(one, clock(), NoticeState.DELIVERED, status=204)], give_up=clock() - LONG_AGO)
    story = notices.notice(one.id)
    assert story is not None
    assert [(each.status, each.answer, each.took) for each in story.tries] == [
        (500, "no", timedelta(milliseconds=20)),
        (204, "no", timedelta(milliseconds=20)),
    ]
    assert (story.notice.state, story.notice.due_at, story.notice.tries) == (NoticeState.DELIVERED, None, 2)
    assert notices.due_notices("shop", limit=10) == []
    assert notices.health()["shop"].told_at == clock()


def test_a_target_that_wants_a_pause_gets_it(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    one, two = notice(make), notice(make)
    wait_for(notices, make, one, two)
    pause = clock() + timedelta(minutes=1)
    notices.record_tries(
        [tried(one, clock(), NoticeState.WAITING, due_in=timedelta(seconds=5), pause_until=pause)], give_up=clock() - LONG_AGO
    )
    clock.go_on(seconds=30)
    assert notices.due_notices("shop", limit=10) == []
    health = notices.health()["shop"]
    assert (health.waiting, health.paused_until, health.failing_since) == (2, pause, pause - timedelta(minutes=1))
    clock.go_on(seconds=30)
    assert len(notices.due_notices("shop", limit=10)) == 2


def test_what_is_older_than_the_schedule_is_given_up_only_if_its_target_failed_all_the_time(
    store: Store, notices: Notices, make: Maker, clock: FakeClock
) -> None:
    follow(store)
    one, two = notice(make), notice(make)
    wait_for(notices, make, one, two)
    clock.go_on(days=5)  # the gateway was off
    notices.record_tries([tried(one, clock(), NoticeState.WAITING, due_in=timedelta(hours=1))], give_up=clock() - LONG_AGO)
    assert notices.health()["shop"].given_up == 0
    clock.go_on(days=5)
    notices.record_tries([tried(one, clock(), NoticeState.WAITING, due_in=timedelta(hours=1))], give_up=clock() - LONG_AGO)
    assert (notices.health()["shop"].given_up, notices.health()["shop"].waiting) == (2, 0)


def test_a_target_that_is_gone_makes_its_webhook_inactive_and_loses_nothing(
    store: Store, notices: Notices, make: Maker, clock: FakeClock
) -> None:
    follow(store)
    one = notice(make)
    wait_for(notices, make, one)
    version = store.directory_version()
    end = tried(one, clock(), NoticeState.WAITING, due_in=timedelta(seconds=5), status=410, gone=True)
    assert notices.record_tries([end], give_up=clock() - LONG_AGO) == ["shop"]
    assert not store.directory().webhooks["shop"].active
    assert store.directory_version() == version + 1
    assert notices.health()["shop"].waiting == 1
    assert notices.record_tries([end], give_up=clock() - LONG_AGO) == []


def test_one_is_replayed_whatever_became_of_it(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    one = notice(make)
    wait_for(notices, make, one)
    notices.record_tries([tried(one, clock(), NoticeState.DELIVERED, status=200)], give_up=clock() - LONG_AGO)
    assert notices.replay("erp", notice=one.id) == 0
    assert notices.replay("shop", notice=one.id) == 1
    (again,) = notices.due_notices("shop", limit=10)
    assert (again.id, again.tries) == (one.id, 0)


def test_all_that_failed_since_a_time_are_replayed(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    old = notice(make)
    clock.go_on(days=1)
    since = clock()
    fine, failed, waiting = notice(make), notice(make), notice(make)
    wait_for(notices, make, old, fine, failed, waiting)
    now = clock()
    given_up = [tried(each, now, NoticeState.GIVEN_UP) for each in (old, failed)]
    later = tried(waiting, now, NoticeState.WAITING, due_in=timedelta(hours=5), pause_until=now + timedelta(hours=1))
    notices.record_tries([*given_up, tried(fine, now, NoticeState.DELIVERED), later], give_up=now - LONG_AGO)
    assert notices.replay("shop", since=since) == 2
    assert {each.id for each in notices.due_notices("shop", limit=10)} == {failed.id, waiting.id}
    assert notices.replay("shop") == 1


def test_the_log_has_pages_and_can_show_one_state_alone(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    made = [notice(make) for _ in range(5)]
    wait_for(notices, make, *made)
    notices.record_tries([tried(made[3], clock(), NoticeState.GIVEN_UP)], give_up=clock() - LONG_AGO)
    first, cursor = notices.notices("shop", limit=3)
    second, end = notices.notices("shop", limit=3, after=cursor)
    assert [each.id for each in (*first, *second)] == [each.id for each in reversed(made)]
    assert end == ""
    assert [each.id for each in notices.notices("shop", state=NoticeState.GIVEN_UP, limit=3)[0]] == [made[3].id]


def test_a_removed_webhook_takes_all_of_its_own_with_it(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store, HOOK, Webhook(name="erp", url="https://erp.example/hook"))
    one, other = notice(make), notice(make, "erp")
    wait_for(notices, make, one, other)
    notices.record_tries([tried(one, clock(), NoticeState.WAITING, due_in=timedelta())], give_up=clock() - LONG_AGO)
    store.put_secret("webhook:shop", b"sealed")
    store.apply([], [("webhook", "shop")], by="test")
    assert notices.notice(one.id) is None
    assert store.secret("webhook:shop") is None
    assert notices.health().keys() == {"erp"}
    assert notices.happenings(limit=1) is not None
    store.apply([], [("webhook", "erp")], by="test")
    assert notices.happenings(limit=1) is None


def test_what_is_done_is_forgotten_and_what_waits_is_not(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    done, waiting, orphan = notice(make), notice(make), notice(make, "nobody")
    wait_for(notices, make, done, waiting, orphan)
    notices.record_tries([tried(done, clock(), NoticeState.DELIVERED)], give_up=clock() - LONG_AGO)
    clock.go_on(days=31)
    assert notices.forget_notices(clock() - timedelta(days=30), limit=10) == 2
    assert notices.forget_notices(clock() - timedelta(days=30), limit=10) == 0
    assert notices.notice(done.id) is None
    assert notices.notice(waiting.id) is not None


def _sent(store: Store, make: Maker) -> None:
    store.put([make.message()])
    lane = claim_one(store)
    (attempt,) = make.begun(store, lane, store.due(lane, limit=1))
    store.settle([make.settled(attempt, State.SENT)])
    store.release("worker", [lane])


def test_a_mail_is_not_forgotten_before_webhooks_have_heard_of_it(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    _sent(store, make)
    clock.go_on(days=100)
    now = clock()
    forget: Callable[[], object] = lambda: store.forget(raw_before=now, rows_before=now, limit=10)  # noqa: E731
    forget()
    assert store.forget(raw_before=now, rows_before=now, limit=10) == (False, [])
    unheard = news(notices)
    assert [one.name for one in unheard.happenings] == ["accepted", "sent"]
    assert notices.enqueue(unheard, ())
    forget()
    assert store.counts()[State.SENT] == 0


def test_numbers_that_are_given_out_again_are_news_all_the_same(store: Store, notices: Notices, make: Maker, clock: FakeClock) -> None:
    follow(store)
    _sent(store, make)
    assert notices.enqueue(news(notices), ())
    clock.go_on(days=100)
    store.forget(raw_before=clock(), rows_before=clock(), limit=10)
    message = make.message()
    store.put([message])
    assert [one.message_id for one in news(notices).happenings] == [message.id]
    assert notices.enqueue(news(notices), ())
    store.hold_lane(LANE, "sign in again", account="sales")
    assert notices.enqueue(news(notices), ())
    clock.go_on(days=100)
    notices.forget_notices(clock(), limit=10)
    other = make.message()
    store.put([other])
    assert [one.message_id for one in news(notices).happenings] == [other.id]


def test_a_new_boot_may_tell_at_once(store: Store) -> None:
    assert store.lease("webhooks", "here:1", TTL)
    assert store.lease("token:office", "here:1", TTL)
    store.end_leases("there:")
    assert not store.lease("webhooks", "here:2", TTL)
    store.end_leases("here:")
    assert store.lease("webhooks", "here:2", TTL)
    assert not store.lease("token:office", "here:2", TTL)


def test_a_reply_comes_out_of_an_event_as_it_went_in() -> None:
    for reply in (Reply(550, "no such user", "5.1.1"), Reply(0, "the connection was lost"), Reply(403, "no", name="ErrorSendAsDenied")):
        assert reply_of(facts_of(reply)) == reply
    assert reply_of(facts_of(None)) is None
