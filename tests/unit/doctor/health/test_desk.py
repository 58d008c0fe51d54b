"""The daily look at the installation, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mailroom.doctor.findings import Evidence, Finding, Harm
from mailroom.doctor.health.desk import AT_ONCE, Busy, HealthDesk
from mailroom.doctor.health.looking import Examination, Examined, Subject, judged, not_looked
from mailroom.objects import AliasDomain, Webhook
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom.webhooks.bodies import DomainEvent, body_of
from tests.contract.store.makers import FakeClock
from tests.unit.console.desks import doctor_of, health_of
from tests.unit.doctor.test_desk import GOOD

DAY = timedelta(days=1)
OFFICE = Subject("account", "office")


def finding(code: str, harm: Harm = Harm.HARMFUL) -> Finding:
    return Finding(code, harm, f"It is {code}", "why", "todo", (Evidence("asked", "said"),))


WELL = judged(OFFICE, "well")
ILL = judged(OFFICE, "", (finding("ill"),))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqlStore]:
    made = open_store(f"sqlite:///{tmp_path / 'doctor.db'}", clock=clock)
    made.apply([AliasDomain(name="example.com"), Webhook(name="hook", url="https://hook.example/")], [], by="test")
    yield made
    made.close()


def told(store: SqlStore) -> list[DomainEvent]:
    news = store.happenings(limit=100)
    assert news is not None
    return [DomainEvent.model_validate_json(body_of(each)) for each in news.happenings if each.name == "doctor.changed"]


def test_the_first_look_tells_nothing_and_a_change_is_told_once(store: SqlStore, clock: FakeClock) -> None:
    for found in (WELL, ILL, ILL, WELL):
        asyncio.run(health_of(store, clock, found).rounds(DAY))
        clock.go_on(seconds=86400)
    new, gone = told(store)
    assert (new.data.domain, new.data.new, new.data.harmful) == ("", ["account office: It is ill"], True)
    assert new.data.text == "This installation: New: account office: It is ill"
    assert (gone.data.gone, gone.data.harmful) == (["account office: It is ill"], False)


def test_within_a_day_nobody_is_asked_again(store: SqlStore, clock: FakeClock) -> None:
    asyncio.run(health_of(store, clock, WELL).rounds(DAY))
    clock.go_on(seconds=43200)
    asyncio.run(health_of(store, clock, ILL).rounds(DAY))
    assert told(store) == []


def test_what_can_not_be_looked_at_is_neither_gone_nor_new_when_it_can(store: SqlStore, clock: FakeClock) -> None:
    for found in (WELL, ILL, not_looked(OFFICE, "cut off"), not_looked(OFFICE, "cut off"), ILL, WELL):
        asyncio.run(health_of(store, clock, found).rounds(DAY))
        clock.go_on(seconds=86400)
    assert [len(each.data.new) for each in told(store)] == [1, 0]


def test_a_look_of_a_person_is_kept_and_tells_nobody(store: SqlStore, clock: FakeClock) -> None:
    desk = health_of(store, clock, ILL)
    assert desk.last() is None
    found = asyncio.run(desk.whole())
    assert found.harmful
    kept = desk.last()
    assert kept is not None
    assert ([each["code"] for each in kept["findings"]], "before" in kept) == (["ill"], False)
    assert told(store) == []


def test_the_rounds_at_domains_leave_the_installation_alone(store: SqlStore, clock: FakeClock) -> None:
    desk = doctor_of(store, clock, GOOD, health=(WELL,))
    asyncio.run(desk.health.whole())
    asyncio.run(desk.rounds(DAY))
    assert sorted(store.diagnoses.looks()) == ["example.com", "installation"]
    assert set(desk.kept()) == {"example.com"}


def test_no_more_than_some_look_at_once(store: SqlStore, clock: FakeClock) -> None:
    async def crowded() -> None:
        waiting = asyncio.Event()

        async def slow() -> Examined:
            await waiting.wait()
            return WELL

        desk = HealthDesk(
            examinations=lambda: [Examination(OFFICE, slow)],
            ask=health_of(store, clock).ask,
            diagnoses=store.diagnoses,
            clock=clock,
        )
        looks = [asyncio.create_task(desk.whole()) for _ in range(AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="under way"):
            await desk.whole()
        with pytest.raises(Busy):
            await desk.send_as("mary@contoso.example")
        waiting.set()
        await asyncio.gather(*looks)
        assert (await desk.send_as("mary@contoso.example")).server == "office"

    asyncio.run(crowded())
