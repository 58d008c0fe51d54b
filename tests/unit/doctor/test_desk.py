"""The daily look at our domains, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mailroom.doctor.desk import AT_ONCE, Busy, DoctorDesk
from mailroom.objects import AliasDomain, Webhook, WebhookEvent
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom.webhooks.bodies import DomainEvent, body_of, wanted
from tests.contract.store.makers import FakeClock
from tests.unit.console.desks import doctor_of
from tests.unit.doctor.zone import Records, silent

DAY = timedelta(days=1)
GOOD: Records = {
    "MX example.com": "10 mx.example.com.",
    "A mx.example.com": "192.0.2.1",
    "TXT example.com": "v=spf1 mx -all",
    "TXT _dmarc.example.com": "v=DMARC1; p=reject; rua=mailto:d@example.com",
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqlStore]:
    made = open_store(f"sqlite:///{tmp_path / 'doctor.db'}", clock=clock)
    made.apply([AliasDomain(name="example.com"), Webhook(name="hook", url="https://hook.example/")], [], by="test")
    yield made
    made.close()


def rounds(desk: DoctorDesk) -> None:
    asyncio.run(desk.rounds(DAY))


def told(store: SqlStore) -> list[DomainEvent]:
    news = store.happenings(limit=100)
    assert news is not None
    return [DomainEvent.model_validate_json(body_of(each)) for each in news.happenings if each.name == "doctor.changed"]


def test_the_first_look_is_kept_and_a_change_is_told_to_webhooks_once(store: SqlStore, clock: FakeClock) -> None:
    rounds(doctor_of(store, clock, GOOD))
    assert [each["code"] for each in doctor_of(store, clock).kept()["example.com"][1]["findings"]] == []
    clock.go_on(seconds=86400)
    broken = doctor_of(store, clock, {**GOOD, "TXT example.com": "v=spf1 +all"})
    rounds(broken)
    rounds(broken)
    clock.go_on(seconds=86400)
    rounds(broken)
    (event,) = told(store)
    assert (event.data.domain, event.data.harmful, event.data.gone) == ("example.com", True, [])
    assert event.data.new == ["The SPF record of example.com lets every server of the world send"]
    clock.go_on(seconds=86400)
    rounds(doctor_of(store, clock, GOOD))
    assert (told(store)[-1].data.new, len(told(store)[-1].data.gone), told(store)[-1].data.harmful) == ([], 1, False)


def test_a_webhook_hears_of_it_unless_it_is_about_one_applications_mail(store: SqlStore, clock: FakeClock) -> None:
    rounds(doctor_of(store, clock, GOOD))
    clock.go_on(seconds=86400)
    rounds(doctor_of(store, clock, {}))
    news = store.happenings(limit=100)
    assert news is not None
    happening = next(each for each in news.happenings if each.name == "doctor.changed")
    hooks = [
        Webhook(name="all", url="https://a.example/"),
        Webhook(name="shop", url="https://b.example/", application="shop"),
        Webhook(name="mail", url="https://c.example/", events=(WebhookEvent.SENT,)),
    ]
    assert [each.name for each in wanted(hooks, happening)] == ["all"]


def test_what_the_name_server_does_not_tell_is_no_change(store: SqlStore, clock: FakeClock) -> None:
    rounds(doctor_of(store, clock, {**GOOD, "TXT example.com": "v=spf1 +all"}))
    clock.go_on(seconds=86400)
    rounds(doctor_of(store, clock, {**GOOD, "TXT example.com": silent("example.com", "TXT")}))
    assert told(store) == []
    assert [each["code"] for each in doctor_of(store, clock).kept()["example.com"][1]["findings"]] == ["spf-all-pass"]


def test_a_domain_that_is_no_longer_ours_is_forgotten(store: SqlStore, clock: FakeClock) -> None:
    rounds(doctor_of(store, clock, GOOD))
    store.apply([], [("alias_domain", "example.com")], by="test")
    rounds(doctor_of(store, clock, GOOD))
    assert store.diagnoses.looks() == {}


def test_a_domain_that_is_none_in_the_dns_keeps_no_other_from_being_looked_at(store: SqlStore, clock: FakeClock) -> None:
    store.apply([AliasDomain(name="a..b"), AliasDomain(name="installation")], [], by="test")
    desk = doctor_of(store, clock, GOOD)
    rounds(desk)
    assert set(store.diagnoses.looks()) >= {"example.com"}
    asyncio.run(desk.health.whole())
    assert "installation" not in desk.kept(), "that look is the installation's own"


def test_no_more_than_some_looks_are_under_way_at_once(store: SqlStore, clock: FakeClock) -> None:
    desk = doctor_of(store, clock, GOOD)
    for _ in range(AT_ONCE):
        assert desk._places.acquire(blocking=False)
    with pytest.raises(Busy, match="try again"):
        asyncio.run(desk.look("example.com"))
    desk._places.release()
    assert asyncio.run(desk.look("info@example.com")).domain == "example.com"
