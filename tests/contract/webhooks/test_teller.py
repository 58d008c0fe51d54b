"""From what is committed to a target that has it: over a real database, to targets that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from mailroom.notices import Notice, NoticeId, NoticeState, Tried
from mailroom.objects import Directory, Webhook, WebhookEvent
from mailroom.ports import CameBack
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom.transports.guarded import Caller, Policy
from mailroom.webhooks import signing, teller
from mailroom.webhooks.bodies import AccountEvent, MailEvent
from mailroom.webhooks.calling import test as try_out
from mailroom.webhooks.judging import WAITS
from mailroom.webhooks.teller import House, Teller
from mailroom_core.errors import StoreError
from mailroom_core.model import Reply, State, show_id
from tests.contract.store.makers import LANE, FakeClock, Maker, claim_one, sent_off
from tests.contract.webhooks.target import Scripted, endless, hang, reset, running, status

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teller, "POLL", timedelta(milliseconds=5))
    monkeypatch.setattr(teller, "REST", timedelta(milliseconds=5))


@dataclass
class Office:
    """A store, a clock, and tellers over them."""

    store: SqlStore
    clock: FakeClock
    make: Maker
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    looks: int = 0
    """How often a teller has begun a round."""

    def add(self, name: str, target: Scripted, **more: Any) -> str:
        """A webhook with its secret."""
        self.store.apply([Webhook(name=name, url=target.url(), **more)], [], by="test")
        self.secrets[signing.secret_of(name)] = signing.rotated(None, self.clock())
        return self.secrets[signing.secret_of(name)]["secret"]

    def house(self, owner: str = "here:1") -> House:
        return House(
            notices=self.store,
            leases=self.store,
            owner=owner,
            directory=self._look,
            secret=self.secrets.get,
            caller=Caller(Policy(["127.0.0.0/8"])),
            ids=self.make.ids,
            clock=self.clock,
            random=Random(1),
            keep=timedelta(days=30),
        )

    def _look(self) -> Directory:
        self.looks += 1
        return self.store.directory()

    async def rounds(self, count: int = 5) -> None:
        """Returns when whatever was to happen has had its chance so many times."""
        until = self.looks + count
        await self.until(lambda: self.looks >= until)

    @asynccontextmanager
    async def telling(self, house: House | None = None) -> AsyncIterator[None]:
        stop = asyncio.Event()
        running = asyncio.create_task(Teller(house or self.house()).run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(running, 20)

    def states(self, webhook: str = "shop") -> list[NoticeState]:
        return [each.state for each in self.all(webhook)]

    def all(self, webhook: str = "shop") -> list[Notice]:
        return self.store.notices(webhook, limit=10_000)[0][::-1]

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not what():
                await asyncio.sleep(0.01)

    def tries(self, number: NoticeId) -> list[int]:
        story = self.store.notice(number)
        assert story is not None
        return [each.status for each in story.tries]

    def accept(self, count: int = 1, **more: Any) -> None:
        self.store.put([self.make.message(**more) for _ in range(count)])


@pytest.fixture
def office(url: str) -> Iterator[Office]:
    clock = FakeClock(datetime.now(UTC))
    store = open_store(url, clock=clock)
    yield Office(store, clock, Maker(clock, store.node()))
    store.close()


async def test_what_is_committed_is_told_with_a_signature_that_the_standards_own_library_believes(office: Office) -> None:
    async with running() as target:
        secret = office.add("shop", target)
        message = replace(office.make.message("a@example.org", "b@example.org"), tags=("order", "vip"))
        async with office.telling():
            office.store.put([message])
            await target.has(1)
            await office.until(lambda: office.states() == [NoticeState.DELIVERED])
    (received,) = target.received
    event = MailEvent.model_validate(received.verified(secret))
    assert (event.type, event.timestamp) == ("accepted", office.clock())
    assert event.data.id == show_id(message.id)
    assert (event.data.application, event.data.tags, event.data.message_id) == ("odoo", ["order", "vip"], "<1@example.com>")
    assert (event.data.recipients, event.data.recipient, event.data.state) == (["a@example.org", "b@example.org"], None, State.QUEUED)
    assert received.headers["content-type"] == "application/json"


async def test_the_end_of_a_delivery_is_told_with_the_answer_word_for_word(office: Office) -> None:
    async with running() as target:
        office.add("shop", target, events=(WebhookEvent.SENT,))
        office.accept()
        lane = claim_one(office.store)
        (attempt,) = office.make.begun(office.store, lane, office.store.due(lane, limit=1))
        office.store.settle([office.make.settled(attempt, State.SENT, reply=Reply(250, "queued as 1", "2.0.0"))])
        async with office.telling():
            await target.has(1)
    event = MailEvent.model_validate(json.loads(target.received[0].body))
    assert (event.type, event.data.state, event.data.recipient) == ("sent", State.SENT, "anna@example.org")
    assert event.data.reply is not None
    assert event.data.reply.model_dump() == {"code": 250, "enhanced": "2.0.0", "name": "", "text": "queued as 1"}


@pytest.mark.parametrize("name", ["bounced", "complained"])
async def test_what_came_back_is_told_with_the_reason(office: Office, name: str) -> None:
    async with running() as target:
        office.add("shop", target, events=(WebhookEvent(name),))
        message = sent_off(office.store, office.make, "anna@example.org")
        said = Reply(550, "no such user", "5.1.1")
        back = CameBack(
            message_id=message,
            recipient="anna@example.org",
            at=office.clock(),
            name=name,
            text="It did not arrive",
            reply=said,
            reason="NO_SUCH_MAILBOX",
            permanent=True,
            hard=True,
        )
        assert len(office.store.came_back([back])) == 1
        async with office.telling():
            await target.has(1)
    event = MailEvent.model_validate(json.loads(target.received[0].body))
    assert (event.type, event.data.state, event.data.recipient) == (name, State.BOUNCED, "anna@example.org")
    assert event.data.reply is not None
    assert (event.data.reply.code, event.data.reply.enhanced) == (550, "5.1.1")


async def test_an_account_that_needs_a_person_is_told_to_those_who_see_everything(office: Office) -> None:
    async with running() as target, running() as narrow:
        office.add("shop", target)
        office.add("erp", narrow, application="erp")
        async with office.telling():
            office.store.hold_lane(LANE, "401: run mailroom connect sales", account="sales")
            office.accept(application="erp")
            await target.has(2)
            await narrow.has(1)
    event = AccountEvent.model_validate(json.loads(next(each.body for each in target.received if b"needs_attention" in each.body)))
    assert event.data.model_dump() == {"account": "sales", "lane": LANE, "text": "401: run mailroom connect sales"}
    assert [json.loads(each.body)["data"]["application"] for each in narrow.received] == ["erp"]


async def test_a_failed_try_is_repeated_with_the_same_id_and_the_same_body(office: Office) -> None:
    async with running(status(500), reset, status(302, headers="Location: http://127.0.0.1:1/\r\n")) as target:
        secret = office.add("shop", target)
        office.accept()
        async with office.telling():
            for count, wait in enumerate(WAITS[:3], 1):
                await target.has(count)
                await office.until(lambda c=count: len(office.tries(office.all()[0].id)) == c)  # type: ignore[misc]
                office.clock.go_on(seconds=wait.total_seconds() * 1.2)
            await target.has(4)
            await office.until(lambda: office.states() == [NoticeState.DELIVERED])
    assert len({(each.number, each.body) for each in target.received}) == 1
    assert office.tries(office.all()[0].id) == [500, 0, 302, 204]
    assert signing.headers({"secret": secret}, target.received[0].number, target.received[0].body, office.clock.now).keys() <= set(
        target.received[0].headers
    )


async def test_what_was_called_and_not_committed_is_called_again_with_the_same_id(office: Office) -> None:
    """The process dies in between."""

    class Dying(SqlStore):
        def record_tries(self, batch: Sequence[Tried], *, give_up: datetime) -> list[str]:
            raise StoreError("killed")

    async with running() as target:
        office.add("shop", target)
        office.accept()
        dying = Dying(office.store._database)
        async with office.telling(replace(office.house(), notices=dying)):
            await target.has(1)
        assert office.states() == [NoticeState.WAITING]
        async with office.telling():
            await office.until(lambda: office.states() == [NoticeState.DELIVERED])
    assert len(target.received) >= 2
    assert len({each.number for each in target.received}) == 1


async def test_what_was_read_and_not_enqueued_is_read_again(office: Office) -> None:
    class Dying(SqlStore):
        def enqueue(self, *_: object) -> bool:
            raise StoreError("killed")

    async with running() as target:
        office.add("shop", target)
        office.accept(3)
        async with office.telling(replace(office.house(), notices=Dying(office.store._database))):
            await office.rounds()
        assert office.all() == []
        async with office.telling():
            await target.has(3)
    assert len({each.number for each in target.received}) == 3


async def test_a_target_that_hangs_or_floods_delays_no_other(office: Office) -> None:
    async with running(then=hang) as hanging, running(then=endless) as flooding, running() as fine:
        for name, target in (("hanging", hanging), ("flooding", flooding), ("fine", fine)):
            office.add(name, target)
        async with office.telling():
            office.accept(200)
            await fine.has(200)
            await office.until(lambda: office.store.health()["fine"].waiting == 0)
            await hanging.has(teller.AT_ONCE)
    assert hanging.most_under_way == teller.AT_ONCE
    assert fine.most_under_way <= teller.AT_ONCE
    assert office.store.health()["hanging"].waiting == 200
    assert len({each.number for each in fine.received}) == 200


async def test_a_target_that_fails_gets_one_call_at_a_time(office: Office) -> None:
    async with running() as target:

        async def together(writer: asyncio.StreamWriter) -> None:
            await target.has(teller.AT_ONCE)
            await status(500)(writer)

        target.then = together
        office.add("shop", target)
        office.accept(20)
        async with office.telling():
            await target.has(teller.PATIENCE + teller.AT_ONCE)
            assert target.most_under_way == teller.AT_ONCE
            target.most_under_way = 0
            await target.has(20)
    assert target.most_under_way == 1


async def test_a_target_that_fails_is_left_alone_for_a_while_after_each_call(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teller, "REST", timedelta(hours=1))
    async with running(then=status(500)) as target:
        office.add("shop", target)
        office.accept(100)
        async with office.telling():
            await target.has(teller.PATIENCE)
            await office.rounds(20)
            assert len(target.received) <= teller.PATIENCE + teller.AT_ONCE - 1


async def test_nothing_is_lost_while_a_target_is_down_for_a_day(office: Office) -> None:
    async with running(then=status(503)) as target:
        office.add("shop", target)
        async with office.telling():
            for _ in range(24):
                office.accept(2)
                before = len(target.received)
                await target.has(before + 2)
                office.clock.go_on(hours=1)
            target.then = status(200)
            down = len(target.received)
            for _ in range(24):
                office.clock.go_on(hours=1)
                await office.rounds()
            await office.until(lambda: office.states() == [NoticeState.DELIVERED] * 48)
    assert len({each.number for each in target.received[down:]}) == 48


async def test_after_three_days_it_is_given_up_visibly_and_can_be_replayed(office: Office) -> None:
    async with running(then=status(500)) as target:
        office.add("shop", target)
        office.accept()
        async with office.telling():
            for tried, wait in enumerate([*WAITS, timedelta()], 1):
                await office.until(lambda t=tried: bool(office.all()) and len(office.tries(office.all()[0].id)) == t)  # type: ignore[misc]
                office.clock.go_on(seconds=wait.total_seconds() * 1.2)
            assert office.states() == [NoticeState.GIVEN_UP]
            assert office.store.health()["shop"].given_up == 1
            target.then = status(200)
            assert office.store.replay("shop", since=office.clock() - timedelta(days=30)) == 1
            await office.until(lambda: office.states() == [NoticeState.DELIVERED])
    assert len({each.number for each in target.received}) == 1


async def test_a_busy_target_is_left_alone_for_as_long_as_it_wishes(office: Office) -> None:
    async with running(status(429, headers="Retry-After: 600\r\n")) as target:
        office.add("shop", target)
        office.accept()
        async with office.telling():
            await office.until(lambda: office.store.health().get("shop") is not None and bool(office.store.health()["shop"].paused_until))
            office.accept(5)
            office.clock.go_on(seconds=300)
            await office.until(lambda: len(office.all()) == 6)
            await office.rounds()
            assert len(target.received) == 1
            office.clock.go_on(seconds=301)
            await office.until(lambda: office.states() == [NoticeState.DELIVERED] * 6)


async def test_410_ends_the_webhook_and_what_waits_goes_on_when_it_is_active_again(office: Office) -> None:
    async with running(status(410)) as target:
        office.add("shop", target)
        office.accept()
        async with office.telling():
            await office.until(lambda: not office.store.directory().webhooks["shop"].active)
            office.clock.go_on(hours=1)
            await office.rounds()
            assert len(target.received) == 1
            office.store.apply([replace(office.store.directory().webhooks["shop"], active=True)], [], by="test")
            await office.until(lambda: office.states() == [NoticeState.DELIVERED])


async def test_after_a_rotation_both_secrets_are_good_for_a_day(office: Office) -> None:
    async with running() as target:
        former = office.add("shop", target)
        kept = office.secrets["webhook:shop"] = signing.rotated(office.secrets["webhook:shop"], office.clock())
        async with office.telling():
            office.accept()
            await target.has(1)
        for secret in (former, kept["secret"]):
            assert target.received[0].verified(secret)
    headers = signing.headers(kept, "1", b"{}", office.clock() + signing.BOTH)
    assert len(headers["webhook-signature"].split()) == 1


async def test_without_a_secret_nothing_is_sent_and_nothing_is_lost(office: Office) -> None:
    async with running() as target:
        secret = office.add("shop", target)
        kept = office.secrets.pop("webhook:shop")
        office.accept()
        async with office.telling():
            await office.until(lambda: bool(office.all()) and office.all()[0].tries == 1)
            assert target.received == []
            office.secrets["webhook:shop"] = kept
            office.clock.go_on(seconds=10)
            await target.has(1)
    assert target.received[0].verified(secret)


async def test_a_private_target_is_not_called_and_the_log_says_why(office: Office) -> None:
    async with running() as target:
        office.add("shop", target)
        office.accept()
        async with office.telling(replace(office.house(), caller=Caller(Policy(["10.0.0.0/8"])))):
            await office.until(lambda: bool(office.all()) and office.all()[0].tries == 1)
        assert target.connections == 0
        story = office.store.notice(office.all()[0].id)
    assert story is not None
    assert "webhooks.private_networks" in story.tries[0].answer


async def test_of_two_workers_one_tells_and_the_other_takes_over(office: Office) -> None:
    async with running() as target:
        office.add("shop", target)
        async with office.telling(office.house("here:1")):
            office.accept(20)
            await target.has(20)
            async with office.telling(office.house("here:2")):
                office.accept(20)
                await target.has(40)
        office.accept()
        async with office.telling(office.house("here:3")):
            await target.has(41)
    assert len({each.number for each in target.received}) == len(target.received) == 41


async def test_what_is_not_wanted_is_not_told(office: Office) -> None:
    async with running() as target:
        office.add("shop", target, events=(WebhookEvent.FAILED,))
        office.accept(3)
        lane = claim_one(office.store)
        attempts = office.make.begun(office.store, lane, office.store.due(lane, limit=3))
        office.store.settle([office.make.settled(each, State.SENT) for each in attempts[:2]])
        office.store.settle([office.make.settled(attempts[2], State.FAILED)])
        async with office.telling():
            await target.has(1)
            await office.until(lambda: office.states() == [NoticeState.DELIVERED])
    assert json.loads(target.received[0].body)["type"] == "failed"


async def test_the_test_sends_what_stands_for_nothing_and_says_what_came_back(office: Office) -> None:
    async with running(status(418, body=b"I am a teapot")) as target:
        secret = office.add("shop", target)
        webhook = office.store.directory().webhooks["shop"]
        kept: Mapping[str, str] = office.secrets["webhook:shop"]
        called = await try_out(office.house().caller, webhook, kept, "number", office.clock)
    assert (called.tried.status, called.tried.answer) == (418, "I am a teapot")
    event = target.received[0].verified(secret)
    assert isinstance(event, dict)
    assert event["type"] == "test"
