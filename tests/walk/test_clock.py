"""The machine's clock is set back while the gateway runs. Nothing gets lost, nothing leaves twice, and mail goes on."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mailroom.ports import Query
from mailroom_core.model import State
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.world import ANNA, MARY, World, eventually, mail, unique

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the package libfaketime is missing")


class Clock:
    """The time of day of the gateway's processes; what measures spans is left alone, as when a person sets a clock."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.rename(self._file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def started(clock: Clock, make_world: MakeWorld) -> World:
    return make_world(environment={**QUICK_LOOKS, **clock.environment}).set_up()


@pytest.fixture
def world(started: World, clock: Clock) -> World:
    clock.set("+0")
    started.calm()
    return started


def accepted(world: World, subject: str) -> tuple[int, datetime]:
    """Id and time of a mail."""
    with world.store() as store:
        message = store.find(Query(text=subject), limit=1)[0][0].message
    return message.id, message.accepted_at


def test_mail_goes_on_after_the_clock_was_set_back_and_after_a_restart(world: World, clock: Clock) -> None:
    before, after, again = unique("before"), unique("after"), unique("again")
    world.submit(mail(before))
    world.wait_until_sent(before)
    clock.set("-2h")
    world.submit(mail(after))
    world.wait_until_sent(after)
    (first, then), (second, now) = accepted(world, before), accepted(world, after)
    assert now < then - timedelta(hours=1), "the process has seen the clock go back"
    assert second > first, "ids grow all the same"
    world.gateway.kill()
    world.gateway.start()
    world.submit(mail(again))
    world.wait_until_sent(again)
    for subject in (before, after, again):
        assert world.arrived(subject) == [ANNA]
    assert accepted(world, again)[0] not in (first, second)


def test_what_is_on_its_way_when_the_clock_is_set_back_arrives_once(world: World, clock: Clock) -> None:
    """Its deadline lies hours away then; the answer is taken when it comes."""
    world.emulator.fault(match={"operation": "send"}, action={"kind": "delay", "seconds": 2.0})
    subject = unique("on its way")
    world.submit(mail(subject))
    world.wait_for(subject, State.SENDING)
    clock.set("-2h")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


def test_what_waits_for_a_time_waits_longer_and_can_be_sent_now(world: World, clock: Clock) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, action={"kind": "answer", "status": 500})
    subject = unique("waits")
    world.submit(mail(subject))
    assert eventually(lambda: "deferred" in world.story(subject))
    clock.set("-2h")
    world.gateway.run("queue", "send-now", subject)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert world.sent_items(MARY, subject)
