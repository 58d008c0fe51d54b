"""Throttling by the real limits, and how long a load takes under them."""

import threading
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from mailroom_emulator.clock import Clock
from mailroom_emulator.limits import Limits, Load, Throttled, Window, external_limit, least_time
from mailroom_emulator.server import Options, in_thread
from tests.emulator.client import Tenant, code_of, recipients

START = datetime(2026, 1, 1, tzinfo=UTC)
MARY = "mary@contoso.example"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def frozen(scale: float = 1.0) -> Clock:
    clock = Clock(scale)
    clock.freeze(START)
    return clock


def test_a_window_rolls() -> None:
    window = Window(3, timedelta(seconds=10))
    for second in (0, 1, 2):
        assert window.wait(at(second), 1) is None
        window.add(at(second), 1)
    assert window.wait(at(3), 1) == timedelta(seconds=7)
    assert window.wait(at(3), 2) == timedelta(seconds=8)
    assert window.wait(at(10), 1) is None


def test_ten_thousand_requests_in_ten_minutes_per_app_and_mailbox() -> None:
    clock = frozen()
    limits = Limits(clock)
    for _ in range(10_000):
        limits.request("app", "mary", 0)
    with pytest.raises(Throttled) as caught:
        limits.request("app", "mary", 0)
    assert caught.value.wait == timedelta(minutes=10)
    limits.request("app", "tom", 0)
    limits.request("other", "mary", 0)
    clock.advance(timedelta(minutes=10))
    limits.request("app", "mary", 0)


def test_150_mb_of_upload_in_five_minutes_and_the_scale_shortens_it() -> None:
    clock = frozen(60)
    limits = Limits(clock)
    for _ in range(150):
        limits.request("app", "mary", 1024 * 1024)
    with pytest.raises(Throttled) as caught:
        limits.request("app", "mary", 1)
    assert caught.value.wait == timedelta(seconds=5)


def test_recipients_per_day_and_external_ones_of_the_tenant() -> None:
    limits = Limits(frozen())
    assert limits.recipients("mary", 10_000)
    assert not limits.recipients("mary", 1)
    assert limits.recipients("tom", 1)
    assert (external_limit(1), external_limit(100)) == (10_000, 22_059)
    assert limits.external(10_000, 1)
    assert not limits.external(1, 1)


@pytest.mark.parametrize(
    ("load", "seconds"),
    [
        (Load(5_000, requests_per_message=2), 250),
        (Load(5_001, requests_per_message=2), 600),
        (Load(20_000, requests_per_message=2, mailboxes=4), 250),
        (Load(20_000, requests_per_message=1, recipients_per_message=1), 86_400),
        (Load(3, requests_per_message=50, bytes_per_message=150 * 1024 * 1024), 600),
    ],
)
def test_the_least_time_of_a_load(load: Load, seconds: float) -> None:
    clock = frozen()
    least = least_time(load, latency=timedelta(seconds=0.1), licences=100, clock=clock)
    assert least["seconds"] == pytest.approx(seconds)


def test_the_fifth_request_at_a_time_is_throttled(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.switch(latency_seconds=0.5)
    statuses: list[httpx2.Response] = []
    at_once = threading.Barrier(6)

    def ask() -> None:
        with httpx2.Client() as http:
            at_once.wait()
            headers = {"Authorization": f"Bearer {mary.token}"}
            statuses.append(http.get(f"{tenant.url}/v1.0/me/mailFolders/inbox", headers=headers))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.status_code for a in statuses) == [200, 200, 200, 200, 429, 429]
    refused = next(a for a in statuses if a.status_code == 429)
    assert code_of(refused) == "ApplicationThrottled"
    assert "MailboxConcurrency" in refused.json()["error"]["message"]
    assert 0 < float(refused.headers["retry-after"]) < 3
    assert "." in refused.headers["retry-after"]
    counters = tenant.control("GET", "/counters")
    assert counters["throttled"] == 2
    assert counters["max_concurrency"][MARY] >= 5
    assert mary("GET", "/mailFolders/inbox").status_code == 200


def test_a_throttled_mailbox_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailroom_emulator.limits.REQUESTS", 5)
    with in_thread(Options(time_scale=100)) as running, Tenant(running.url) as tenant:
        mary = tenant.user()
        tenant.control("POST", "/clock", {"freeze": True})
        assert [mary("GET", "").status_code for _ in range(6)] == [200] * 5 + [429]
        assert mary("GET", "").headers["retry-after"] == "6.000"
        tenant.control("POST", "/clock", {"advance": 6})
        assert mary("GET", "").status_code == 200
        tenant.switch(throttling=False)
        assert [mary("GET", "").status_code for _ in range(6)] == [200] * 6


def test_the_daily_recipients_are_refused_in_exchanges_words(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.control("PATCH", f"/accounts/{MARY}", {"recipient_limit": 1000})
    everyone = recipients(*(f"r{i}@contoso.example" for i in range(1000)))
    for _ in range(10):
        assert mary.send_mail(bccRecipients=everyone).status_code == 202
    answer = mary.send_mail(toRecipients=recipients("x@outside.example"))
    assert (answer.status_code, code_of(answer)) == (429, "ErrorExceededMessageLimit")
    tenant.control("POST", "/clock", {"advance": 86_401})
    assert tenant.user().send_mail(toRecipients=recipients("x@outside.example")).status_code == 202


def test_the_least_time_can_be_asked_for(tenant: Tenant) -> None:
    answer = tenant.control("GET", "/least-time", params={"messages": 20_000, "requests_per_message": 1.5})
    assert answer["requests"] == 1200
    wrong = tenant.http.get(f"{tenant.url}/_emulator/least-time", params={"mails": 3})
    assert wrong.status_code == 400
